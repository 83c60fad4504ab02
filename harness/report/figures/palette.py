"""Every colour of the report, for light and for dark paper, and who wears which.

Figures are drawn in the light colours; the page swaps each for a CSS variable of its name. All
that carries meaning has a contrast of at least 3 to 1 with the paper, in both themes, and differs
in marker and dash as well as in colour. Up to eight series beside the baseline have a colour each;
more share two neighbouring hues a kind, and tell themselves apart by marker and dash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from harness.report.kinds import is_crowded


@dataclass(frozen=True, slots=True)
class Colour:
    """One colour of the report in both themes."""

    name: str  # of the CSS variable
    light: str
    dark: str


@dataclass(frozen=True, slots=True)
class Style:
    """How one series is drawn, wherever it appears."""

    colour: str
    marker: str
    dashes: tuple[float, ...]  # on, off, ...; empty: solid


PAPER = Colour("paper", "#fefefd", "#16191d")
INK = Colour("ink", "#1e2226", "#e9ebee")
MUTED = Colour("muted", "#5b636b", "#a0a8b0")
RULE = Colour("rule", "#e2e5e8", "#30363d")
SERIES = (
    Colour("blue", "#0a62a9", "#62b0f4"),
    Colour("orange", "#c2460a", "#ff945e"),
    Colour("green", "#0b7d57", "#3fca9c"),
    Colour("purple", "#83469f", "#c898e4"),
    Colour("teal", "#0d7b8f", "#45c6dc"),
    Colour("pink", "#bf2f78", "#f788be"),
    Colour("ochre", "#8a6807", "#dfb43e"),
    Colour("olive", "#5c6c12", "#b6c65e"),
)
TINTS = (
    Colour("tint-stable", "#d3ecdf", "#1d4a3a"),
    Colour("tint-vanishing", "#d6e6f6", "#1f4163"),
    Colour("tint-exploding", "#fbddcc", "#6b3317"),
    Colour("tint-nonfinite", "#f5d3e4", "#66203f"),
    Colour("tint-mixed", "#ece6c8", "#4e4417"),
)
COLOURS = (PAPER, INK, MUTED, RULE, *SERIES, *TINTS)
VERDICT_TINTS: Mapping[str, str] = MappingProxyType(
    {tint.name.removeprefix("tint-"): tint.light for tint in TINTS}
)
_MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">")
_DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (6.0, 2.0),
    (2.0, 1.5),
    (6.0, 2.0, 1.5, 2.0),
    (4.0, 1.5, 1.5, 1.5),
)
_HUES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "exact": ("blue", "teal"),
        "truncated": ("orange", "ochre"),
        "unbiased": ("purple", "pink"),
        "approximate": ("green", "olive"),
    }
)


def styles(
    series: Sequence[str], baselines: Sequence[str], kinds: Mapping[str, str]
) -> dict[str, Style]:
    """Return a style a series: baselines in ink, the others coloured by place, or by kind."""
    others = [name for name in series if name not in baselines]
    made = {name: Style(INK.light, "o", ()) for name in baselines}
    made |= _own(others)
    if is_crowded(others, kinds):
        for kind, (name, second) in _HUES.items():
            hues = [colour for colour in SERIES if colour.name in (name, second)]
            made |= _own([one for one in others if kinds[one] == kind], hues)
    return made


def _own(names: Sequence[str], hues: Sequence[Colour] = SERIES) -> dict[str, Style]:
    """Return styles of which no two of the first 40 share colour, marker and dashes."""
    return {
        name: Style(
            hues[place % len(hues)].light,
            _MARKERS[place % len(_MARKERS)],
            _DASHES[(place + place // len(_MARKERS)) % len(_DASHES)],
        )
        for place, name in enumerate(names)
    }
