"""`bptt doctor`: what on this machine, or on each node of a cluster, will disturb timings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

from harness.cli import address, exits, words
from harness.doctor import counters, noise
from harness.doctor.finding import DISTURBS, FINE, STATES, UNKNOWN, Finding, fine, unknown
from harness.executors import local, outcome, ray
from harness.executors.protocol import Ask, Report
from harness.executors.settings import Settings
from harness.report.units import BYTES

COLOURS = {FINE: "green", DISTURBS: "red", UNKNOWN: "yellow"}
EXAMINE, READ = "harness.doctor.examine:examine_json", "harness.doctor.counters:read_json"
CALL_SECONDS = 60.0  # for an examination, which takes two
LOOK_SECONDS = 1.0  # at 10 ms a tick of the kernel's accounts, 1 % of a core can be seen
VERSIONS = ("python", "torch", "ray", "numpy", "cpu_model")  # that all nodes should share


@dataclass(frozen=True, slots=True)
class Answers:
    """What a node said, call by call; `why` it said no more, where it did not."""

    node: str
    reports: tuple[Report, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is the matter with a node."""

    node: str
    environment: dict[str, Any]
    findings: tuple[Finding, ...]
    noise: noise.Noise | None


@click.command("doctor")
@address.option
@click.option(
    "--pairs",
    type=click.IntRange(min=0),
    default=noise.PAIRS,
    show_default=True,
    help="Pairs of equal trials whose times are compared; a pair takes about a second.",
)
@click.option("--strict", is_flag=True, help="Exit 3 if anything will disturb timings.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding.")
@click.pass_context
def command(ctx: click.Context, /, pairs: int, strict: bool, as_json: bool, **given: Any) -> None:
    """Tell what will disturb timings, how much two equal trials differ, and what helps.

    Looks at this machine, or at every node of a cluster.
    """
    cluster = address.cluster(given["address"])
    if not as_json:
        where = "" if cluster is None else f" on every node of {cluster}"
        seconds = words.duration(noise.seconds(pairs))
        said = f"looking around{where}, then {words.plural(pairs, 'pair')} of trials: {seconds}"
        click.echo(said, err=True)
    found = examined(cluster, pairs)
    for one in found:
        click.echo("\n".join(_events(one) if as_json else _lines(one)))
    if strict and any(each.state == DISTURBS for one in found for each in one.findings):
        ctx.exit(exits.FAILED_TRIALS)


def examined(cluster: str | None, pairs: int) -> list[Diagnosis]:
    """Return what is the matter with this machine, or with every node of a cluster."""
    found = [_diagnosis(answers, pairs) for answers in _visit(_asks(pairs), cluster)]
    return [beside(one, found) for one in found]


def _asks(pairs: int) -> list[Ask]:
    """Return the calls: an examination, equal trials, and the counters afterwards."""
    target = Settings().target
    equal = [local.ask_of(trial, target) for trial in noise.trials(pairs)]
    wait = {"wait_seconds": 0.0 if pairs else LOOK_SECONDS}
    return [Ask(EXAMINE, {}, CALL_SECONDS), *equal, Ask(READ, wait, CALL_SECONDS)]


def _visit(asks: Sequence[Ask], cluster: str | None) -> list[Answers]:
    """Return what each node answers, in the order of their names."""
    survey = local.survey if cluster is None else ray.survey
    reports: dict[str, list[Report]] = {}
    lost: dict[str, str] = {}
    for answer in survey(asks, Settings(cluster)):
        told = reports.setdefault(answer.node, [])
        if answer.report is None:
            lost[answer.node] = answer.why
        else:
            told.append(answer.report)
    return [Answers(node, tuple(reports[node]), lost.get(node, "")) for node in sorted(reports)]


def _diagnosis(answers: Answers, pairs: int) -> Diagnosis:
    first, *rest = answers.reports or [Report("", lost=answers.why)]
    if first.result is None:
        why = first.error or first.lost or answers.why or "the examination did not end"
        return Diagnosis(answers.node, {}, (unknown("node", why),), None)
    found = [Finding(**one) for one in first.result["findings"]]
    equal = noise.trials(pairs)
    records = [
        outcome.record(trial, report, answers.node, 1)
        for trial, report in zip(equal, rest[: len(equal)], strict=False)
    ]
    last = rest[len(equal)].result if len(rest) > len(equal) else None
    if last is not None:
        before = counters.from_json(first.result["counters"])
        found += counters.findings(before, counters.from_json(last))
    band = noise.judged(records)
    found += noise.findings(records, band) if pairs else []
    return Diagnosis(answers.node, dict(first.result["environment"]), tuple(found), band)


def beside(one: Diagnosis, every: Sequence[Diagnosis]) -> Diagnosis:
    """Return the diagnosis with what the nodes do not share: times of unlike nodes are not one."""
    known = [each.environment for each in every if each.environment]
    if len(known) < 2 or not one.environment:
        return one
    unlike = [name for name in VERSIONS if len({str(each[name]) for each in known}) > 1]
    seen = ", ".join(f"{name} {one.environment[name]}" for name in unlike)
    finding = fine("other nodes", "the same processor and versions")
    if unlike:
        advice = "compare within a node only, as the report does, or install the same versions"
        finding = Finding("other nodes", DISTURBS, f"not all have {seen}", advice)
    return Diagnosis(one.node, one.environment, (*one.findings, finding), one.noise)


def _events(one: Diagnosis) -> Iterator[str]:
    for finding in one.findings:
        event = {"node": one.node, **asdict(finding)}
        if finding.topic == noise.TOPIC and one.noise is not None:
            event["noise"] = asdict(one.noise)
        yield json.dumps(event)


def _lines(one: Diagnosis) -> Iterator[str]:
    known = one.environment
    machine = [str(known["cpu_model"]), words.plural(known["cores"], "core")] if known else []
    memory = [BYTES.text(known["memory_bytes"])] if known else []
    yield click.style(", ".join([one.node, *machine, *memory]), bold=True)
    width = max(len(finding.topic) for finding in one.findings)
    for state in (DISTURBS, UNKNOWN, FINE):
        for finding in (each for each in one.findings if each.state == state):
            mark = click.style(f"{state:8}", fg=COLOURS[state])
            yield f"  {mark}  {finding.topic:{width}}  {finding.seen}"
            if finding.advice:
                yield f"  {'':8}  {'':{width}}  {click.style(finding.advice, fg='bright_black')}"
    count = Counter(finding.state for finding in one.findings)
    told = {FINE: "fine", DISTURBS: "will disturb timings", UNKNOWN: "unknown"}
    yield ", ".join(f"{count[state]} {told[state]}" for state in STATES if count[state])
