"""How many trials run side by side, by what each has to itself."""

from __future__ import annotations

from dataclasses import dataclass

from harness.trial import Trial

ALONE = "speed"  # the measurement that has its device to itself


@dataclass(frozen=True, slots=True)
class Machine:
    """The cores and accelerators that trials share; one of each where nobody knows."""

    cores: int = 1
    gpus: int = 1

    def at_a_time(self, trial: Trial) -> int:
        """Return how many trials like this one run at a time."""
        if trial.measurement == ALONE:
            apart = trial.device != "cpu" and trial.threads * self.gpus <= self.cores
            return max(1, self.gpus) if apart else 1
        beside = self.cores // trial.threads
        return max(1, beside if trial.device == "cpu" else min(beside, self.gpus))
