"""SVG as the page wants it: colours by name, so that light and dark share one drawing.

The page's Content-Security-Policy allows no style attribute; every distinct one becomes a class.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from markupsafe import Markup, escape

from harness.report.figures.canvas import FONTS
from harness.report.figures.palette import COLOURS

DECIMALS = 2  # of a coordinate in points: finer than any screen


def inline(figures: Sequence[tuple[str, str]]) -> tuple[list[Markup], str]:
    """Return each (SVG, description) as markup for the page, and the rules that they all need."""
    classes: dict[str, str] = {}
    drawn = [_inline(text, described, classes) for text, described in figures]
    rules = (f".{name}{{{_variables(style)}}}" for style, name in classes.items())
    return drawn, "\n".join(rules)


def palette(dark: bool) -> str:
    """Return every colour as a CSS variable."""
    return "".join(
        f"--{colour.name}:{colour.dark if dark else colour.light};" for colour in COLOURS
    )


def _inline(text: str, described: str, classes: dict[str, str]) -> Markup:
    def named(match: re.Match[str]) -> str:
        return f'class="{classes.setdefault(match[1], f"f{len(classes)}")}"'

    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'style="([^"]*)"', named, body)
    body = re.sub(r'<g id="[^"]*"', "<g", body)  # groups' ids repeat from figure to figure
    body = re.sub(r' transform="rotate\(-0 [^"]*"', "", body)
    body = re.sub(r"<defs>\s*</defs>", "", body)
    body = re.sub(r'="[^"]*\d\.\d{3,}[^"]*"', _rounded, body)  # attributes only: text is data
    body = re.sub(r"\s*\n\s*", " ", body)
    head = f'<svg role="img" aria-label="{escape(described)}"'
    width = r' width="[^"]*" height="[^"]*"'
    return Markup(re.sub(width, "", body.replace("<svg", head, 1), count=1))  # ours


def _rounded(attribute: re.Match[str]) -> str:
    return re.sub(r"\d+\.\d{3,}", lambda match: f"{float(match[0]):.{DECIMALS}f}", attribute[0])


def _variables(style: str) -> str:
    for colour in COLOURS:
        style = style.replace(colour.light, f"var(--{colour.name})")
    return style.replace(FONTS, "var(--sans)").replace("; ", ";").replace(": ", ":")
