import math
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import fake_records as fake
import pytest

from harness.measure.budget import Budget
from harness.report import evidence, figures, metrics
from harness.report.figures import budgets, canvas
from harness.report.figures.palette import COLOURS, INK, MUTED, PAPER, SERIES, TINTS, styles
from harness.report.units import BYTES, RATIO, SECONDS

SMALL = fake.Grid(lengths=(32, 64), cells=("lstm",), tasks=("adding",), blocks=1)


def draw(records):
    return {drawing.key: drawing for drawing in figures.draw(metrics.frame(records), records)}


def texts(drawing):
    root = ElementTree.fromstring(canvas.svg(drawing))
    return [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", SERIES, ids=lambda colour: colour.name)
def test_a_series_stands_out_from_the_paper_in_both_themes(colour):
    assert contrast(colour.light, PAPER.light) >= 3
    assert contrast(colour.dark, PAPER.dark) >= 3


@pytest.mark.parametrize("colour", [INK, MUTED], ids=lambda colour: colour.name)
def test_text_can_be_read_in_both_themes(colour):
    assert min(contrast(colour.light, PAPER.light), contrast(colour.dark, PAPER.dark)) >= 4.5


@pytest.mark.parametrize("tint", TINTS, ids=lambda tint: tint.name)
def test_a_word_can_be_read_on_its_tint(tint):
    assert min(contrast(INK.light, tint.light), contrast(INK.dark, tint.dark)) >= 4.5


def test_no_two_colours_share_a_light_value():
    # The page finds a colour by its light value; a shared one would turn into the wrong variable.
    assert len({colour.light for colour in COLOURS}) == len(COLOURS)


def test_sixteen_series_are_told_apart_without_colour():
    worn = styles([str(i) for i in range(17)], ["0"], dict.fromkeys(map(str, range(17)), "exact"))
    assert len({(style.marker, style.dashes) for style in worn.values()}) == 17


def test_every_measurement_has_its_figures():
    records = fake.records(SMALL)
    assert list(draw(records)) == [
        "time-ratio",
        "seconds-per-step",
        "seconds-per-sequence",
        "floor-ratio",
        "phases",
        "peak-memory",
        "kept-memory",
        "lag-profile",
        "gradient-error",
        "cosine",
        "norm-ratio",
        "stability-map",
        "truncation-bias",
        "gradient-norm",
        "score",
        "loss",
        "tradeoff",
    ]


def test_only_speed_gives_only_figures_of_speed():
    drawn = draw(fake.records(replace(SMALL, measurements=("speed",))))
    assert {drawing.section for drawing in drawn.values()} == {"speed", "phases"}


def test_no_records_give_no_figure():
    assert draw([]) == {}


def test_a_figure_asks_and_answers_in_words():
    drawn = draw(fake.records(replace(SMALL, measurements=("memory",))))
    assert [drawing.title[-1] for drawing in drawn.values()] == ["?", "?"]
    found = drawn["peak-memory"].finding
    assert found.startswith("At the longest T: truncated_bptt(16,16) ")


@pytest.mark.parametrize("key", ["time-ratio", "seconds-per-step", "floor-ratio", "peak-memory"])
def test_a_finding_names_every_series_once_with_its_span(key):
    grid = replace(SMALL, cells=("elman", "lstm"), measurements=("speed", "memory"))
    drawing = draw(fake.records(grid))[key]
    for name in set(drawing.data["implementation"]):
        others = drawing.finding.count(f"{name} + ")  # a series whose name begins with this one's
        assert drawing.finding.count(name) - others == 1
    assert "panel" not in drawing.finding


def test_equal_values_are_called_the_same():
    grid = replace(SMALL, measurements=("gradients",))
    records = [r for r in fake.records(grid) if r.values["claim"] == "exact"]
    assert draw(records)["cosine"].finding == "At the longest T all are the same: 1.000."


def test_exact_methods_lie_on_the_bottom_line_and_a_truncated_one_far_above():
    drawing = draw(fake.records(replace(SMALL, measurements=("gradients",))))["gradient-error"]
    level = drawing.data.groupby("implementation")["estimate"].max()
    assert level["full_bptt"] == 1e-12
    assert level["truncated_bptt(16,16)"] > 1e-3
    assert "exact but for rounding" in drawing.finding


def test_the_axis_of_a_time_speaks_in_its_unit():
    one = fake.record(fake.trial("speed", length=64), values={"sample_seconds": [0.0512]})
    two = fake.record(fake.trial("speed", length=256), values={"sample_seconds": [1.6384]})
    drawn = draw([one, two])  # 50 µs and 400 µs a step
    ticks = [text for text in texts(drawn["seconds-per-step"]) if text and text.endswith("µs")]
    assert {"100 µs", "200 µs"} <= set(ticks)
    assert "100 ms" in texts(drawn["seconds-per-sequence"])


def test_an_interval_is_drawn_where_there_are_repeats():
    def bars(blocks):
        records = fake.records(replace(SMALL, blocks=blocks, measurements=("speed",)))
        (ax,) = draw(records)["time-ratio"].figure.axes
        return sum(len(bar.get_segments()) for bar in ax.collections)

    assert [bars(1), bars(3)] == [0, 8]  # 4 rivals at 2 lengths


def test_a_truncated_method_is_marked_where_it_cuts():
    drawn = draw(fake.records(replace(SMALL, measurements=("gradients",))))["lag-profile"]
    assert "truncated_bptt(16,16): cut after 16 steps" in texts(drawn)


def test_the_first_length_that_ran_out_of_memory_is_marked():
    records = [
        replace(r, status="oom", reason="asked 2 GiB", values={})
        if r.trial.sequence_length == 64 and r.trial.implementation.baseline
        else r
        for r in fake.records(replace(SMALL, measurements=("memory",)))
    ]
    assert texts(draw(records)["peak-memory"]).count("out of memory") == 1


def test_what_is_left_at_the_longest_length_is_not_called_all():
    records = [
        replace(r, status="oom", reason="asked 2 GiB", values={})
        if r.trial.sequence_length == 64 and r.trial.implementation.label != "native"
        else r
        for r in fake.records(replace(SMALL, measurements=("memory",)))
    ]
    found = draw(records)["peak-memory"].finding
    assert found.startswith("At the longest T: native ")
    assert "all" not in found


def test_the_trivial_predictor_stands_on_the_axis_of_the_score():
    drawn = draw(fake.records(replace(SMALL, measurements=("training",))))["score"]
    assert {"trivial predictor", "mean squared error"} <= set(texts(drawn))


def test_the_legend_names_a_level_and_no_label_covers_a_curve():
    drawn = draw(fake.records(replace(SMALL, measurements=("training",))))
    for key, label in [
        ("score", "trivial predictor"),
        ("gradient-norm", "what the clip lets through"),
    ]:
        figure = drawn[key].figure
        assert label in [text.get_text() for text in figure.legends[0].get_texts()]
        assert [ax.texts for ax in figure.axes if ax.texts] == []


@pytest.mark.parametrize(("share", "lines"), [(0.0, 0), (0.2, 1)])
def test_what_a_clip_lets_through_is_drawn_only_where_it_clipped(share, lines):
    records = [
        replace(record, values={**record.values, "clipped_fraction": share})
        for record in fake.records(replace(SMALL, measurements=("training",)))
    ]
    drawing = draw(records)["gradient-norm"]
    assert texts(drawing).count("what the clip lets through") == lines
    assert ("Dotted" in drawing.caption) == bool(lines)


def test_a_profile_with_holes_and_zeros_is_drawn():
    records = []
    for record in fake.records(replace(SMALL, measurements=("gradients",))):
        profile = {"lag": [0, 1, 2, 4], "median": [1.0, 0.5, None, 0.0]}
        profile |= {"lower": [1.0, 0.4, None, 0.0], "upper": [1.0, 0.6, None, 0.1]}
        records.append(replace(record, values={**record.values, "lag_profile": profile}))
    assert "lag-profile" in draw(records)


def test_every_cell_has_a_panel_where_not_every_setting_has_room():
    grid = replace(SMALL, cells=("elman", "gru", "lstm"), tasks=("a", "b", "c", "d"))
    drawn = draw(fake.records(replace(grid, measurements=("memory",))))["peak-memory"]
    titles = [ax.get_title(loc="left") for ax in drawn.figure.axes]
    assert [title.split()[0] for title in titles] == [
        "elman",
        "elman",
        "gru",
        "gru",
        "lstm",
        "lstm",
    ]
    assert "6 more settings are in the tables" in drawn.caption


@pytest.mark.parametrize(("low", "high"), [(1e-5, 1e-3), (0.3, 1.4), (1e-9, 1.0), (1.0, 4.5)])
def test_a_logarithmic_axis_has_a_few_ticks_inside_it(low, high):
    ticks = canvas.log_ticks(low, high, SECONDS)
    assert 2 <= len(ticks) <= canvas.MOST_TICKS
    assert low <= min(ticks) <= max(ticks) <= high


def test_ticks_of_bytes_are_powers_of_two():
    assert all(math.log2(tick).is_integer() for tick in canvas.log_ticks(1e5, 1e9, BYTES))


@pytest.mark.parametrize("key", ["time-ratio", "seconds-per-step", "seconds-per-sequence"])
def test_a_figure_of_time_says_how_sure_its_intervals_are(key):
    records = fake.records(replace(SMALL, blocks=3, measurements=("speed",)))
    assert "75 % intervals, the most that 3 blocks allow" in draw(records)[key].caption


def test_the_split_into_phases_names_the_settings_it_is_of():
    grid = replace(SMALL, tasks=("adding", "speeches"), measurements=("speed",))
    drawing = draw(fake.records(grid))["phases"]
    assert set(drawing.data["task"]) == {"adding"}
    assert "over lstm · adding: " in drawing.finding
    assert "Only lstm · adding, of 2 settings;" in drawing.caption


SPECTRUM = {"median": [0.2, -0.1, -0.4], "lower": [0.1, -0.2, None], "upper": [0.3, 0.1, None]}


def test_exponents_are_drawn_where_they_were_asked_for_and_counted_as_the_table_does():
    records = [
        replace(record, values={**record.values, "lyapunov_spectrum": SPECTRUM})
        for record in fake.records(replace(SMALL, measurements=("gradients",)))
    ]
    drawing = draw(records)["lyapunov-spectrum"]
    assert drawing.finding == "So many directions grow: 1 of 3 (lstm)."
    table = evidence.gradients(metrics.frame(records)).shown()
    assert set(table["directions that grow"]) == {"1 of 3"}
    assert list(drawing.data["median"]) == [0.2, -0.1, -0.4]
    assert math.isnan(drawing.data["lower"].iloc[2])
    (line,) = (one for one in drawing.figure.axes[0].lines if one.get_marker() == ".")
    assert list(line.get_xdata()) == [1, 2]  # what has no range is not drawn
    assert set(drawing.data["sequence_length"]) == {64}


def budgeted(budget, **values):
    """Return trainings that had a budget; their seconds are longer from block to block."""
    made = []
    for record in fake.records(replace(SMALL, blocks=3, measurements=("training",))):
        of = replace(record.trial, protocol={budget: 1.0})
        seconds = [one * (1 + 0.01 * of.block) for one in record.values["seconds"]]
        more = {"seconds": seconds, "sequences": 200, "stop_reason": "1 s", **values}
        made.append(replace(record, trial=of, values={**record.values, **more}))
    return made


def test_the_score_stands_against_what_was_budgeted_at_the_middle_of_the_blocks():
    drawn = draw(budgeted("budget_seconds"))
    assert {key for key in drawn if key.startswith("score")} == {"score", "score-seconds"}
    base = drawn["score-seconds"].data
    base = base[base["implementation"] == "full_bptt"]
    assert base["x"].max() == pytest.approx(1.01 * 0.1 * 200)  # the second of three blocks
    assert "trivial predictor" in texts(drawn["score-seconds"])
    assert "All had the same budget of it." in drawn["score-seconds"].caption
    spent = {"flops_per_sequence": 1e6, "stop_reason": "2e+08 FLOPs"}
    assert "score-flops" in draw(budgeted("budget_flops", **spent))


def only(name, records, **values):
    """Return the records with other values of one implementation."""
    return [
        replace(one, values={**one.values, **values})
        if one.trial.implementation.label == name
        else one
        for one in records
    ]


def test_trainings_that_ended_by_another_budget_are_told():
    records = only("native", budgeted("budget_seconds"), stop_reason="200 sequences")
    said = draw(records)["score-seconds"].caption
    assert "so they are not matched" in said
    assert "200 sequences: native" in said
    assert "All had the same" not in said


def test_a_budget_that_ended_no_training_has_no_figure():
    # Alike, but not in what was budgeted: 200 sequences take everyone another time.
    assert "score-seconds" not in draw(budgeted("budget_seconds", stop_reason="200 sequences"))
    both = [
        replace(one, trial=replace(one.trial, protocol={**one.trial.protocol, "budget_updates": 9}))
        for one in budgeted("budget_seconds", stop_reason="9 updates")
    ]
    assert {key for key in draw(both) if key.startswith("score-")} == {"score-updates"}


def test_every_setting_is_matched_by_itself():
    other = [
        replace(one, trial=replace(one.trial, hidden_size=256))
        for one in budgeted("budget_seconds", stop_reason="2 s")
    ]
    said = draw([*budgeted("budget_seconds"), *other])["score-seconds"].caption
    assert "All had the same budget of it." in said
    unlike = only("native", other, stop_reason="200 sequences")
    said = draw([*budgeted("budget_seconds"), *unlike])["score-seconds"].caption
    assert "not matched: lstm · H=256, 2 s: " in said
    assert "1 s" not in said


@pytest.mark.parametrize("cost", budgets.COSTS, ids=lambda cost: cost.key)
def test_a_cost_knows_how_a_training_says_that_it_ended_by_it(cost):
    names = ("updates", "seconds", "flops")
    spent = dict.fromkeys(names, 2000)
    said = {f"budget_{name}": Budget({name: 1000}).reached(spent) for name in names}
    assert [key for key, reason in said.items() if reason.endswith(cost.ending)] == [cost.key]


def test_who_diverged_is_drawn_up_to_there_and_counted():
    def lost(one):
        kept = {name: one.values[name][:3] for name in ("evaluated_at", "score", "seconds")}
        kept["score"] = [5.0, 5.0, 5.0]
        values = {**one.values, **kept, "stop_reason": "not finite", "final_score": None}
        mine = one.trial.implementation.label == "native" and one.trial.block < 2
        return replace(one, status="nonfinite", values=values) if mine else one

    drawing = draw([lost(one) for one in budgeted("budget_seconds")])["score-seconds"]
    assert "Diverged, so that curves go on without them: native 2 of 3." in drawing.caption
    assert "All had the same budget of it." in drawing.caption
    mine = drawing.data[drawing.data["implementation"] == "native"].sort_values("x")
    assert mine["estimate"].iloc[0] == 5.0  # the median of three, and not the lucky one
    assert "Diverged" not in draw(budgeted("budget_seconds"))["score-seconds"].caption


def test_a_figure_of_norms_says_what_a_cut_leaves():
    ratio = {"clipped_norm_ratio": {"lower": 0.2, "median": 0.25, "upper": 0.3}}
    records = [
        replace(record, values={**record.values, **ratio})
        for record in fake.records(replace(SMALL, measurements=("training",)))
    ]
    assert (
        f"of updates to {RATIO.text(0.25)} of their norm" in draw(records)["gradient-norm"].finding
    )
