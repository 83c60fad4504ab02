"""What does the harness add to a sample? Wanted: at most 1 %.

A method's gradient and an optimizer's step by hand, and the same through the drive and the
stopwatch, in turns; and what a sample costs that holds nothing, as a share of the shortest sample.
"""

import sys
import time

import torch

from harness.measure.stopwatch import stopwatch_of
from harness.registry import Registry
from harness.rig import Rig, build
from harness.stats import paired_ratio
from harness.trial import Choice, Implementation, SpeedProtocol, Trial

WANTED = 0.01
TURNS = {16: 3000, 64: 1500, 256: 400}  # by length


def rig_of(length: int) -> Rig:
    full = Implementation(Choice("full_bptt"))
    sizes = (length, 32, 8)
    return build(
        Trial(
            *("speed", full, Choice("elman"), Choice("adding"), *sizes, "cpu", "float32", 1),
            *("sequence", "adam", 1e-3, 0, 0),
        ),
        Registry.scan(),
    )


def main() -> int:
    torch.set_num_threads(1)
    watch, worst = stopwatch_of(torch.device("cpu"), lambda: None), 0.0
    for length, turns in TURNS.items():
        rig = rig_of(length)
        model, batch, generator = rig.model, rig.batch(), rig.generator("method")
        ours, theirs = rig.optimizer(0.0), rig.optimizer(0.0)
        drive = rig.drive(ours)

        def driven() -> None:
            drive.sequence(batch, drive.begin(8, generator))  # noqa: B023  # called in this turn

        def plain() -> None:
            gradient, _ = rig.method.gradient(model, batch, model.initial_state(8))  # noqa: B023
            for name, param in model.named_parameters():  # noqa: B023
                param.grad = gradient.params[name]
            theirs.step()  # noqa: B023

        driven(), plain()
        count, with_harness, without = max(1, 128 // length), [], []
        for turn in range(turns):
            for which in (0, 1) if turn % 2 else (1, 0):
                if which:
                    with_harness.append(watch.sample(driven, count).seconds)
                    continue
                start = time.perf_counter()
                for _ in range(count):
                    plain()
                without.append((time.perf_counter() - start) / count)
        ratio = paired_ratio(with_harness, without)
        worst = max(worst, ratio.estimate - 1)
        print(
            f"T = {length:4}  harness / by hand {ratio.estimate:.4f}"
            f" [{ratio.low:.4f}, {ratio.high:.4f}]  ({without[-1] * 1e3:.2f} ms a sequence)"
        )
    share = watch.cost_seconds() / SpeedProtocol().min_sample_seconds
    print(f"an empty sample is {share:.1e} of the shortest sample; wanted: 1e-4")
    print(f"most added: {worst:.2%}; wanted: {WANTED:.0%}")
    return int(worst > WANTED or share > 1e-4)


if __name__ == "__main__":
    sys.exit(main())
