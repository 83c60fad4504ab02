"""What an agent lets run beside a timed trial, whoever asks it to."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from injector import soon
from trials import trial

from harness.executors.agent import Agent
from harness.executors.protocol import Request, variables


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("node"))
    agent = Agent("faults", folder, folder, None)
    assert agent.hello()["fault"] == ""
    yield agent
    agent.close()


def request_of(cores, gpu):
    """Return a request of a tenth of a second, with an accelerator in name or none."""
    words = {"target": "faults:as_told", "payload": trial("sleep", sequence_length=100).to_json()}
    request = Request(f"{cores} {gpu}", seconds=5.0, variables=variables(1, gpu), **words)
    return {**request.to_json(), "cores": cores}


@pytest.mark.parametrize(
    ("cores", "gpu", "timed", "allowed"),
    [
        ((1,), "1", True, True),
        ((1,), "0", True, False),
        ((0,), "1", True, False),
        ((1,), "", True, False),
        ((), "1", True, False),
        ((1,), "1", False, False),
    ],
    ids=["apart", "same accelerator", "same core", "no accelerator", "any core", "not timed"],
)
def test_it_is_another_timed_one_with_its_own_accelerator_and_cores(
    agent, cores, gpu, timed, allowed
):
    pair = [(request_of((0,), "0"), True), (request_of(cores, gpu), timed)]
    for first, second in (pair, reversed(pair)):
        with ThreadPoolExecutor(2) as threads:
            running = threads.submit(agent.run, *first)
            soon(lambda: agent._running)
            refused = threads.submit(agent.run, *second).exception()
            assert running.result()["result"]["status"] == "done"
        assert isinstance(refused, AssertionError) is not allowed
