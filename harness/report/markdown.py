"""The report as Markdown, for where a page cannot go."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.report import again
from harness.report.columns import Table
from harness.report.content import Content, Section


def render(report: Content) -> str:
    """Return the report's words, figures as links, and tables."""
    parts = [f"# {_escape(report.title)}", *map(_escape, report.descriptions)]
    parts += [report.short] if report.short else []
    parts += [f"> {_escape(warning)}" for warning in report.trust.warnings]
    parts.append("\n".join(f"- {name}: {_escape(fact)}" for name, fact in report.trust.facts))
    parts.append("\n".join(f"- {_escape(machine)}" for machine in report.trust.machines))
    for section in report.sections:
        parts += _section(section, report)
    parts.append("## How do I get it again?")
    for source in report.sources:
        parts.append(f"### {_escape(source.name)}")
        parts += [_code(again.commands(source.records, source.command))]
        parts += [_escape(again.caveat(source.records)), _code(source.sweep_toml)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(section: Section, report: Content) -> Iterator[str]:
    yield f"## {section.title}"
    if section.key == "answer":
        yield from map(_escape, report.answer.sentences)
    for drawing in section.drawings:
        yield f"### {_escape(drawing.title)}"
        yield _escape(drawing.finding)
        yield f"![{_escape(drawing.title)}](figures/{drawing.key}.svg)"
        yield _escape(drawing.caption)
    for table in section.tables:
        yield _table(table)
        yield f"{_escape(table.note)} [CSV](tables/{table.key}.csv)"
    if not section.drawings and not section.tables:
        yield section.missing


def _table(table: Table) -> str:
    shown = table.shown()
    ends = ["---:" if column.numeric else "---" for column in table.columns]
    lines = [list(map(str, shown.columns)), *shown.astype(str).to_numpy().tolist()]
    rows = ["| " + " | ".join(map(_cell, line)) + " |" for line in lines]
    return "\n".join([rows[0], "| " + " | ".join(ends) + " |", *rows[1:]])


def _cell(text: str) -> str:
    return " ".join(_escape(text).split()).replace("|", "\\|")


def _escape(text: str) -> str:
    """Return the text with what Markdown or HTML would act on made plain."""
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", text)


def _code(text: str) -> str:
    """Return a code block whose fence is longer than any inside it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{text.rstrip()}\n{fence}" if text else ""
