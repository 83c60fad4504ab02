"""The preset that holds every gradient method, and a report of more series than one panel holds."""

import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import fake_records as fake
import pytest

from harness.registry import Registry
from harness.report import evidence, figures, kinds, metrics, pairs, tables
from harness.report.figures import labels
from harness.report.figures.palette import SERIES, styles

ROOT = Path(__file__).parent.parent.parent
LEFT_OUT = {"offloaded": "it needs a GPU to take activations from"}
CROWD = fake.Grid(lengths=(32, 64), cells=("lstm",), tasks=("adding",), blocks=1)


@pytest.fixture(scope="module")
def crowd():
    return fake.crowd(CROWD)


@pytest.fixture(scope="module")
def frame(crowd):
    return metrics.frame(crowd)


@pytest.fixture(scope="module")
def drawn(frame, crowd):
    return {drawing.key: drawing for drawing in figures.draw(frame, crowd)}


def names_in(ax):
    return [text.get_text() for text in ax.texts]


def test_the_catalogue_names_every_gradient_method():
    preset = tomllib.loads((ROOT / "harness/presets/catalogue.toml").read_text())
    chosen = [one["gradient"] for one in preset["implementation"]]
    named = {choice if isinstance(choice, str) else choice["use"] for choice in chosen}
    # Those of this checkout: a plugin that somebody installed is theirs to list.
    folder = ROOT / "implementations/gradients"
    own = {one.name for one in Registry.scan().of("gradients") if folder in one.path.parents}
    assert named == own - set(LEFT_OUT)


def test_the_catalogue_runs_two_tasks():
    preset = tomllib.loads((ROOT / "harness/presets/catalogue.toml").read_text())
    assert len(preset["axes"]["task"]) == 2


def test_a_kind_follows_from_claim_and_reach(frame):
    found = kinds.kinds(frame)
    assert [found[f"{kind} 2"] for kind in fake.CROWD] == list(fake.CROWD)


def test_the_weakest_claim_of_an_implementation_tells_its_kind():
    exact, biased = fake.records(replace(CROWD, measurements=("gradients",)))[:2]
    own = replace(biased.trial, implementation=exact.trial.implementation)
    values = {**biased.values, "claim": "biased", "reach": None, "agrees": None}
    mixed = metrics.frame([exact, replace(biased, trial=own, values=values)])
    assert set(mixed["kind"]) == {"approximate"}


def test_a_part_without_a_cut_in_time_is_truncated_as_the_check_has_it():
    record = fake.records(replace(CROWD, measurements=("gradients",)))[1]
    readout = {**record.values, "claim": "biased", "reach": None, "definition_error": 0.0}
    for agrees, kind in ((True, "truncated"), (None, "approximate")):  # compared with it, or not
        values = {**readout, "agrees": agrees}
        assert set(metrics.frame([replace(record, values=values)])["kind"]) == {kind}


def test_without_a_gradients_pass_there_is_no_kind():
    frame = metrics.frame(fake.records(replace(CROWD, measurements=("speed",))))
    assert set(frame["kind"]) == {kinds.UNCOMPARED}


def test_series_stand_by_kind(frame):
    own = pairs.kind_of(frame)
    order = [own[name] for name in pairs.series_order(frame)[1:]]
    assert order == sorted(order, key=kinds.RANK.__getitem__)


def test_a_panel_holds_one_kind_and_the_baseline(drawn):
    figure = drawn["seconds-per-step"].figure
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == [f"{kind} · lstm" for kind in fake.CROWD]
    for kind, ax in zip(fake.CROWD, figure.axes, strict=True):
        others = [name for name in names_in(ax) if name != "full_bptt"]
        assert sorted(others) == sorted(fake.names(kind))
        assert len(others) == len(names_in(ax)) - 1


def test_no_name_at_the_end_of_a_line_covers_another(drawn):
    for key in ("seconds-per-step", "peak-memory", "cosine", "score"):
        for ax in drawn[key].figure.axes:
            heights = sorted(text.xyann[1] for text in ax.texts)
            gaps = [high - low for low, high in pairwise(heights)]
            assert all(gap > 0.9 * labels.SIZE / labels.INCH / 1.75 for gap in gaps)


def test_series_of_one_kind_share_two_hues_and_no_style(frame):
    own = pairs.kind_of(frame)
    worn = styles(pairs.series_order(frame), ["full_bptt"], own)
    for kind in fake.CROWD:
        mine = [worn[name] for name in fake.names(kind)]
        assert len({style.colour for style in mine}) == 2
        assert len({(style.marker, style.dashes) for style in mine}) == len(mine)
    hues = [{worn[name].colour for name in fake.names(kind)} for kind in fake.CROWD]
    assert len(set.union(*hues)) == len(SERIES)


def test_few_series_share_a_panel_and_have_a_colour_each():
    few = metrics.frame(fake.records(CROWD))
    order = pairs.series_order(few)
    colours = {style.colour for style in styles(order, order[:1], pairs.kind_of(few)).values()}
    assert len(colours) == len(order)


def test_as_many_series_as_colours_are_no_crowd_and_one_more_is():
    own = {f"{i}": "exact" if i % 2 else "unbiased" for i in range(kinds.MOST_SERIES + 1)}
    assert len(SERIES) == kinds.MOST_SERIES
    assert not kinds.is_crowded(list(own)[:-1], own)
    assert kinds.is_crowded(list(own), own)
    assert not kinds.is_crowded(list(own), dict.fromkeys(own, "exact"))


@pytest.mark.parametrize("key", ["time-ratio", "peak-memory", "gradient-error", "phases"])
def test_a_finding_about_many_names_the_ends_of_each_kind(drawn, key):
    said = drawn[key].finding
    assert [kind for kind in fake.CROWD if f"{kind}: " not in said] == []
    assert len(said) < 500


def test_what_is_exact_has_no_panel_of_errors(drawn):
    titles = [ax.get_title(loc="left") for ax in drawn["gradient-error"].figure.axes]
    assert "exact · lstm" not in titles
    assert "What is exact is not drawn." in drawn["gradient-error"].caption


def test_tables_of_many_series_are_headed_by_kind(frame):
    (point,) = tables.references(frame)
    table = tables.answer_table(tables.answer(frame), frame)
    assert [column.heading for column in table.columns][: table.leading][-1] == "kind"
    assert set(evidence.speed(frame).shown()["kind"]) == set(fake.CROWD)
    assert point["sequence_length"] == 64


def test_an_answer_about_many_names_the_fastest_and_counts_the_rest(frame):
    (sentence,) = tables.answer(frame).sentences
    assert "that take longer" in sentence
    assert len(sentence) < 700


def test_names_are_moved_apart_no_further_than_they_must():
    assert labels.apart([0.1, 0.5, 0.9], 0.2, 0.0, 1.0) == pytest.approx([0.1, 0.5, 0.9])
    assert labels.apart([0.5, 0.5, 0.5], 0.2, 0.0, 1.0) == pytest.approx([0.3, 0.5, 0.7])
    assert labels.apart([0.0, 0.0], 0.2, 0.0, 1.0) == pytest.approx([0.0, 0.2])
    crowded = labels.apart([0.5] * 9, 0.2, 0.0, 1.0)  # no room for all: the gap shrinks
    assert crowded == pytest.approx([i / 8 for i in range(9)])
