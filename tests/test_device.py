"""An accelerator's memory is held to the trial's limit; a fake has what torch's modules have."""

from dataclasses import dataclass, replace
from types import ModuleType, SimpleNamespace

import pytest
import torch
from rigs import trial_of

from harness import device
from harness.measure.account import CONTEXT_BYTES, room
from harness.trial import Choice, Limits, Trial
from harness.worker import ADVICE, _memory_advice, _memory_reason, _wanted, run

CUDA, CPU = torch.device("cuda:0"), torch.device("cpu")
TOTAL, MEBIBYTE = 84_000_000_000, 2**20  # no power of 2: a share of it is rounded
FULL = "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


@dataclass
class Allocator:
    """What torch's allocator of a fake device was told and says."""

    share: float = 1.0
    reserved: int = 0
    free: int = TOTAL
    initialized: bool = True
    answers: bool = True


@pytest.fixture
def allocator(monkeypatch: pytest.MonkeyPatch) -> Allocator:
    """Return the allocator of a device that is not there."""
    made, module = Allocator(), ModuleType("torch.fake")

    def tell(share: float, number: int) -> None:
        assert number == 0  # as torch: "cuda" without a number is refused
        made.share = share

    def told(number: int) -> float:
        assert number == 0
        if not made.answers:
            raise RuntimeError(FULL)
        return made.share

    def info(_: torch.device) -> tuple[int, int]:
        if not made.answers:
            raise RuntimeError(FULL)
        return made.free, TOTAL

    module.__dict__.update(
        set_per_process_memory_fraction=tell,
        get_per_process_memory_fraction=told,
        is_initialized=lambda: made.initialized,
        get_device_properties=lambda _: SimpleNamespace(total_memory=TOTAL, uuid="1f"),
    )
    monkeypatch.setattr(torch, "get_device_module", lambda _: module)
    monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: 0)
    monkeypatch.setattr(torch.accelerator, "memory_reserved", lambda _: made.reserved)
    monkeypatch.setattr(torch.accelerator, "get_memory_info", info)
    return made


@pytest.mark.parametrize("limit", [1, 8 * 2**30 + 1, TOTAL - 1])
def test_the_limit_in_force_is_the_one_asked_for_to_the_byte(
    allocator: Allocator, limit: int
) -> None:
    device.hold(CUDA, limit)
    assert device.held_bytes(CUDA) == device.held_bytes(torch.device("cuda")) == limit


@pytest.mark.parametrize("limit", [None, TOTAL, 2 * TOTAL])
def test_no_limit_and_one_beyond_the_device_are_none(
    allocator: Allocator, limit: int | None
) -> None:
    device.hold(CUDA, limit)
    assert (allocator.share, device.held_bytes(CUDA)) == (1.0, None)


def test_a_limit_that_the_environment_set_stays_where_a_trial_has_none(
    allocator: Allocator,
) -> None:
    allocator.share = 0.5
    device.hold(CUDA, None)
    assert device.held_bytes(CUDA) == TOTAL // 2


def test_a_processor_and_a_device_that_was_not_begun_have_no_such_limit(
    allocator: Allocator,
) -> None:
    device.hold(CPU, 1)
    assert (allocator.share, device.held_bytes(CPU)) == (1.0, None)
    device.hold(CUDA, 1)
    allocator.initialized = False
    assert device.held_bytes(CUDA) is None


@pytest.mark.parametrize(
    ("limit", "reserved", "free", "left", "of"),
    [
        (None, TOTAL - 9, 9, 9, "accelerator"),
        (TOTAL - 2, TOTAL - 9, 9, 7, "limit"),
        (10, 12, 9, 0, "limit"),
        (TOTAL - 2, TOTAL - 9, 5, 5, "accelerator"),
        (None, 3, 9, 9, "shared accelerator"),
        (20, 3, 9, 9, "shared accelerator"),
        (None, TOTAL - 9 - CONTEXT_BYTES, 9, 9, "accelerator"),
        (None, TOTAL - 10 - CONTEXT_BYTES, 9, 9, "shared accelerator"),
    ],
    ids=[
        "no limit",
        "the limit is nearer",
        "the limit is passed",
        "the device is fuller",
        "others have it",
        "others have it, and a limit",
        "all but a context is its own",
        "more than a context is not",
    ],
)
def test_what_an_accelerator_can_still_give_is_the_less_of_its_own_and_the_limits(
    allocator: Allocator, limit: int | None, reserved: int, free: int, left: int, of: str
) -> None:
    device.hold(CUDA, limit)
    allocator.reserved, allocator.free = reserved, free
    found = room(CUDA)
    assert (found.free_bytes, found.of) == (left, of)


@pytest.mark.parametrize(
    ("said", "asked", "begins"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...", 2**31, "asked for 2.0"),
        ("CUDA out of memory. Tried to allocate 512 bytes. GPU 0 has ...", 512, "asked for 512 b"),
        ("CUDA error: out of memory\nCUDA kernel errors might", None, "CUDA error: out of memory,"),
    ],
    ids=["GiB", "bytes", "not torch's own"],
)
def test_a_lack_of_an_accelerators_memory_says_what_was_asked_left_and_the_limit(
    allocator: Allocator, said: str, asked: int | None, begins: str
) -> None:
    device.hold(CUDA, 8 * 2**30)
    allocator.reserved = 7 * 2**30
    error = torch.OutOfMemoryError(said)
    wanted = _wanted(error, limited(8 * 2**30), None)
    assert wanted["asked_bytes"] == asked
    assert (wanted["short_of"], wanted["limit_bytes"]) == ("limit", 8 * 2**30)
    reason = _memory_reason(error, wanted)
    assert reason.startswith(begins)
    assert reason.endswith("1.0 GiB of its limit of 8.0 GiB were free")
    assert _memory_advice(wanted).startswith("raise [limits] memory")


def test_a_full_accelerator_advises_no_limit_where_there_is_none(allocator: Allocator) -> None:
    allocator.reserved, allocator.free = TOTAL - 9, 9
    wanted = _wanted(torch.OutOfMemoryError("CUDA out of memory."), limited(None), None)
    assert (wanted["short_of"], wanted["limit_bytes"]) == ("accelerator", None)
    assert "[limits]" not in _memory_advice(wanted)


def test_an_accelerator_that_others_have_memory_of_says_so(allocator: Allocator) -> None:
    allocator.reserved, allocator.free = 2 * 2**30, 2**30
    wanted = _wanted(torch.OutOfMemoryError("CUDA out of memory."), limited(None), None)
    assert (wanted["short_of"], wanted["free_bytes"]) == ("shared accelerator", 2**30)
    assert "nvidia-smi" in _memory_advice(wanted)


def test_a_limit_that_the_environment_set_is_no_lack_of_the_nodes_memory(
    allocator: Allocator,
) -> None:
    allocator.share, allocator.reserved = 0.5, TOTAL // 2 - 9
    wanted = _wanted(torch.OutOfMemoryError("CUDA out of memory."), limited(None), None)
    assert (wanted["short_of"], wanted["limit_bytes"]) == ("accelerator", None)
    assert wanted["free_bytes"] == 9
    assert "PYTORCH_CUDA_ALLOC_CONF" in _memory_advice(wanted)


@pytest.mark.parametrize(
    ("said", "status"),
    [(FULL, "oom"), ("Found no NVIDIA driver on your system.", "failed")],
    ids=["too full for a context", "no driver"],
)
def test_a_device_too_full_to_begin_on_is_oom_and_one_that_is_not_there_has_failed(
    allocator: Allocator, monkeypatch: pytest.MonkeyPatch, said: str, status: str
) -> None:
    def refuse(*_: object, **__: object) -> torch.Tensor:
        raise RuntimeError(said)

    allocator.answers = False
    monkeypatch.setattr(device.torch, "empty", refuse)
    record = run(limited(None))
    assert record.status == status
    assert record.environment["device_bytes_limit"] is None
    if status == "oom":
        assert record.reason == "CUDA error: out of memory, and it had no room to say what was free"
        assert (record.values["short_of"], record.values["free_bytes"]) == (
            "shared accelerator",
            None,
        )
        assert record.advice.startswith(ADVICE["shared accelerator"])


def test_a_gpus_trial_that_this_machine_had_no_memory_for_is_not_short_of_the_gpus(
    allocator: Allocator,
) -> None:
    said = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes."
    wanted = _wanted(RuntimeError(said), limited(None), None)
    assert (wanted["short_of"], wanted["asked_bytes"]) == ("node", 4096)


def limited(limit: int | None, **changes: object) -> Trial:
    settings = {"device": "cuda", "hidden_size": 256, "batch_size": 64, "sequence_length": 256}
    trial = trial_of("memory", cell=Choice("lstm"), **{**settings, **changes})
    return replace(trial, limits=Limits(memory_bytes=limit))


@pytest.fixture
def gpu() -> object:
    """Leave the device as it was found."""
    yield torch.accelerator.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.accelerator.empty_cache()


@pytest.mark.gpu
@needs_cuda
def test_a_trial_past_its_limit_on_a_gpu_is_oom_and_says_what_was_asked_and_what_the_limit_was(
    gpu: object,
) -> None:
    whole = run(limited(None))
    assert whole.status == "done"
    limit = whole.values["peak_bytes"] // 2
    torch.accelerator.empty_cache()
    record = run(limited(limit))
    assert record.status == "oom"
    assert record.reason.startswith("asked for ")
    assert f"of its limit of {limit / MEBIBYTE:.0f} MiB were free" in record.reason
    assert (record.values["short_of"], record.values["limit_bytes"]) == ("limit", limit)
    assert record.values["asked_bytes"] > 0
    assert "raise [limits] memory" in record.advice
    assert record.environment["device_bytes_limit"] == limit


@pytest.mark.gpu
@needs_cuda
def test_a_trial_within_its_limit_on_a_gpu_is_done_and_reserves_no_more(gpu: object) -> None:
    limit = run(limited(None)).values["reserved_peak_bytes"] + 64 * MEBIBYTE
    torch.accelerator.empty_cache()
    record = run(limited(limit))
    assert record.status == "done"
    assert record.values["reserved_peak_bytes"] <= limit
    assert record.environment["device_bytes_limit"] == limit
