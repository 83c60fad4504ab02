"""What all figures of a report share: who is drawn how, and what gets a panel.

Up to eight series beside the baseline share a panel, one a setting. More would be a thicket: they
get a panel a kind, each with the baseline in it, for fewer settings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.report import pairs
from harness.report.figures import canvas
from harness.report.figures.palette import Style, styles
from harness.report.kinds import MEANINGS, UNCOMPARED, by_kind, is_crowded

CROWDED_SETTINGS = 2  # side by side, above one another a row of panels a kind


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes: a setting, and the series that are drawn in it."""

    title: str
    setting: dict[str, Any]
    names: tuple[str, ...]

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the panel's setting and series."""
        here = pairs.at(table, self.setting)
        return here[here["implementation"].isin(self.names)]


@dataclass(frozen=True, slots=True)
class Scene:
    """Who is drawn how in a report, and which settings get a panel."""

    series: tuple[str, ...]
    baselines: tuple[str, ...]
    styles: dict[str, Style]
    settings: tuple[dict[str, Any], ...]  # no more than a reader compares
    left_out: int  # settings without a panel
    telling: tuple[str, ...]  # the columns that tell settings apart
    kinds: Mapping[str, str]  # of every series
    crowded: bool  # more series than one panel can hold

    def panel_title(self, setting: dict[str, Any]) -> str:
        """Return "lstm · adding"."""
        return pairs.describe(setting, self.telling)

    def remark(self) -> str:
        """Return what a caption must add where not every setting has a panel."""
        if not self.left_out:
            return ""
        return f" {self.left_out} more settings are in the tables."

    def panels(self, table: pd.DataFrame) -> list[Panel]:
        """Return the panels that have something of the table to show, one a setting and kind."""
        found = []
        for kind, names in self.groups().items():
            mine = table[table["implementation"].isin(names)]
            shown = tuple(name for name in self.series if name in names or name in self.baselines)
            for setting in self.settings:
                if len(pairs.at(mine, setting)):
                    words = (kind, self.panel_title(setting))
                    title = " · ".join(word for word in words if word)
                    found.append(Panel(title, setting, shown if self.crowded else self.series))
        return found

    def groups(self) -> dict[str, list[str]]:
        """Return the series that share a panel: those of a kind; all where all have room."""
        if not self.crowded:
            return {"": list(self.series)}
        others = {name: self.kinds[name] for name in self.series if name not in self.baselines}
        return {kind or MEANINGS[UNCOMPARED]: names for kind, names in by_kind(others).items()}


def scene(frame: pd.DataFrame) -> Scene:
    """Return the scene for a report: the largest sizes of each machine, device, cell and task."""
    series, kinds = pairs.series_order(frame), pairs.kind_of(frame)
    baselines = sorted(set(frame.loc[frame["baseline"], "implementation"]))
    crowded = is_crowded(set(series) - set(baselines), kinds)
    every = pairs.settings(frame)
    largest: dict[tuple[str, ...], dict[str, Any]] = {}
    for setting in sorted(every, key=lambda row: (row["hidden_size"], row["batch_size"])):
        place = tuple(str(setting[name]) for name in ("results", "node", "device", "cell", "task"))
        largest[place] = setting
    most = CROWDED_SETTINGS if crowded else canvas.MOST_PANELS
    chosen = _spread([setting for setting in every if setting in largest.values()], most)
    return Scene(
        tuple(series),
        tuple(baselines),
        styles(series, baselines, kinds),
        tuple(chosen),
        len(every) - len(chosen),
        tuple(pairs.varying(frame)),
        kinds,
        crowded,
    )


def _spread(settings: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Return as many settings as have room, in turn from every machine, device and cell."""
    seen: Counter[tuple[str, ...]] = Counter()
    turns = []
    for place, setting in enumerate(settings):
        group = tuple(str(setting[name]) for name in ("results", "node", "device", "cell"))
        seen[group] += 1
        turns.append((seen[group], place))
    kept = sorted(place for _, place in sorted(turns)[:most])
    return [settings[place] for place in kept]
