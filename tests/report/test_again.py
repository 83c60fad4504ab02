from dataclasses import replace

import fake_records as fake

from harness.report import again

GRID = fake.Grid(lengths=(32,), cells=("lstm",), tasks=("adding",), blocks=1)


def records(*environments):
    """Return records that ended one after the other, with these changes to where they ran."""
    made = zip(fake.records(GRID), environments, strict=False)
    return [
        replace(record, environment={**fake.ENVIRONMENT, **changes}, ended=float(place))
        for place, (record, changes) in enumerate(made)
    ]


def test_the_code_comes_before_the_command():
    assert again.commands(records({}, {}), "bptt sweep quick").splitlines() == [
        "git checkout 0123abc",
        "pip install -c constraints.txt -e .",
        "bptt sweep quick",
    ]
    assert again.caveat(records({}, {})) == ""


def test_of_several_commits_the_last_is_checked_out_and_all_are_named():
    mixed = records({"commit": "bbbbbbb"}, {"commit": "aaaaaaa"})
    assert again.commands(mixed, "x").startswith("git checkout aaaaaaa\n")
    assert "2 commits (bbbbbbb and aaaaaaa)" in again.caveat(mixed)


def test_changes_that_no_commit_holds_are_told():
    assert "no commit holds" in again.caveat(records({}, {"dirty": True}))


def test_what_is_no_commit_does_not_reach_a_shell():
    odd = records({"commit": "x; rm -rf ~"})
    assert again.commands(odd, "x").startswith("pip install")
    assert again.caveat(odd) == "No record names its commit."


def test_without_a_command_there_is_nothing_to_run():
    assert again.commands(records({}), "") == ""
