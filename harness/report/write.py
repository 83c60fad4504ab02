"""The report's files: one page, its Markdown, every figure and every table, each written whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from harness.report import content, markdown, page
from harness.report.columns import Table
from harness.report.content import Source
from harness.report.figures import canvas

__all__ = ["Source", "write"]


def write(sources: Sequence[Source], folder: Path) -> Path:
    """Write the report of the sources into `folder`; return the path of its page."""
    report = content.gather(sources)
    svgs: dict[str, str] = {}
    for drawing in content.every_drawing(report):
        svgs[drawing.key] = canvas.svg(drawing)
        _put(folder / "figures" / f"{drawing.key}.svg", svgs[drawing.key].encode())
        _put(folder / "figures" / f"{drawing.key}.pdf", canvas.pdf(drawing))
        _put(folder / "tables" / f"figure-{drawing.key}.csv", _csv(drawing.data))
    for table in content.every_table(report):
        _put(folder / "tables" / f"{table.key}.csv", _csv(table.data))
        _put(folder / "tables" / f"{table.key}.tex", _tex(table).encode())
    _put(folder / "tables" / "trials.csv", _csv(report.frame))
    _put(folder / "report.md", markdown.render(report).encode())
    index = folder / "index.html"
    _put(index, page.render(report, svgs).encode())  # last: it links to all the others
    return index


def _put(path: Path, data: bytes) -> None:
    """Write the file beside its place, then move it there: no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        Path(beside).chmod(0o644)  # mkstemp's 0600 would keep a web server out
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _csv(data: pd.DataFrame) -> bytes:
    return data.to_csv(index=False, lineterminator="\n").encode()


def _tex(table: Table) -> str:
    formats = "".join("r" if column.numeric else "l" for column in table.columns)
    text: str = table.shown().to_latex(index=False, escape=True, column_format=formats)
    return text
