"""The report as Markdown, for where a page cannot go."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.report import again
from harness.report.columns import Table
from harness.report.content import Content, Section


def render(report: Content) -> str:
    """Return the report's words, figures as links, and tables."""
    parts = [f"# {escape(report.title)}", *map(escape, report.descriptions)]
    parts += [report.short] if report.short else []
    parts += [f"> {escape(warning)}" for warning in report.trust.warnings]
    parts.append("\n".join(f"- {name}: {escape(fact)}" for name, fact in report.trust.facts))
    parts.append("\n".join(f"- {escape(machine)}" for machine in report.trust.machines))
    for section in report.sections:
        parts += _section(section, report)
    parts.append("## How do I get it again?")
    for source in report.sources:
        parts.append(f"### {escape(source.name)}")
        parts += [_code(again.commands(source.records, source.command))]
        parts += [escape(again.caveat(source.records)), _code(source.sweep_toml)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(section: Section, report: Content) -> Iterator[str]:
    yield f"## {section.title}"
    if section.key == "answer":
        yield from map(escape, report.answer.sentences)
    for drawing in section.drawings:
        yield f"### {escape(drawing.title)}"
        yield escape(drawing.finding)
        yield f"![{escape(drawing.title)}](figures/{drawing.key}.svg)"
        yield escape(drawing.caption)
    for one in section.tables:
        yield table(one)
        yield f"{escape(one.note)} [CSV](tables/{one.key}.csv)"
    if not section.drawings and not section.tables:
        yield section.missing


def table(of: Table) -> str:
    """Return the table as Markdown shows it."""
    shown = of.shown()
    ends = ["---:" if column.numeric else "---" for column in of.columns]
    lines = [list(map(str, shown.columns)), *shown.astype(str).to_numpy().tolist()]
    rows = ["| " + " | ".join(map(_cell, line)) + " |" for line in lines]
    return "\n".join([rows[0], "| " + " | ".join(ends) + " |", *rows[1:]])


def _cell(text: str) -> str:
    return " ".join(escape(text).split()).replace("|", "\\|")


def escape(text: str) -> str:
    """Return the text with what Markdown or HTML would act on made plain."""
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", text)


def _code(text: str) -> str:
    """Return a code block whose fence is longer than any inside it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{text.rstrip()}\n{fence}" if text else ""
