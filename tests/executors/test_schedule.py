"""Which trial runs where and when, without running any."""

import random
from collections import defaultdict
from dataclasses import replace
from itertools import groupby, pairwise

import pytest
from bound import bound
from simulation import FirstCome, Host, overlaps, simulate, sweep
from trials import trial

from harness.executors.node import Node
from harness.executors.schedule import Schedule
from harness.executors.work import ALONE, Work


def schedule(*trials, accelerators=None, kinds=None, **nodes):
    """Return a schedule of trials on open nodes, each given as (cores, gpus)."""
    works = [Work.of(index, each, 0) for index, each in enumerate(trials)]
    return opened(Schedule(works), accelerators, kinds, **nodes)


def opened(made, accelerators=None, kinds=None, **nodes):
    for name, (cores, gpus) in nodes.items():
        made.nodes[name] = Node(cores, gpus, (accelerators or {}).get(name, ""))
    for name, (cores, gpus) in nodes.items():
        made.open(name, range(cores), list(map(str, range(gpus))), (kinds or {}).get(name, ""))
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


def timed(blocks, **fields):
    """Return two rivals for an accelerator in each block."""
    return [
        trial(measurement="speed", device="cuda", block=block, **fields)
        for block in range(blocks)
        for _ in range(2)
    ]


def test_accelerators_are_timed_side_by_side_each_with_its_share_of_the_cores():
    made = schedule(*timed(3), node=(5, 2))
    indices, places = starts(made, "node")
    assert indices == [0, 2]
    assert [(place.gpu, place.cores) for place in places] == [("0", (0,)), ("1", (2,))]
    made = schedule(*timed(3, threads=2), node=(5, 2))
    assert [place.cores for place in starts(made, "node")[1]] == [(0, 1), (2, 3)]


@pytest.mark.parametrize(
    "asked", [{"threads": 3}, {"device": "cpu"}], ids=["wider than a share", "for a processor"]
)
def test_a_timed_trial_that_fits_no_share_has_the_whole_node(asked):
    speed = [
        trial(**{"measurement": "speed", "device": "cuda", "block": block} | asked)
        for block in range(2)
    ]
    assert drain(schedule(*speed, node=(5, 2)), "node") == [(0, 1), (1, 1)]


def test_rivals_have_the_same_accelerator_and_the_same_cores():
    made = schedule(*timed(2), node=(2, 2))
    _, [first, second] = starts(made, "node")
    made.release(second)
    assert starts(made, "node") == ([3], [second])
    made.release(first)
    assert starts(made, "node") == ([1], [first])


def test_a_share_is_of_the_cores_near_its_accelerator():
    made = schedule(*timed(2), node=(4, 2))
    made.open("node", range(4), ["0", "1"], near=[(2, 3), (0, 1)])
    assert [place.cores for place in starts(made, "node")[1]] == [(2,), (0,)]


def test_packed_trials_wait_until_every_accelerator_has_been_timed_and_the_other_way_round():
    short = [trial(device="cuda") for _ in range(4)]
    made = schedule(*timed(2), *short, node=(2, 2))
    indices, places = starts(made, "node")
    assert indices == [4]  # an eighth of all that share: now it is the other's turn
    made.release(places[0])
    order = []
    while places:
        indices, places = starts(made, "node")
        order.append(indices)
        for place in places:
            made.release(place)
    assert order == [[0, 2], [1, 3], [5, 6], [7], []]


def test_the_longest_units_do_not_keep_an_accelerator_idle_where_a_shorter_one_fits():
    seconds = [8.0, 8.0, 8.0, 8.0, 2.0, 2.0, 2.0, 2.0]
    works = [Work.of(n, one, 0, seconds[n]) for n, one in enumerate(timed(4))]
    works += [Work.of(8 + n, trial(device="cuda"), 0, 1.0) for n in range(9)]
    made = opened(Schedule(works), node=(3, 3))
    packed = []
    while (given := made.next("node")) and not given[0].exclusive:
        packed.append(given)
    for _, place in packed:
        made.release(place)
    assert starts(made, "node")[0] == [0, 2, 4]


@pytest.mark.parametrize(("now", "begun"), [(9.0, [3]), (9.5, [])], ids=["room", "none"])
def test_a_node_that_is_to_time_begins_only_what_ends_before_it_can(now, begun):
    clock = [0.0]
    works = [Work.of(n, trial(), 0, seconds) for n, seconds in enumerate((10.0, 9.0, 3.0, 1.0))]
    works.append(Work.of(4, trial(measurement="speed"), 0, 1.0))
    made = opened(Schedule(works, lambda: clock[0]), node=(2, 0))
    indices, places = starts(made, "node")
    assert indices == [0, 1]
    clock[0] = now
    made.release(places[1])
    assert starts(made, "node")[0] == begun


def test_who_may_have_brought_others_down_is_timed_alone_where_its_rivals_were():
    made = schedule(*timed(2), node=(2, 2))
    (work, first), (other, second) = made.next("node"), made.next("node")
    made.release(second)
    for _ in range(ALONE):
        other = other.lost()
    made.requeue(other)
    assert made.next("node") is None
    made.release(first)
    assert (work.index, starts(made, "node")) == (0, ([1], [first]))
    made.release(first)
    assert starts(made, "node") == ([2], [second])


def test_a_unit_whose_accelerator_did_not_come_back_goes_on_on_another():
    made = schedule(*timed(1), node=(2, 2))
    _, [place] = starts(made, "node")
    assert place.gpu == "0"
    made.open("node", range(2), ["1"])
    [place] = starts(made, "node")[1]
    assert place.gpu == "1"


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


@pytest.mark.parametrize(("cores", "here"), [(4, [1]), (2, [])])
def test_a_node_that_has_fewer_cores_as_it_opens_again_goes_on_with_what_they_hold(cores, here):
    speed = [trial(measurement="speed", threads=4, seed=seed) for seed in range(2)]
    made = schedule(*speed, one=(4, 0), two=(4, 0))
    _, [place] = starts(made, "one")
    made.release(place)
    made.open("one", range(cores), [])
    assert starts(made, "one")[0] == here


def test_small_nodes_time_while_large_ones_are_packed():
    trials = [trial(measurement="speed", block=block) for block in range(4)] + [trial()] * 16
    made = schedule(*trials, large=(4, 0), small=(1, 0))
    assert starts(made, "large")[0] == [4, 5, 6, 7]
    assert starts(made, "small")[0] == [0]


@pytest.mark.parametrize(("threads", "begun"), [(2, [0]), (1, [2, 3, 4, 5])])
def test_a_large_node_times_at_once_what_no_smaller_one_could(threads, begun):
    speed = [trial(measurement="speed", block=block, threads=threads) for block in range(2)]
    made = schedule(*speed, *[trial()] * 100, large=(4, 0), small=(1, 0))
    assert starts(made, "large")[0] == begun


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


@pytest.mark.parametrize(("kind", "seconds"), [("one", 6.0), ("other", 12.0)], ids=str)
def test_the_bound_knows_that_a_setting_is_timed_on_one_kind_of_host(kind, seconds):
    works = [Work.of(block, trial(measurement="speed", block=block), 0) for block in range(2)]
    hosts = {"first": Host(1, kind="one"), "second": Host(1, kind=kind)}
    assert bound(works, {0: 6.0, 1: 6.0}, hosts) == pytest.approx(seconds)


CLUSTER = {
    "small": Host(2),
    "middle": Host(4),
    "large": Host(16),
    "single": Host(4, 1, "cuda:A100"),
    "double": Host(8, 2, "cuda:H100"),
}
CLUSTERS = {
    "all": CLUSTER,
    "three": dict(list(CLUSTER.items())[:3]),
    "one": {"one": Host(4)},
    "accelerators": {"two": Host(4, 2, "cuda:H100"), "four": Host(8, 4, "cuda:H100")},
    "machine": {"machine": Host(8, 4, "cuda:H100")},
}
DEVICES = {"accelerators": ["cuda:H100"]}


@pytest.fixture(scope="module", params=CLUSTERS, ids=str)
def mixed(request):
    """Return a random mixed sweep, its cluster, and what became of it by us and by the control."""
    hosts = CLUSTERS[request.param]
    found = sorted({host.accelerator for host in hosts.values() if host.gpus})
    devices = DEVICES.get(request.param, ["cpu", *found])
    works, truth = sweep(random.Random(request.param), devices, threads=(1, 2), rivals=4)
    return works, truth, hosts, simulate(Schedule, works, hosts, truth)


def test_a_mixed_sweep_runs_everything_once_and_nothing_beside_a_timed_trial(mixed):
    works, _, hosts, runs = mixed
    assert sorted(run.work.index for run in runs) == list(range(len(works)))
    assert overlaps(runs, hosts) == []
    moved = [replace(run, began=run.began - 1e-3) for run in runs]
    assert overlaps(moved, hosts) != []


def test_a_mixed_sweep_ends_within_a_tenth_of_the_soonest_end(mixed):
    works, truth, hosts, runs = mixed
    assert max(run.ended for run in runs) < 1.1 * bound(works, truth, hosts)


def test_trials_as_drawn_would_end_later():
    works, truth = sweep(random.Random("three"), threads=(1, 2), rivals=4)
    drawn = simulate(FirstCome, works, CLUSTERS["three"], truth)
    ours = simulate(Schedule, works, CLUSTERS["three"], truth)
    assert max(run.ended for run in drawn) > 1.1 * max(run.ended for run in ours)


def test_rivals_of_a_block_share_a_place_in_the_order_drawn_and_nothing_comes_between(mixed):
    _, _, _, runs = mixed
    seat = [(run.place.node, run.place.gpu) for run in runs]
    for place in set(seat):
        own = [run.work for run, where in zip(runs, seat, strict=True) if where == place]
        units = [(work.setting, work.block) if work.exclusive else work.index for work in own]
        assert len([key for key, _ in groupby(units)]) == len(set(units))
    by_unit = defaultdict(list)
    for run, where in zip(runs, seat, strict=True):
        if run.work.exclusive:
            by_unit[run.work.setting, run.work.block].append((where, run.work.index))
    assert all(len({where for where, _ in unit}) == 1 for unit in by_unit.values())
    drawn = [[index for _, index in unit] for unit in by_unit.values()]
    assert drawn == [sorted(unit) for unit in drawn]


@pytest.mark.parametrize(
    ("host", "threads", "seconds"),
    [
        (Host(4), 1, 2 * 12.0 + 12.0 / 4),
        (Host(8, 4, "cuda"), 1, 12.0 + 12.0 / 4),
        (Host(8, 4, "cuda"), 2, 12.0 + 12.0 / 4),
        (Host(8, 4, "cuda"), 3, 4 * 12.0 + 12.0 / 2),
    ],
    ids=["processors", "accelerators", "as wide as a share", "wider than a share"],
)
def test_the_bound_is_what_a_host_needs_for_either_kind(host, threads, seconds):
    """Four units of 12 s, of which a host may time so many at a time, and 12 packed seconds."""
    asked = {"threads": threads, "device": host.accelerator or "cpu"}
    blocks = range(4 if host.gpus else 2)
    works = [trial(measurement="speed", block=block, **asked) for block in blocks]
    works = [Work.of(index, each, 0) for index, each in enumerate([*works, *[trial(**asked)] * 12])]
    truth = {work.index: 12.0 if work.exclusive else 1.0 for work in works}
    assert bound(works, truth, {"one": host}) == pytest.approx(seconds)


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
    third, device = max(run.ended for run in runs) / 3, min(run.work.device for run in runs)
    for kind in (True, False):
        mine = [run for run in runs if run.work.device == device and run.work.exclusive is kind]
        begins = [0.0, *(run.began for run in mine)]
        assert max(after - before for before, after in pairwise(begins)) < third
