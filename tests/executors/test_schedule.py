"""Which trial runs where and when, without running any."""

import pytest
from trials import trial

from harness.executors.schedule import Node, Schedule, Work


def schedule(*trials, **nodes):
    """Return a schedule of trials on open nodes, each given as (cores, gpus)."""
    made = Schedule([Work.of(index, each, 0) for index, each in enumerate(trials)])
    for name, (cores, gpus) in nodes.items():
        made.nodes[name] = Node(slots=cores, gpus=gpus)
    for name, (cores, gpus) in nodes.items():
        made.open(name, range(cores), [str(gpu) for gpu in range(gpus)])
    return made


def starts(made, node):
    """Return the indices of everything the node may start now, and their places."""
    given = []
    while pair := made.next(node):
        given.append(pair)
    return [work.index for work, _ in given], [place for _, place in given]


def drain(made, node):
    """Run everything on one node, oldest first; return the index and company of each start."""
    order, running = [], []
    while True:
        while pair := made.next(node):
            running.append(pair)
            order.append((pair[0].index, len(running)))
        if not running:
            return order
        made.release(running.pop(0)[1])


def test_trials_that_are_not_timed_fill_the_cores_and_share_none():
    made = schedule(*[trial()] * 5, node=(3, 0))
    indices, places = starts(made, "node")
    assert indices == [0, 1, 2]
    assert sorted(core for place in places for core in place.cores) == [0, 1, 2]


def test_a_timed_trial_has_its_node_to_itself():
    made = schedule(*[trial(measurement="speed")] * 3, node=(4, 0))
    assert drain(made, "node") == [(0, 1), (1, 1), (2, 1)]


def test_a_timed_trial_waits_for_the_packed_ones_and_is_not_overtaken():
    made = schedule(trial(), trial(), trial(measurement="speed"), trial(block=1), node=(2, 0))
    _, places = starts(made, "node")
    made.release(places[0])
    assert starts(made, "node")[0] == []
    made.release(places[1])
    assert starts(made, "node")[0] == [2]


def test_the_timed_trials_of_a_block_come_last_and_in_order():
    made = schedule(
        *[trial(measurement=kind, block=block) for block in (0, 1) for kind in ("speed", "memory")]
        * 2,
        node=(1, 0),
    )
    assert [index for index, _ in drain(made, "node")] == [1, 5, 0, 4, 3, 7, 2, 6]


def test_a_trial_takes_as_many_cores_as_it_has_threads():
    made = schedule(trial(threads=3), trial(threads=2), trial(), node=(4, 0))
    indices, places = starts(made, "node")
    assert (indices, places[0].cores) == ([0], (0, 1, 2))
    made.release(places[0])
    assert starts(made, "node")[0] == [1, 2]


def test_the_timed_trials_of_a_block_stay_on_one_node():
    speed = [trial(measurement="speed", block=block) for block in (0, 0, 1)]
    made = schedule(*speed, one=(1, 0), other=(1, 0))
    assert starts(made, "one")[0] == [0]
    assert starts(made, "other")[0] == [2]


def test_the_rest_of_a_block_moves_when_its_node_is_gone():
    made = schedule(*[trial(measurement="speed")] * 2, one=(1, 0), other=(1, 0))
    starts(made, "one")
    made.remove("one")
    assert starts(made, "other")[0] == [1]


def test_a_trial_put_back_is_the_next_of_its_lane():
    made = schedule(trial(), trial(), trial(), node=(1, 0))
    work, place = made.next("node")
    made.release(place)
    made.requeue(work)
    assert starts(made, "node")[0] == [0]


def test_work_for_processors_leaves_accelerators_alone_while_there_are_plain_nodes():
    made = schedule(trial(), trial(), plain=(1, 0), accelerated=(8, 1))
    assert starts(made, "accelerated")[0] == []
    made.remove("plain")
    assert starts(made, "accelerated")[0] == [0, 1]


def test_each_accelerator_has_one_trial_at_a_time_and_cores_need_not_wait_for_it():
    made = schedule(*[trial(device="cuda")] * 2, trial(), trial(), node=(4, 1))
    # Lanes of a block run in the order of their device: "cpu" before "cuda".
    indices, places = starts(made, "node")
    assert indices == [2, 3, 0]
    assert [place.gpu for place in places] == ["", "", "0"]
    made.release(places[2])
    assert starts(made, "node")[0] == [1]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"device": "cuda"}, "device 'cuda': no node of the cluster has one"),
        ({"threads": 9}, "asks for 9 threads; the largest node gives 2 cores"),
    ],
    ids=["device", "threads"],
)
def test_what_no_node_can_run_is_refused_and_the_rest_runs(asked, reason):
    made = schedule(trial(**asked), trial(), node=(2, 0))
    [(work, why, advice)] = made.strand()
    assert (work.index, why) == (0, reason)
    assert advice
    assert starts(made, "node")[0] == [1]
    assert made.empty


def test_a_node_without_an_agent_starts_nothing():
    made = schedule(trial(), node=(2, 0))
    made.nodes["node"].open = False
    assert made.next("node") is None


def test_a_mixed_sweep_never_puts_company_beside_a_timed_trial_and_finishes():
    kinds = ["speed", "memory", "gradients", "speed", "training"]
    trials = [
        trial(measurement=kind, block=block, threads=threads)
        for block in range(3)
        for kind in kinds
        for threads in (1, 2)
    ]
    order = drain(schedule(*trials, node=(3, 0)), "node")
    assert sorted(index for index, _ in order) == list(range(len(trials)))
    alone = [company for index, company in order if trials[index].measurement == "speed"]
    assert set(alone) == {1}
    assert max(company for _, company in order) > 1
