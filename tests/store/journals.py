"""Records to keep in tests."""

from harness.trial import Choice, Implementation, Record, Trial


def trial_of(number: int = 0, **changes: object) -> Trial:
    """Return a trial; another `number` gives another id."""
    fields: dict[str, object] = {
        "measurement": "speed",
        "implementation": Implementation(Choice("full_bptt"), label="full", baseline=True),
        "cell": Choice("elman"),
        "task": Choice("adding"),
        "sequence_length": 8,
        "hidden_size": 8,
        "batch_size": 2,
        "device": "cpu",
        "dtype": "float32",
        "threads": 1,
        "update": "window",
        "optimizer": "adam",
        "learning_rate": 0.001,
        "block": number,
        "seed": 0,
    }
    return Trial(**{**fields, **changes})


def record_of(number: int = 0, status: str = "done", **values: object) -> Record:
    """Return the record of that trial."""
    return Record(trial_of(number), status, values=values)
