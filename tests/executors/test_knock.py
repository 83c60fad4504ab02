"""Before Ray is asked for a cluster, which it looks for long, a knock says whether one listens."""

import socket

import pytest

from harness.executors.cluster import _knock


@pytest.mark.parametrize(
    ("family", "host", "written"),
    [(socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET6, "::1", "[::1]")],
    ids=["IPv4", "IPv6"],
)
def test_a_head_is_heard_only_while_it_listens(
    family: socket.AddressFamily, host: str, written: str
) -> None:
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with listener:
        address = f"{written}:{listener.getsockname()[1]}"
        _knock(address)
    with pytest.raises(ConnectionRefusedError):
        _knock(address)


def test_what_ray_looks_up_by_itself_is_not_knocked_at() -> None:
    _knock("auto")
