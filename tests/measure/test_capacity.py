"""The longest length under a cap: found within the precision, or bounded by else."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from rigs import REGISTRY, rig_of, trial_of

from harness.measure import capacity
from harness.measure.account import is_out_of_memory
from harness.measure.capacity import Search, _explore, measure, predicted_length
from harness.measure.memory import account
from harness.rig import Rig, build
from harness.trial import Choice, Limits

CAP = 150_000


def capped(gradient: str = "full_bptt", cap: int = CAP, **changes: object) -> Rig:
    settings = {"sequence_length": 10, "limits": Limits(60.0, cap), **changes}
    return rig_of("capacity", gradient, hidden_size=16, **settings)


def needed(rig: Rig, length: int) -> int:
    longer = replace(rig, trial=replace(rig.trial, sequence_length=length))
    return account(longer, rig.optimizer(0.0), longer.batch()).peak


def test_the_longest_length_fits_and_one_past_the_precision_does_not() -> None:
    rig = capped()
    values = measure(rig)
    longest = values["longest_length"]
    assert values["bounded_by"] == "cap"
    assert needed(rig, longest) <= CAP < needed(rig, int(longest * 1.01) + 1)
    assert values["too_long"] <= longest * 1.01 + 1
    assert dict(values["probes"])[longest] <= CAP


def test_theory_predicts_it_of_full_bptt_within_a_tenth() -> None:
    values = measure(capped())
    assert values["longest_length"] == pytest.approx(values["predicted_length"], rel=0.1)


def test_a_length_predicted_is_the_last_that_theory_lets_fit() -> None:
    rig = capped()
    length = predicted_length(rig, CAP)
    assert length is not None
    assert length < predicted_length(rig, 2 * CAP)  # type: ignore[operator]
    assert predicted_length(rig, 10) == 0


def test_a_start_that_does_not_fit_has_no_length() -> None:
    values = measure(capped(cap=1000))
    assert values["longest_length"] == 0
    assert values["too_long"] == 10
    assert values["bounded_by"] == "cap"


def test_what_would_take_too_long_is_not_tried() -> None:
    values = measure(capped(cap=2**50, protocol={"max_seconds": 0.0}))
    assert values["bounded_by"] == "time"
    assert values["too_long"] is None
    assert values["longest_length"] == 10


def found_by(peaks: object, cap: int = 10_000) -> Search:
    search = Search(cap)
    _explore(search, peaks, rig_of("capacity"), 0.01, 60.0)  # type: ignore[arg-type]
    return search


@pytest.mark.parametrize(
    "peak",
    [
        lambda length: 500 + 3 * length,
        lambda length: 500 + length + 60 * round(length**0.5),
        lambda length: 500 + 64 * (length // 21),
    ],
    ids=["a line", "a root beside it", "stairs"],
)
def test_few_probes_find_the_end_of_lines_roots_and_stairs(peak: object) -> None:
    search = found_by(peak)
    assert search.too_long is not None
    assert search.too_long <= search.fits * 1.01 + 1
    assert len(search.probes) <= 16  # eight by lines, then halves
    assert search.bounded_by == "cap"


def test_a_shorter_probe_takes_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0

    def peak(length: int) -> int:
        nonlocal clock
        clock += 0.01 * length
        return 3 * length

    monkeypatch.setattr(capacity, "time", SimpleNamespace(monotonic=lambda: clock))
    search = Search(10**9)
    _explore(search, peak, rig_of("capacity", sequence_length=10), 0.01, budget=10.0)
    # After 10, 20 and 320 steps the next leap, to 5,120, would take 51 s; 6.5 s are left.
    assert search.bounded_by == "time"
    assert search.fits > 500
    assert 8.0 < clock < 10.0


def test_an_accelerators_cache_is_emptied_before_each_probe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda _: log.append("synchronise"))
    monkeypatch.setattr(torch.accelerator, "empty_cache", lambda: log.append("empty"))
    capacity._tidy(torch.device("cpu"))
    assert log == []
    monkeypatch.setattr(
        capacity, "_tidy", lambda _, tidy=capacity._tidy: tidy(torch.device("cuda"))
    )
    rig = rig_of("capacity")
    assert capacity._needed(rig, 10)
    assert capacity._needed(rig, 20)
    assert log == ["synchronise", "empty"] * 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_on_a_gpu_what_was_tried_before_does_not_change_the_longest_length() -> None:
    limit = 2**31  # of which cuBLAS has 64 MiB for itself
    settings = {"device": "cuda", "hidden_size": 256, "batch_size": 512, "sequence_length": 16}
    settings["cell"] = Choice("elman")  # of which torch has no fused cell, which keeps more
    trial = replace(trial_of("capacity", **settings), limits=Limits(60.0, limit))
    first, second = (measure(build(trial, REGISTRY)) for _ in range(2))
    torch.cuda.set_per_process_memory_fraction(1.0)
    assert first["bounded_by"] in ("cap", "memory")
    assert first["too_long"] <= 1.01 * first["longest_length"] + 1
    assert second["longest_length"] == pytest.approx(first["longest_length"], rel=0.01)
    assert first["longest_length"] == pytest.approx(first["predicted_length"], rel=0.1)


def test_an_allocation_that_fails_below_the_cap_bounds_it_too() -> None:
    search = found_by(lambda length: 3 * length if length < 1234 else None)
    assert search.bounded_by == "memory"
    assert 1234 / 1.012 <= search.fits < 1234


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (MemoryError(), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublasSgemm"),
            False,
        ),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
    ids=str,
)
def test_a_lack_of_memory_is_told_from_other_errors(error: Exception, is_one: bool) -> None:
    assert is_out_of_memory(error) == is_one
