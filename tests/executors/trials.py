"""Trials for the tests beside this file: what they do is the name of their cell, in faults.py."""

from harness.trial import Choice, Implementation, Limits, Trial


def trial(name="trivial", **fields):
    values = {
        "measurement": "memory",
        "implementation": Implementation(Choice("full_bptt"), label="full"),
        "cell": Choice(name),
        "task": Choice("adding"),
        "sequence_length": 10,
        "hidden_size": 1,
        "batch_size": 1,
        "device": "cpu",
        "dtype": "float32",
        "threads": 1,
        "update": "window",
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "block": 0,
        "seed": 0,
        "limits": Limits(seconds=30.0),
    }
    return Trial(**{**values, **fields})
