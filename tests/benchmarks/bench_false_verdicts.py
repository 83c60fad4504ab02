"""How often are equals called different? Wanted: no more than the 5 % of a 95 % interval allow.

20 A/A sweeps of 6 blocks, the fewest that have verdicts: full BPTT, its A/A copy and its twin from
a plugin file. Then the same as if the machine had grown 1 % slower from each sweep's first trial to
its last: none of the 20 may come out different for that.
"""

import sys

from rivals import drifted, frames, scatter, told, trials, verdicts
from scipy.stats import binom

SWEEPS = 20
LENGTHS, BLOCKS = (48,), 6  # more would not end in four minutes
ALLOWED = 0.05
DRIFT = 0.01


def main() -> int:
    found = frames(trials("twin", range(SWEEPS), LENGTHS, BLOCKS))
    plain = [verdicts(frame) for frame in found.values()]
    moved = [verdicts(drifted(frame, DRIFT)) for frame in found.values()]
    points = sum(map(len, plain))
    false, misled = _false(plain), _false(moved)
    chance = binom.sf(false - 1, points, ALLOWED)
    print(f"A/A: {false} of {points} verdicts are false ({told(plain)})")
    print(f"     as many or more come of a rate of {ALLOWED:.0%} with odds of {chance:.2f}")
    print(f"     {scatter(found.values())}")
    print(f"1 % of drift: {misled} of {points} verdicts are false ({told(moved)})")
    return int(false > ALLOWED * points or misled > false)


def _false(found: list) -> int:
    return sum(int(table["verdict"].isin(["faster", "slower"]).sum()) for table in found)


if __name__ == "__main__":
    sys.exit(main())
