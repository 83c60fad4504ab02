"""The longest sequence that trains under a cap on memory, beside what theory predicts."""

from __future__ import annotations

import pandas as pd

from harness.report import pairs
from harness.report.columns import Column, Row, Table, axes, metric, word
from harness.report.units import RATIO

KEYS = [*pairs.SETTING, "implementation"]
NUMBERS = ["cap_bytes", "longest_length", "predicted_length"]
ENDS = {  # what kept the search from a longer one -> in words
    "cap": "the cap",
    "memory": "an allocation that failed below the cap",
    "time": "time: longer ones may fit",
    "task": "the task: it has none longer",
}


def table(frame: pd.DataFrame) -> Table:
    """Return found against predicted, one row a setting and series; of several blocks the least."""
    known = frame[(frame["measurement"] == "capacity") & (frame["status"] == "done")]
    shortest = known.sort_values("longest_length").drop_duplicates(KEYS)
    data = shortest[[*KEYS, *NUMBERS, "stop_reason"]]
    data = data.assign(found_over_predicted=data["longest_length"] / data["predicted_length"])
    heads = pairs.heads(frame, pairs.SETTING)
    columns = (
        metric("cap_bytes"),
        metric("longest_length", "longest T that fits"),
        metric("predicted_length", "theory"),
        Column("found / theory", lambda row: RATIO.text(row["found_over_predicted"])),
        Column("ended by", _end, numeric=False),
    )
    note = (
        "Found by trying lengths, within the precision of [measure.capacity]. Theory counts what is"
        " static, the batch, what is kept, and what a method's formula says of its backward pass;"
        " where that says nothing, fewer steps fit. Where time ended the search, the length is a"
        " lower bound."
    )
    whole = (*axes(heads), word("implementation"), *columns)
    rows = pairs.ordered(data, frame, pairs.SETTING)
    return Table("capacity", "How long a sequence fits?", note, rows, whole, len(heads))


def _end(row: Row) -> str:
    return ENDS[str(row["stop_reason"])]
