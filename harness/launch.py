"""Takes a sweep from its plan to its records: what is not done yet runs, and is kept as it comes.

Prints nothing and knows no executor: the command line shows what is yielded here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from typing import cast

from harness import store
from harness.executors import implied
from harness.store import Store
from harness.sweep import Planned, match
from harness.trial import Record, Trial

Trials = Sequence[Trial]
Records = Iterator[Record]
Execute = Callable[[Trials], Records]
EXCLUDED = "excluded"  # marks the records of trials that the sweep itself leaves out


def pending(planned: Sequence[Planned], kept: Store) -> tuple[Planned, ...]:
    """Return what has no record yet."""
    return tuple(each for each in planned if not kept.is_done(each.trial.id))


def reopen(
    planned: Sequence[Planned], kept: Store, again: tuple[match.Condition, ...] = ()
) -> None:
    """Withdraw the records that are to be made anew.

    These are the records for which every condition of `again` holds, where there are conditions,
    what those imply, and those of trials that the sweep used to exclude and now does not.
    """
    wanted = {each.trial.id for each in planned if each.skip_reason is None}
    found = [each for each in store.read(kept.folder).records if each.trial.id in wanted]
    chosen = {
        record.trial.id
        for record in found
        if record.values.get(EXCLUDED)
        or (again and match.all_hold(again, match.facts_of_record(record)))
    }
    follow = {each.trial.id for each in found if each.values.get(implied.IMPLIED_BY) in chosen}
    kept.withdraw(chosen | follow)


def run(planned: Sequence[Planned], kept: Store, execute: Execute) -> Generator[Record, None, None]:
    """Yield the record of every trial that has none yet, once it is kept for good.

    A trial that the sweep excludes, or of which an earlier record says that it would run out of
    memory, is recorded and not run. Closing this generator ends the trials that run; they have no
    record and are run on resuming.
    """
    left = pending(planned, kept)
    ooms = _ooms(kept)
    for each in left:
        record = _not_run(each, ooms, kept)
        if record is not None and kept.append(record):
            yield record
    trials = [each.trial for each in pending(left, kept)]
    if not trials:
        return
    # Every executor is a generator function; closing it is what ends the trials.
    running = cast(Generator[Record, None, None], execute(trials))
    with closing(running):
        for record in running:
            if kept.append(record):
                yield record


def current(records: Sequence[Record], planned: Collection[str] | None) -> tuple[Record, ...]:
    """Return the records of the planned trials; all of them where no plan is known.

    A sweep that is resumed with another protocol, or after a plugin was changed, has trials with
    other ids. The earlier records stay in the journal, but answer another question: pooled with
    the new ones they would pass for more blocks of the same.
    """
    return tuple(record for record in records if planned is None or record.trial.id in planned)


def _ooms(kept: Store) -> implied.Ooms:
    """Return what earlier commands saw run out of memory; on which node is of no use here."""
    ooms = implied.Ooms()
    for record in store.read(kept.folder).records:
        ooms.learn(record)
    return ooms


def _not_run(each: Planned, ooms: implied.Ooms, kept: Store) -> Record | None:
    """Return the record of a trial that need not run; None: it must, as one to be made anew."""
    if each.skip_reason is not None:
        return _excluded(each.trial, each.skip_reason)
    known = ooms and not kept.is_withdrawn(each.trial.id)
    source = ooms.source(each.trial) if known else None
    return None if source is None else implied.record(each.trial, source)


def _excluded(trial: Trial, reason: str) -> Record:
    now = time.time()
    return Record(
        trial=trial,
        status="skipped",
        reason=reason,
        advice="take the [[exclude]] out of the sweep, then resume it",
        values={EXCLUDED: True},
        started=now,
        ended=now,
    )
