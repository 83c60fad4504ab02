"""How often are equals called different? Wanted: no more than the 5 % of a 95 % interval allow.

20 A/A sweeps of 6 blocks, the fewest that have verdicts: full BPTT, its A/A copy and its twin from
a plugin file, on this machine as it is; then 20 of metronomes, whose times and noise are known. Of
those, the same as if the machine had grown slower from each sweep's first trial to its last, by 1 %
and by 10 %: no verdict may come of that. No order of trials turns 1 % into a verdict, so it is the
10 % that can fail: had the twin run when all others were done, it would.
"""

import sys

from rivals import (
    TWINS,
    clocked,
    drifted,
    drifted_in_turn,
    frames,
    scatter,
    told,
    trials,
    verdicts,
)
from scipy.stats import binom

SWEEPS = 20
LENGTHS, BLOCKS = (32, 64), 6  # two A/A pairs; more would not end in six minutes
ALLOWED = 0.05
EQUAL = 1 + 1e-9  # a rival must differ from what it is set against
DRIFT, STRONG = 0.01, 0.10


def main() -> int:
    missed, found = 0, {}
    for name, pair in (("as it is", TWINS), ("metronomes", clocked(EQUAL))):
        found = frames(trials(pair, range(SWEEPS), LENGTHS, BLOCKS))
        plain = [verdicts(frame) for frame in found.values()]
        points, false = sum(map(len, plain)), _false(plain)
        missed += false > ALLOWED * points
        chance = binom.sf(false - 1, points, ALLOWED)
        print(f"A/A, {name}: {false} of {points} verdicts are false ({told(plain)})")
        print(f"     as many or more come of a rate of {ALLOWED:.0%} with odds of {chance:.2f}")
        print(f"     equals differ by {scatter(found.values()):.1%} from process to process")
    for drift in (DRIFT, STRONG):
        moved = [verdicts(drifted(frame, drift)) for frame in found.values()]
        missed += _false(moved) > false
        print(f"{drift:.0%} of drift: {_false(moved)} of {points} are false ({told(moved)})")
    in_turn = [verdicts(drifted_in_turn(frame, STRONG)) for frame in found.values()]
    control = _false(in_turn)
    print(f"control, {STRONG:.0%} and no blocks: {control} of {points} are false ({told(in_turn)})")
    return int(missed > 0 or control < points / 2)


def _false(found: list) -> int:
    return sum(int(table["verdict"].isin(["faster", "slower"]).sum()) for table in found)


if __name__ == "__main__":
    sys.exit(main())
