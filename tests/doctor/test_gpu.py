"""What a GPU says of itself, here by a fake of NVML: what held its clock back, and who is on it."""

import sys
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest
import torch

from harness import environment
from harness.doctor import gpu, nvml
from harness.doctor.finding import DISTURBS, FINE, UNKNOWN
from harness.doctor.nvml import Gpu, Reading, flags, held_seconds

IDLE, APPLICATION, POWER, HEAT = 0x1, 0x2, 0x4, 0x40
SENSOR, SM, MEMORY = 0, 1, 2  # as <nvml.h> numbers them
QUIET = Reading(1.98e9, 2.6e9, 40, 120.0, IDLE, dict.fromkeys(nvml.POLICIES, 5.0))


class Refused(Exception):
    """NVML's own error."""


def fake(refuses: tuple[str, ...] = (), **answers: object) -> ModuleType:
    """Return a library that knows one GPU, "GPU-1f"; of several, each answer is a list."""
    given: dict[str, object] = {
        "CurrentClocksEventReasons": IDLE,
        "PowerUsage": 120_000,
        "PersistenceMode": 1,
        "ComputeRunningProcesses": [],
        "UtilizationRates": SimpleNamespace(gpu=0),
        "ClockInfo": {SM: 345, MEMORY: 2619},
        "MaxClockInfo": {SM: 1980, MEMORY: 2619},
        "Temperature": {SENSOR: 40},
        "ViolationStatus": SimpleNamespace(referenceTime=0, violationTime=5_000_000_000),
        **answers,
    }

    def answer(name: str) -> Callable[..., object]:
        def ask(handle: int, *about: int) -> object:
            if name in refuses:
                raise Refused
            found = given[name]
            found = found[handle] if isinstance(found, tuple) else found
            return found[about[0]] if isinstance(found, dict) else found

        return ask

    def by_uuid(name: str) -> int:
        if name != "GPU-1f":
            raise Refused
        return 0

    library = ModuleType("pynvml")
    library.__dict__.update({f"nvmlDeviceGet{name}": answer(name) for name in given})
    library.__dict__.update(
        NVMLError=Refused,
        NVML_CLOCK_SM=SM,
        NVML_CLOCK_MEM=MEMORY,
        NVML_TEMPERATURE_GPU=SENSOR,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetHandleByUUID=by_uuid,
    )
    return library


def test_a_reading_is_in_base_units_and_keeps_the_mask_of_reasons() -> None:
    found = Gpu(fake(), 0).read()
    assert found == replace(QUIET, sm_clock_hertz=345e6, memory_clock_hertz=2619e6)


def test_what_a_device_does_not_tell_is_null_and_no_flag() -> None:
    silent = Gpu(fake(refuses=("CurrentClocksEventReasons", "ViolationStatus", "PowerUsage")), 0)
    found = silent.read()
    assert (found.clock_reasons, found.power_watts) == (None, None)
    assert set(found.held_seconds.values()) == {None}
    assert found.temperature_celsius == 40
    assert flags(found, QUIET, 1.0) == []
    assert set(held_seconds(found, QUIET).values()) == {None}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (IDLE, IDLE | APPLICATION, []),
        (IDLE, POWER, ["the GPU's clock was held back by its power cap"]),
        (
            POWER,
            HEAT | POWER | APPLICATION,
            ["the GPU's clock was held back by its power cap, its hardware's limit on heat"],
        ),
        (IDLE, 0x4000, ["the GPU's clock was held back by reason 0x4000"]),
    ],
    ids=["idle and asked for", "power", "power and heat", "one that is not known"],
)
def test_a_reason_other_than_idling_and_a_setting_is_flagged(
    before: int, after: int, said: list[str]
) -> None:
    one, other = (replace(QUIET, clock_reasons=mask) for mask in (before, after))
    assert flags(one, other, 10.0) == said


@pytest.mark.parametrize(("held", "flagged"), [(0.09, False), (0.11, True)])
def test_a_policy_is_flagged_that_held_the_clock_for_a_hundredth_of_the_time(
    held: float, flagged: bool
) -> None:
    later = replace(QUIET, held_seconds={**QUIET.held_seconds, "thermal": 5.0 + held})
    said = "the GPU's clock was held back for 0.11 s by its limits on heat"
    assert flags(QUIET, later, 10.0) == ([said] if flagged else [])


@pytest.mark.parametrize("policy", nvml.POLICIES)
def test_every_policy_that_held_a_clock_is_told_in_words(policy: str) -> None:
    (said,) = flags(QUIET, replace(QUIET, held_seconds={**QUIET.held_seconds, policy: 9.0}), 10.0)
    assert said == f"the GPU's clock was held back for 4.00 s by {nvml.HOLDS[policy]}"


def test_a_gpu_is_found_by_its_drivers_name_and_a_part_of_one_is_not() -> None:
    found = nvml.named(fake(), "1f")
    assert found is not None
    assert found.read().temperature_celsius == 40
    assert nvml.named(fake(), "part") is None
    assert nvml.named(None, "1f") is None


def states(library: ModuleType) -> dict[str, str]:
    return {one.topic: one.state for one in gpu.judged(nvml.every(library))}


def test_a_gpu_of_our_own_is_fine_but_for_a_clock_that_may_not_be_locked() -> None:
    assert states(fake()) == {
        "GPU persistence": FINE,
        "GPU clock": UNKNOWN,
        "GPU throttling": FINE,
        "GPU processes": FINE,
    }


@pytest.mark.parametrize(
    ("answers", "topic", "said"),
    [
        ({"PersistenceMode": 0}, "GPU persistence", "off"),
        ({"CurrentClocksEventReasons": HEAT}, "GPU throttling", "hardware's limit on heat: 40 °C"),
        ({"UtilizationRates": SimpleNamespace(gpu=90)}, "GPU processes", "busy 90 % of the time"),
        ({"ComputeRunningProcesses": [SimpleNamespace(pid=7)]}, "GPU processes", "process 7"),
    ],
)
def test_what_disturbs_is_told_with_what_to_do(
    answers: dict[str, object], topic: str, said: str
) -> None:
    found = {one.topic: one for one in gpu.judged(nvml.every(fake(**answers)))}
    assert {name for name, one in found.items() if one.state == DISTURBS} == {topic}
    assert said in found[topic].seen
    assert found[topic].advice


def test_of_several_gpus_the_one_that_disturbs_is_named() -> None:
    library = fake(PersistenceMode=(1, 0))
    library.__dict__["nvmlDeviceGetCount"] = lambda: 2
    found = gpu.persistence(nvml.every(library))
    assert (found.state, found.seen[:12]) == (DISTURBS, "off on GPU 1")


def test_what_the_driver_does_not_say_is_unknown() -> None:
    names = ("PersistenceMode", "ClockInfo", "CurrentClocksEventReasons")
    silent = fake(refuses=(*names, "ComputeRunningProcesses", "UtilizationRates"))
    assert set(states(silent).values()) == {UNKNOWN}


def test_no_gpu_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as where nobody installed it
    monkeypatch.setattr(environment, "describe", lambda: {"gpu": None})
    assert gpu.findings() == []
    assert gpu.judged([]) == []


def test_a_gpu_that_nvml_does_not_tell_of_is_unknown_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(environment, "describe", lambda: {"gpu": "NVIDIA H100"})
    (found,) = gpu.findings()
    assert (found.state, found.advice) == (UNKNOWN, "pip install nvidia-ml-py")
    assert found.seen.startswith("NVIDIA H100")


def test_a_driver_that_does_not_answer_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise Refused

    library = fake()
    library.__dict__["nvmlInit"] = refuse
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert nvml.library() is None
    library.__dict__["nvmlInit"] = lambda: None
    assert nvml.library() is library


@pytest.mark.parametrize("answers", [True, False], ids=["new enough", "too old"])
def test_a_library_too_old_to_say_what_holds_a_clock_is_none(
    monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    library = fake()
    if not answers:
        del library.__dict__["nvmlDeviceGetCurrentClocksEventReasons"]
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert (nvml.library() is library) == answers


def test_a_gpu_that_fell_off_the_bus_keeps_its_number_and_tells_nothing() -> None:
    def handle(number: int) -> int:
        if number == 0:
            raise Refused
        return number

    library = fake(PersistenceMode=(1, 0))
    library.__dict__.update(nvmlDeviceGetCount=lambda: 2, nvmlDeviceGetHandleByIndex=handle)
    lost, other = nvml.every(library)
    assert lost.ask(library.__dict__["nvmlDeviceGetPersistenceMode"]) is None
    assert other.ask(library.__dict__["nvmlDeviceGetPersistenceMode"]) == 0
    assert gpu.persistence([lost, other]).state == UNKNOWN


def test_a_driver_that_cannot_count_its_gpus_has_none() -> None:
    def refuse() -> int:
        raise Refused

    library = fake()
    library.__dict__["nvmlDeviceGetCount"] = refuse
    assert nvml.every(library) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_the_gpu_that_torch_uses_tells_its_clock_and_what_holds_that_back() -> None:
    pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    uuid = str(torch.cuda.get_device_properties(0).uuid)
    found = nvml.named(nvml.library(), uuid)
    assert found is not None
    work = torch.ones(4096, 4096, device="cuda")
    for _ in range(50):
        work = work @ work * 1e-4
    torch.cuda.synchronize()
    reading = found.read()
    assert reading.sm_clock_hertz is not None
    assert 1e8 < reading.sm_clock_hertz < 5e9
    assert reading.clock_reasons is not None
    assert len(gpu.findings()) == 4
