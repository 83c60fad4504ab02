"""Two runs of a sweep, compared: what became slower, larger or impossible, and how sure that is.

Two runs are two moments. A block of one shares weights and batches with the block of the same
number in the other, but not the state of the machine, and whatever a machine did for a whole run
no number of blocks can average out. So times are not compared as they are:

- judged is the time over the floor, the bare matrix products timed in the same trial. A machine
  that is slower today is slower at those too, and no plugin's source can change them;
- beside it stand the time over the baseline's, of the same block, and the time as it was. The
  first is blind where the baseline itself changed; the second where the machine did;
- where the floor is missing from a record of an implementation at a point (its matrices may not
  fit into memory), the baseline's time takes its place there, and the baseline itself is not
  judged; without a baseline the time as it was. The output says how many are judged by which.

What the floor cannot see: a machine that became slower at something else, as Python or memory,
alone. To know how much of that there is, compare two runs of the same commit.
"""

from harness.report.compare.comparison import Comparison, Run, compare
from harness.report.compare.thresholds import Regression, Threshold, judged, undecidable

__all__ = [
    "Comparison",
    "Regression",
    "Run",
    "Threshold",
    "compare",
    "judged",
    "undecidable",
]
