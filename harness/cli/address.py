"""Where trials run, as `--address` or RAY_ADDRESS says it: a Ray cluster, or this machine."""

from __future__ import annotations

import click
from click.core import ParameterSource

from harness.executors.settings import host_and_port
from harness.registry import ConfigurationError, Mistake

VARIABLE = "RAY_ADDRESS"
FLAG = "--address"
HERE = "local"  # Ray's word for one that is started on this machine, for this command alone
NEAREST = "auto"  # Ray's word for the one that this machine is a node of
ELSEWHERE = {
    "ray": "Ray Client, through which no sweep runs",
    "http": "`ray job submit`",
    "https": "`ray job submit`",
}


def cluster(address: str | None) -> str | None:
    """Return the cluster that an address means; None where it means this machine."""
    return None if address == HERE else address


def was_named(ctx: click.Context) -> bool:
    """Return whether the address is on the command line, not only in the environment."""
    return ctx.get_parameter_source("address") is ParameterSource.COMMANDLINE


def _read(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return the address.

    Raises:
        ConfigurationError: it is none of a cluster's head.
    """
    if value is None or value in (HERE, NEAREST) or host_and_port(value):
        return value
    scheme, found, _ = value.partition("://")
    what = f"is for {ELSEWHERE.get(scheme, 'another program')}" if found else "is no address"
    advice = "give the HOST:PORT of the cluster's head, whose port is usually 6379"
    advice += f", or {HERE!r} for this machine"
    place = FLAG if was_named(ctx) else VARIABLE
    raise ConfigurationError(Mistake(place, f"{value!r} {what}; {advice}"))


option = click.option(
    FLAG,
    metavar="HOST:PORT",
    envvar=VARIABLE,
    show_envvar=True,
    callback=_read,
    help=f"The head of a Ray cluster; {NEAREST}: of the one that this machine is a node of; "
    f"{HERE}, or nothing: this machine.",
)
