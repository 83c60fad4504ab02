"""What does checkpointing cost? Wanted: the predicted time within 10 %, and the published mark.

In one process and in turns: full BPTT, the same steps forward without a graph, full BPTT with a
graph of its own for every step, and the methods that run steps again. Prediction: the time of full
BPTT, with a graph a step where the method has that, and each step beyond its T at the price of a
step without a graph. One thread's processor time, which other programs disturb least.
The mark of Gruslys et al. (2016): 95 % of the memory saved at T = 1000 for a third more time, that
is with slots for 50 steps' activations.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch

from harness.contract import GradientMethod
from harness.registry import Registry
from harness.rig import Rig, build
from harness.trial import Choice, Implementation, Trial
from implementations.gradients import _schedules

LENGTH, HIDDEN_SIZE, BATCH_SIZE, SLOTS = 1000, 128, 32, 50
TURNS = 7  # a setting: enough for a median on a shared machine
NEAR, MARK = 0.10, 1.32  # of the prediction; times full BPTT, as published
STATES = _schedules.of_states(LENGTH, SLOTS).forward_steps(LENGTH)
INTERNALS = _schedules.of_internals(LENGTH, SLOTS).forward_steps(LENGTH)
# The method, its parameters, its steps forward, and the run whose graphs are as large as its own.
RIVALS: tuple[tuple[str, dict[str, int], int, str], ...] = (
    ("checkpointed", {}, 2 * LENGTH, "full"),
    ("checkpointed_states", {"slots": SLOTS}, STATES, "single"),
    ("checkpointed_internals", {"slots": SLOTS}, INTERNALS, "full"),
)


def rig_of(gradient: str, params: dict[str, int], cell: str) -> Rig:
    trial = Trial(
        *("speed", Implementation(Choice(gradient, params)), Choice(cell), Choice("adding")),
        *(LENGTH, HIDDEN_SIZE, BATCH_SIZE, "cpu", "float32", 1, "sequence", "adam", 1e-3, 0, 0),
    )
    return build(trial, Registry.scan())


def gradient_of(rig: Rig) -> Callable[[], object]:
    model, batch = rig.model, rig.batch()
    method: GradientMethod = rig.method
    return lambda: method.gradient(model, batch, model.initial_state(BATCH_SIZE))


def bare_steps(rig: Rig) -> Callable[[], object]:
    model, batch = rig.model, rig.batch()

    @torch.no_grad()
    def forward() -> None:
        state = model.initial_state(BATCH_SIZE)
        for x in batch.inputs:
            state = model.advance(x, state)

    return forward


def medians(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(TURNS + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if turn:  # the first pays for page faults
                seconds[name].append(time.process_time() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def main() -> int:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # as in every trial
    misses = 0
    for cell in ("elman", "gru", "lstm"):
        full = rig_of("full_bptt", {}, cell)
        runs = {"full": gradient_of(full), "bare": bare_steps(full)}
        runs["single"] = gradient_of(rig_of("checkpointed", {"segment": 1}, cell))
        for name, params, _, _ in RIVALS:
            runs[name] = gradient_of(rig_of(name, params, cell))
        took = medians(runs)
        took["single"] -= took["bare"]  # it runs the steps once before
        for name, _, steps, graphs in RIVALS:
            beyond = steps / LENGTH - 1
            predicted = (took[graphs] + beyond * took["bare"]) / took["full"]
            measured = took[name] / took["full"]
            missed = abs(measured / predicted - 1) > NEAR
            missed |= name == "checkpointed_internals" and measured > MARK
            misses += missed
            print(
                f"{cell:5} {name:22} {beyond + 1:.3f} T steps forward: {measured:.2f} times full"
                f" BPTT, predicted {predicted:.2f}{' MISSED' * missed}",
                flush=True,
            )
    return int(misses > 0)


if __name__ == "__main__":
    sys.exit(main())
