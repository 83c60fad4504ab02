"""The numbers behind the answer, one table a question: speed, memory, gradients, training."""

from __future__ import annotations

import math

import pandas as pd

from harness import stats
from harness.report import captions, pairs
from harness.report.columns import Column, Row, Table, axes, is_missing, metric, ranged, word
from harness.report.tables import agreement
from harness.report.units import MISSING, RATIO, SECONDS, SHARE

DISAGREEMENT = 0.05  # theory and measurement further apart than this are flagged (MEASURING)
KEYS = [*pairs.POINT, "implementation"]


def tables(frame: pd.DataFrame) -> tuple[Table, ...]:
    """Return the tables that have rows: what was not measured has no table."""
    made = (speed(frame), memory(frame), gradients(frame), training(frame))
    return tuple(table for table in made if len(table.data))


def speed(frame: pd.DataFrame) -> Table:
    """Return times with intervals over blocks, and the paired ratio to the baseline."""
    data = _ranged(pairs.estimates(frame, "seconds_per_sequence"), "seconds_per_sequence")
    ratio = _ranged(pairs.ratios(frame, "seconds_per_sequence"), "time_ratio")
    ratio = ratio.drop(columns=["blocks", "confidence"])
    data = data.merge(ratio, on=KEYS, how="left")
    floor = _ranged(pairs.estimates(frame, "floor_ratio"), "floor_ratio")
    floor = floor.drop(columns=["blocks", "confidence"])
    others = ["seconds_per_step", "seconds_per_update", "first_seconds"]
    for beside in (floor, _medians(frame, others)):
        data = data.merge(beside, on=KEYS, how="left")
    columns = (
        ranged("seconds_per_sequence", "time per sequence", SECONDS),
        metric("seconds_per_step"),
        metric("seconds_per_update"),
        ranged("time_ratio", "time ratio", RATIO),
        word("verdict"),
        ranged("floor_ratio", "time / floor", RATIO),
        metric("first_seconds"),
    )
    note = (
        "A sequence is a batch of B; a step is one time index of one of them (T by B). The floor"
        " is the same matrix products with nothing around them, timed in the same trial."
        f" [low, high]: {captions.intervals(data, 'blocks')}."
    )
    return _made("speed", "How long does a sequence take?", note, data, columns, frame)


def memory(frame: pd.DataFrame) -> Table:
    """Return the four figures of memory, each beside what theory says of it."""
    names = [f"{name}_bytes" for name in ("peak", "static", "kept")]
    names += [f"theory_{name}" for name in names] + ["batch_bytes"]
    steps = ["kept_bytes_per_step", "theory_kept_bytes_per_step"]
    data = _medians(frame, names)
    for beside in (steps, ["peak_bytes_per_step", "resident_peak_bytes"]):
        data = data.merge(_medians(frame, beside), on=KEYS, how="left")
    for name in ("peak_bytes", "static_bytes", "kept_bytes", "kept_bytes_per_step"):
        theory = data[f"theory_{name}"]
        data[f"{name}_over_theory"] = data[name] / theory.where(theory > 0)
    columns = (
        metric("peak_bytes"),
        _over_theory("peak_bytes", "peak / theory"),
        metric("static_bytes"),
        _over_theory("static_bytes", "static / theory"),
        metric("batch_bytes"),
        metric("kept_bytes"),
        _over_theory("kept_bytes", "kept / theory"),
        metric("kept_bytes_per_step"),
        _over_theory("kept_bytes_per_step", "a step's / theory"),
        metric("peak_bytes_per_step"),
        metric("resident_peak_bytes"),
    )
    share = f"{DISAGREEMENT:.0%}".replace("%", " %")
    note = (
        f"Exact tensor bytes. Beyond {share} from theory a ratio is marked with “!”. Theory's peak"
        " is static + batch + kept, and what a method's formula says of its backward pass; where"
        " that says nothing, the least there can be. Per step: what a step of the second half"
        " adds. The resident peak is the operating system's view of the first sequence: a check,"
        " as it misses memory that is used again."
    )
    return _made("memory", "What does it keep in memory?", note, data, columns, frame)


def gradients(frame: pd.DataFrame) -> Table:
    """Return every method's gradient against the float64 oracle."""
    names = ["cosine", "relative_error", "norm_ratio", "applied_cosine", "dtype_relative_error"]
    names += ["lyapunov", "reach_steps", "horizon_90_steps", "horizon_99_steps"]
    data = _medians(frame, names)
    known = frame[frame["measurement"] == "gradients"]
    rows = [
        {**named, "claim": group["claim"].iloc[0], "agrees": agreement(list(group["agrees"]))}
        | {"verdict": " / ".join(sorted({str(v) for v in group["verdict"].dropna()}))}
        for named, group in pairs.groups(known[known["status"] == "done"], KEYS)
    ]
    words = pd.DataFrame(rows, columns=[*KEYS, "claim", "agrees", "verdict"])
    data = data.merge(words.astype({"agrees": "object"}), on=KEYS, how="left")
    columns = (
        word("claim"),
        Column("agrees with itself", _agrees_text, numeric=False),
        *(metric(name) for name in names[:7]),
        word("verdict", "stability"),
    )
    note = (
        "Against full BPTT in float64 on frozen parameters. “Agrees” means that the method gives"
        " what its own definition says: biased by design is no bug, disagreeing is."
    )
    return _made("gradients", "Which gradient is right?", note, data, columns, frame)


def training(frame: pd.DataFrame) -> Table:
    """Return final scores beside the trivial predictor's, and whether the task was solved."""
    names = ["final_score", "trivial_score", "solved_score", "solved_at_sequence", "clipped_share"]
    names += ["updates", "nonfinite_updates", "spike_max", "trained_lyapunov"]
    names += ["training_seconds", "parameters"]
    data = _diverged(frame).merge(_medians(frame, names), on=KEYS, how="left")
    known = frame[(frame["measurement"] == "training") & frame["score_name"].notna()]
    words = known.drop_duplicates(KEYS)[[*KEYS, "score_name", "score_better", "trivial_formula"]]
    data = data.merge(words, on=KEYS, how="left")
    columns = (
        word("score_name", "score"),
        metric("final_score"),
        metric("trivial_score"),
        Column("learned", _learned_text, numeric=False),
        metric("clipped_share"),
        metric("updates"),
        ranged("diverged", "diverged", SHARE),
        metric("nonfinite_updates"),
        metric("spike_max"),
        metric("trained_lyapunov"),
        metric("training_seconds"),
    )
    note = (
        "Medians over blocks, of the trainings that ended. Diverged: the share that did not, with"
        " Wilson's interval, for numbers were no longer finite. The trivial predictor learns"
        " nothing; its formula is in the CSV."
    )
    return _made("training", "Which one still learns?", note, data, columns, frame)


def _made(
    key: str,
    title: str,
    note: str,
    data: pd.DataFrame,
    columns: tuple[Column, ...],
    frame: pd.DataFrame,
) -> Table:
    """Return the table in the report's order, headed by what tells its rows apart."""
    heads = pairs.heads(frame, pairs.POINT)
    whole = (*axes(heads), word("implementation"), *columns)
    return Table(key, title, note, pairs.ordered(data, frame, pairs.POINT), whole, len(heads))


def _medians(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return medians over blocks of metrics that one measurement gives."""
    known = frame[(frame["status"] == "done") & (frame["replica"] == 0)]
    known = known[known[names].notna().any(axis=1)]
    medians: pd.DataFrame = known.groupby(KEYS, sort=True, as_index=False)[names].median()
    return medians


def _diverged(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the share of trainings that were not finite to the end; those cut short count not."""
    known = frame[(frame["measurement"] == "training") & (frame["replica"] == 0)]
    known = known[known["status"].isin(["done", "nonfinite"])]
    rows = []
    for named, group in pairs.groups(known, KEYS):
        share = stats.wilson(int((group["status"] == "nonfinite").sum()), len(group))
        ends = {"diverged_low": share.low, "diverged_high": share.high, "trainings": share.count}
        rows.append({**named, "diverged": share.estimate, **ends})
    columns = [*KEYS, "diverged", "diverged_low", "diverged_high", "trainings"]
    return pd.DataFrame(rows, columns=columns)


def _ranged(table: pd.DataFrame, key: str) -> pd.DataFrame:
    names = {"estimate": key, "low": f"{key}_low", "high": f"{key}_high", "count": "blocks"}
    return table.rename(columns=names)


def _over_theory(key: str, heading: str) -> Column:
    """Return a column of a figure over its theory, marked where they are apart."""

    def text(row: Row) -> str:
        ratio = row[f"{key}_over_theory"]
        apart = math.isfinite(ratio) and abs(ratio - 1) > DISAGREEMENT
        return RATIO.text(ratio) + (" !" if apart else "")

    return Column(heading, text)


def _agrees_text(row: Row) -> str:
    if is_missing(row["agrees"]):
        return MISSING
    return "yes" if row["agrees"] else "NO: DISAGREES"


def _learned_text(row: Row) -> str:
    """Return whether the score beats the trivial predictor's, and whether it solves the task."""
    score, trivial, solved = row["final_score"], row["trivial_score"], row["solved_score"]
    if not (math.isfinite(score) and math.isfinite(trivial)):
        return MISSING
    sign = 1.0 if row["score_better"] == "higher" else -1.0
    if math.isfinite(solved) and sign * (score - solved) >= 0:
        return "solved"
    return "better than trivial" if sign * (score - trivial) > 0 else "not yet"
