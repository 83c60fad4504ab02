"""The numbers behind the answer, one table a question: speed, memory, gradients, training."""

from __future__ import annotations

import math

import pandas as pd

from harness import stats
from harness.report import captions, pairs
from harness.report.columns import Column, Row, Table, axes, is_missing, metric, ranged, word
from harness.report.tables import agreement
from harness.report.units import COUNT, MISSING, PLAIN, RATIO, SECONDS, SHARE

DISAGREEMENT = 0.05  # theory and measurement further apart than this are flagged (MEASURING)
KEYS = [*pairs.POINT, "implementation"]
ENDS = ("", "_low", "_high")


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
    steps = ["kept_bytes_per_step", "peak_bytes_per_step"]
    steps += [f"theory_{name}" for name in steps]
    data = _medians(frame, names)
    for beside in (steps, ["resident_peak_bytes"]):
        data = data.merge(_medians(frame, beside), on=KEYS, how="left")
    for name in ("peak_bytes", "static_bytes", "kept_bytes", *steps[:2]):
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
        _over_theory("kept_bytes_per_step", "kept step / theory"),
        metric("peak_bytes_per_step"),
        _over_theory("peak_bytes_per_step", "peak step / theory"),
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
    names += ["half_life_steps", "positive_exponents", "lyapunov_exponents", "lyapunov_sum"]
    names += [f"{name}{end}" for name in ("bias_squared", "noise_to_signal") for end in ENDS]
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
        *_where(data, "noise_to_signal", ranged("noise_to_signal", "noise² / norm²", PLAIN)),
        *_where(data, "bias_squared", ranged("bias_squared", "bias² / norm²", PLAIN)),
        *_where(data, "positive_exponents", Column("directions that grow", _growing_text)),
        metric("half_life_steps"),
        word("verdict", "stability"),
    )
    note = (
        "Against full BPTT in float64 on frozen parameters. “Agrees” means that the method gives"
        " what its own definition says: biased by design is no bug, disagreeing is. The half-life:"
        " so many steps back dL/dh is first half as long as at the loss."
    )
    if data["noise_to_signal"].notna().any():
        note += (
            " Noise and bias of a random method: the variance of its draws and the square of their"
            " mean's error, over the exact gradient's squared norm; 95 % intervals over draws."
        )
    if data["positive_exponents"].notna().any():
        note += " Directions that grow: Lyapunov exponents above 0, of those measured."
    return _made("gradients", "Which gradient is right?", note, data, columns, frame)


def training(frame: pd.DataFrame) -> Table:
    """Return final scores beside the trivial predictor's, and whether the task was solved."""
    names = ["trivial_score", "solved_score", "clipped_share", "clipped_norm_ratio", "updates"]
    names += ["nonfinite_updates", "spike_max", "spike_999", "trained_lyapunov"]
    names += ["training_seconds", "training_flops", "parameters"]
    final = _ranged(pairs.estimates(frame, "final_score"), "final_score")
    data = _diverged(frame).merge(final, on=KEYS, how="left")
    for beside in (_medians(frame, names), _stops(frame)):
        data = data.merge(beside, on=KEYS, how="left")
    known = frame[(frame["measurement"] == "training") & frame["score_name"].notna()]
    words = known.drop_duplicates(KEYS)[[*KEYS, "score_name", "score_better", "trivial_formula"]]
    data = data.merge(words, on=KEYS, how="left")
    columns = (
        word("score_name", "score"),
        ranged("final_score", "final score", PLAIN),
        metric("trivial_score"),
        Column("learned", _learned_text, numeric=False),
        *([word("stop_reason", "ended by")] if data["stop_reason"].nunique() > 1 else []),
        metric("clipped_share"),
        metric("clipped_norm_ratio"),
        metric("updates"),
        ranged("diverged", "diverged", SHARE),
        metric("nonfinite_updates"),
        metric("spike_max"),
        metric("spike_999"),
        metric("trained_lyapunov"),
        metric("training_seconds"),
    )
    note = (
        "Medians over blocks, of the trainings that ended. The score at the end has"
        f" {captions.intervals(data, 'blocks')}. Diverged: the share that did not end, with"
        f" Wilson's interval, for numbers were no longer finite.{captions.diverged(frame)} The"
        " trivial predictor learns nothing; its formula is in the CSV."
        f"{_ended(data)}"
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


def _stops(frame: pd.DataFrame) -> pd.DataFrame:
    """Return by which budgets trainings ended, where records say so."""
    known = frame[(frame["measurement"] == "training") & (frame["status"] == "done")]
    rows = [
        {**named, "stop_reason": " / ".join(sorted(set(group["stop_reason"])))}
        for named, group in pairs.groups(known[known["stop_reason"].notna()], KEYS)
    ]
    return pd.DataFrame(rows, columns=[*KEYS, "stop_reason"])


def _ended(data: pd.DataFrame) -> str:
    """Return in words which budget ended them, where it is one for all."""
    reasons = list(data["stop_reason"].dropna().unique())
    return f" Each ended after {reasons[0]}." if len(reasons) == 1 else ""


def _where(data: pd.DataFrame, key: str, column: Column) -> tuple[Column, ...]:
    """Return the column where any row has the number."""
    return (column,) if data[key].notna().any() else ()


def _growing_text(row: Row) -> str:
    """Return "3 of 64": how many of the exponents measured are above 0."""
    growing, measured = row["positive_exponents"], row["lyapunov_exponents"]
    return f"{COUNT.text(growing)} of {measured:,.0f}" if math.isfinite(growing) else MISSING


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
