"""A sweep as the command runs it, without its screen: python command.py FOLDER TEMPORARY [ADDRESS].

Runs what FOLDER's journal does not hold yet; says "began ID" of a trial, "kept ID" of its record.
"""

import sys
from functools import partial
from pathlib import Path

from trials import trial

from harness import launch
from harness.executors import ray
from harness.executors.settings import Settings
from harness.store import Store
from harness.sweep import Planned
from harness.trial import Choice

TRIALS = 250  # 16 s of four nodes with two slots each, of which three are lost
SECONDS = 0.5


def main(folder, temporary, address=None):
    ray.TEMPORARY = temporary
    execute = partial(
        ray.run,
        settings=Settings(address=address, target="faults:as_told", slots=2),
        on_start=lambda one, _: print("began", one.id, flush=True),
    )
    cell = Choice("linger", {"hurry": f"{folder}/hurry", "seconds": SECONDS})
    planned = [Planned(trial(cell=cell, hidden_size=number)) for number in range(TRIALS)]
    with Store(Path(folder)) as kept:
        for record in launch.run(planned, kept, execute):
            print("kept", record.trial.id, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
