"""Demands and trials for the tests beside this file: full BPTT of an LSTM, by its formula."""

from dataclasses import asdict, replace

from harness.forecast.demand import Demand
from harness.trial import PROTOCOLS, Choice, Implementation, Record, Trial

BATCH = 8


def demand(length=64, width=32, **changes):
    states = length * BATCH * width
    made = Demand(
        flops=3 * 2.0 * states * 4 * 2 * width,
        plain_flops=3 * 2.0 * states * 4 * 2 * width,
        depth=2 * length,
        updates=1,
        static_bytes=4.0 * 4 * 8 * width * width,
        batch_bytes=length * BATCH * 20.0,
        kept_bytes=10.0 * states * 4,
        oracle_bytes=10.0 * states * 8,
        scored_bytes=0.0,
    )
    return replace(made, **changes)


def trial(measurement="speed", name="full", length=64, block=0, cell="lstm", **changes):
    made = Trial(
        measurement=measurement,
        implementation=Implementation(Choice(name), label=name),
        cell=Choice(cell),
        task=Choice("adding"),
        sequence_length=length,
        hidden_size=32,
        batch_size=BATCH,
        device="cpu",
        dtype="float32",
        threads=1,
        update="window",
        optimizer="adam",
        learning_rate=0.001,
        block=block,
        seed=0,
        protocol=asdict(PROTOCOLS[measurement]()),
    )
    return replace(made, **changes)


def record(of, seconds, **values):
    return Record(of, "done", values=values, started=1000.0, ended=1000.0 + seconds)
