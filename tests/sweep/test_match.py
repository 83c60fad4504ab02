"""Conditions choose trials and records by what they are."""

import re

import pytest
from sweeps import SMALL, trials_of

from harness.sweep import match
from harness.trial import Record


def chosen(text: str) -> set[tuple[str, str, int]]:
    conditions = match.parse(text, match.OF_TRIAL)
    return {
        (str(each.trial.cell), each.trial.implementation.label, each.trial.sequence_length)
        for each in trials_of(SMALL)
        if match.all_hold(conditions, match.facts_of(each.trial))
    }


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 16),
        ("cell=lstm", 8),
        ("cell!=lstm T>8", 4),
        ("T>=8, T<16", 8),
        ("sequence_length=16 gradient=truncated_bptt", 4),
        ('gradient="truncated_bptt(stride=8, depth=8)"', 4),
        ("clip=norm", 4),
        ("clip!=norm", 12),
        ("implementation=full H=128 B=32 block=0", 4),
        ("learning_rate=1e-3 threads=1 optimizer=adam update=window dtype=float32", 16),
        ("cell=gru", 0),
    ],
)
def test_every_condition_must_hold(text: str, count: int) -> None:
    assert len(chosen(text)) == count


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cel=lstm", "there is no 'cel' to compare; did you mean \"cell\"?"),
        ("lstm", "'lstm' is not KEY=VALUE, nor a comparison"),
        ("T>=many", "'many' is not a number"),
        ("cell>=lstm", "cell is a name: it can be = or !=, not >="),
        ("status=oom", "there is no 'status'"),
        (
            "measurement=sped",
            "there is no measurement 'sped'; did you mean \"speed\"? "
            "It can be: speed, memory, gradients, training",
        ),
        ("device=auto", "there is no device 'auto'. It can be: cpu, cuda"),
        ("dtype=float23", 'did you mean "float32"?'),
        ("update!=windw", 'did you mean "window"?'),
        ("optimizer=adm", 'did you mean "adam"?'),
    ],
)
def test_a_bad_expression_is_told(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        match.parse(text, match.OF_TRIAL)


def test_a_bad_status_is_told_for_records() -> None:
    with pytest.raises(ValueError, match=r"there is no status 'ooom'; did you mean \"oom\"\?"):
        match.parse("status=ooom", match.OF_RECORD)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "T=8 cell=elmann",
            'no trial has cell=elmann; did you mean "elman"? It can be: elman, lstm',
        ),
        ("T>=99", "no trial has sequence_length>=99. It can be: 8, 16"),
        ("T=8 cell=lstm", ""),
    ],
)
def test_a_condition_that_no_trial_meets_is_told_with_what_there_is(
    text: str, sentence: str
) -> None:
    trials = [each.trial for each in trials_of(SMALL)]
    assert match.unmet(match.parse(text, match.OF_TRIAL), trials) == sentence


def test_a_list_in_an_exclude_means_any_of_them() -> None:
    condition = match.of_value("cell", ["gru", "lstm"], match.OF_TRIAL)
    cells = {
        str(each.trial.cell)
        for each in trials_of(SMALL)
        if condition.holds(match.facts_of(each.trial))
    }
    assert cells == {"lstm"}


def test_records_are_chosen_by_how_they_ended() -> None:
    trial = trials_of(SMALL)[0].trial
    conditions = match.parse("status=oom cell=elman", match.OF_RECORD)
    held = [
        match.all_hold(conditions, match.facts_of_record(Record(trial, status)))
        for status in ("oom", "done")
    ]
    assert held == [True, False]
