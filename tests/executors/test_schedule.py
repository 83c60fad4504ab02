"""Which trial runs where and when, without running any."""

import random
from collections import defaultdict
from dataclasses import replace
from itertools import groupby, pairwise

import pytest
from simulation import FirstCome, Host, bound, overlaps, simulate, sweep
from trials import trial

from harness.executors.schedule import Node, Schedule
from harness.executors.work import Work


def schedule(*trials, accelerators=None, kinds=None, **nodes):
    """Return a schedule of trials on open nodes, each given as (cores, gpus)."""
    works = [Work.of(index, each, 0) for index, each in enumerate(trials)]
    return opened(Schedule(works), accelerators, kinds, **nodes)


def opened(made, accelerators=None, kinds=None, **nodes):
    for name, (cores, gpus) in nodes.items():
        made.nodes[name] = Node(cores, gpus, (accelerators or {}).get(name, ""))
    for name, (cores, gpus) in nodes.items():
        made.open(name, range(cores), map(str, range(gpus)), (kinds or {}).get(name, ""))
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
    made = schedule(*[trial()] * 20, trial(measurement="speed"), node=(3, 0))
    _, places = starts(made, "node")  # an eighth of all that share: now it is the other's turn
    for place in places[:-1]:
        made.release(place)
        assert starts(made, "node")[0] == []
    made.release(places[-1])
    assert starts(made, "node")[0] == [20]


def test_the_rivals_of_a_block_run_one_after_another_as_drawn_and_both_kinds_get_on():
    made = schedule(
        *[trial(measurement=kind, block=block) for block in (0, 1) for kind in ("speed", "memory")]
        * 2,
        node=(1, 0),
    )
    order = [index for index, _ in drain(made, "node")]
    speed = [index for index in order if index % 2 == 0]
    assert speed == [0, 4, 2, 6]
    assert order.index(4) == order.index(0) + 1
    assert order[0] == 1
    assert order[-1] in (5, 7)


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


def test_a_trial_put_back_is_the_next_of_its_like():
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
    indices, places = starts(made, "node")
    assert indices == [0, 2, 3]
    assert [place.gpu for place in places] == ["0", "", ""]
    made.release(places[0])
    assert starts(made, "node")[0] == [1]


def test_rivals_have_the_same_accelerator():
    made = schedule(*[trial(device="cuda", measurement="speed")] * 3, node=(2, 2))
    gpus = []
    while given := made.next("node"):
        gpus.append(given[1].gpu)
        made.release(given[1])
    assert gpus == ["0", "0", "0"]


def test_a_kind_of_accelerator_is_found_where_it_is():
    asked = [trial(device=name) for name in ("cuda:A100", "cuda:H100", "cuda")]
    made = schedule(*asked, a=(2, 1), h=(2, 1), accelerators={"a": "cuda:A100", "h": "cuda:H100"})
    assert starts(made, "a")[0] == [0]
    assert starts(made, "h")[0] == [1]
    [(_, why, _)] = schedule(trial(device="cuda:B200"), node=(2, 1)).strand()
    assert why == "device 'cuda:B200': no node of the cluster has one"


def test_the_longest_goes_first_and_what_was_seen_changes_which_that_is():
    names = ["short", "long", "long", "short", "short"]
    works = [
        Work.of(index, trial(name), 0, {"short": 1.0, "long": 2.0}[name])
        for index, name in enumerate(names)
    ]
    made = opened(Schedule(works), node=(1, 0))
    for index, seconds in ((1, 0.1), (0, 10.0), (3, 10.0)):
        work, place = made.next("node")
        assert work.index == index
        made.release(place)
        made.learn(work, seconds)


def test_wide_trials_come_first_and_narrow_ones_get_the_cores_that_those_leave_over():
    made = schedule(*[trial(threads=2)] * 3, *[trial()] * 3, node=(5, 0))
    indices, places = starts(made, "node")
    assert indices == [0, 1, 3]
    made.release(places[0])
    assert starts(made, "node")[0] == [2]


def test_the_blocks_of_a_setting_are_timed_on_nodes_of_one_kind():
    speed = [trial(measurement="speed", block=block) for block in range(3)]
    kinds = {"one": "fast", "two": "slow", "three": "fast"}
    made = schedule(*speed, one=(1, 0), two=(1, 0), three=(1, 0), kinds=kinds)
    assert [starts(made, name)[0] for name in ("one", "two", "three")] == [[0], [], [1]]
    made.remove("one")
    made.remove("three")
    assert starts(made, "two")[0] == [2]


def test_a_setting_waits_for_a_node_of_its_kind_that_is_only_closed():
    speed = [trial(measurement="speed", block=block) for block in range(2)]
    kinds = {"one": "fast", "two": "slow"}
    made = schedule(*speed, one=(1, 0), two=(1, 0), kinds=kinds)
    _, [place] = starts(made, "one")
    made.release(place)
    made.nodes["one"].open = False  # its agent is started again
    assert starts(made, "two")[0] == []
    made.remove("one")
    assert starts(made, "two")[0] == [1]


def test_small_nodes_time_while_large_ones_are_packed():
    trials = [trial(measurement="speed", block=block) for block in range(4)] + [trial()] * 16
    made = schedule(*trials, large=(4, 0), small=(1, 0))
    assert starts(made, "large")[0] == [4, 5, 6, 7]
    assert starts(made, "small")[0] == [0]


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


CLUSTER = {
    "small": Host(2),
    "middle": Host(4),
    "large": Host(16),
    "single": Host(4, 1, "cuda:A100"),
    "double": Host(8, 2, "cuda:H100"),
}
CLUSTERS = {"all": CLUSTER, "three": dict(list(CLUSTER.items())[:3]), "one": {"one": Host(4)}}


@pytest.fixture(scope="module", params=CLUSTERS, ids=str)
def mixed(request):
    """Return a random mixed sweep, its cluster, and what became of it by us and by the control."""
    hosts = CLUSTERS[request.param]
    devices = ["cpu", *(host.accelerator for host in hosts.values() if host.gpus)]
    works, truth = sweep(random.Random(request.param), devices, threads=(1, 2), rivals=4)
    return works, truth, hosts, simulate(Schedule(works), hosts, truth)


def test_a_mixed_sweep_runs_everything_once_and_nothing_beside_a_timed_trial(mixed):
    works, _, _, runs = mixed
    assert sorted(run.work.index for run in runs) == list(range(len(works)))
    assert overlaps(runs) == []
    moved = [replace(run, began=run.began - 1e-3) for run in runs]
    assert overlaps(moved) != []


def test_a_mixed_sweep_ends_within_a_tenth_of_the_soonest_end(mixed):
    works, truth, hosts, runs = mixed
    assert max(run.ended for run in runs) < 1.1 * bound(works, truth, hosts)


def test_trials_as_drawn_would_end_later():
    works, truth = sweep(random.Random("three"), threads=(1, 2), rivals=4)
    drawn = simulate(FirstCome(works), CLUSTERS["three"], truth)
    ours = simulate(Schedule(works), CLUSTERS["three"], truth)
    assert max(run.ended for run in drawn) > 1.1 * max(run.ended for run in ours)


def test_rivals_of_a_block_share_a_node_in_the_order_drawn_and_nothing_comes_between(mixed):
    _, _, _, runs = mixed
    for name in {run.place.node for run in runs}:
        own = [run.work for run in runs if run.place.node == name]
        units = [(work.setting, work.block) if work.exclusive else work.index for work in own]
        assert len([key for key, _ in groupby(units)]) == len(set(units))
    by_unit = defaultdict(list)
    for run in runs:
        if run.work.exclusive:
            by_unit[run.work.setting, run.work.block].append(run)
    assert all(len({run.place.node for run in unit}) == 1 for unit in by_unit.values())
    drawn = [[run.work.index for run in unit] for unit in by_unit.values()]
    assert drawn == [sorted(unit) for unit in drawn]


def test_no_node_idles_while_it_could_work(mixed):
    _, _, hosts, runs = mixed
    for name, host in hosts.items():
        device, begun, last, ended = host.accelerator or "cpu", set(), 0.0, 0.0
        for run in runs:  # what began elsewhere and could have begun here
            unit = (run.work.setting, run.work.block) if run.work.exclusive else run.work.index
            free = run.work.device == device and run.work.threads <= host.cores
            last = run.began if free and unit not in begun else last
            begun.add(unit)
        for run in runs:
            if run.place.node == name:
                assert run.began <= ended + 1e-9
                ended = max(ended, run.ended)
        assert ended >= last


def test_neither_kind_starves(mixed):
    """While both wait, a third of the sweep never passes without one of each."""
    _, _, _, runs = mixed
    third = max(run.ended for run in runs) / 3
    for kind in (True, False):
        begins = [
            0.0,
            *(run.began for run in runs if run.work.exclusive is kind and run.work.device == "cpu"),
        ]
        assert max(after - before for before, after in pairwise(begins)) < third
