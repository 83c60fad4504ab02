"""A comparison as text: for a terminal, and as Markdown for the summary of a CI run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.report import markdown
from harness.report.columns import Table
from harness.report.compare.comparison import Comparison
from harness.report.compare.thresholds import Regression
from harness.report.compare.told import headline, parts


def as_markdown(compared: Comparison, regressions: Sequence[Regression]) -> str:
    """Return the comparison as Markdown."""
    made = [f"# {markdown.escape(headline(compared))}"]
    for part in parts(compared, regressions):
        made.append(f"## {part.title}")
        made.append("\n".join(f"- {markdown.escape(line)}" for line in part.lines))
        made += [markdown.table(part.table)] if part.table is not None else []
    return "\n\n".join(one for one in made if one) + "\n"


def as_text(compared: Comparison, regressions: Sequence[Regression]) -> str:
    """Return the comparison as a terminal shows it."""
    made = [headline(compared)]
    for part in parts(compared, regressions):
        lines = [part.title, *(f"  {line}" for line in part.lines)]
        lines += [f"  {line}" for line in _aligned(part.table)] if part.table is not None else []
        made.append("\n".join(lines))
    return "\n\n".join(made)


def _aligned(table: Table) -> Iterable[str]:
    """Return the table's lines, columns side by side: words to the left, numbers to the right."""
    shown = table.shown().astype(str)
    columns = []
    for column in table.columns:
        cells = [column.heading, *shown[column.heading]]
        wide = max(map(len, cells))
        columns.append([cell.rjust(wide) if column.numeric else cell.ljust(wide) for cell in cells])
    return ["  ".join(line).rstrip() for line in zip(*columns, strict=True)]
