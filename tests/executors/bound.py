"""The soonest end of a sweep that any schedule could have: what the makespan is held against.

A linear programme, as if trials could be cut into pieces. A host spends some of the time on timed
trials that have all of it, some on others that are timed side by side on its accelerators, and the
rest on what fills cores. A setting is timed on hosts of one kind: which it is, is an integer.
Trials for processors are for the hosts without accelerators, where there are any.
"""

from collections import defaultdict

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

TIED = "tied"  # begins the names of what is 0 or 1


def bound(works, truth, hosts):
    """Return the seconds: what divisible work needs, or the longest of what cannot be divided."""
    sizes, units, kinds, longest = defaultdict(float), defaultdict(float), {}, 0.0
    for work in works:
        key = work.device, work.threads, work.setting if work.exclusive else ""
        kinds[key] = work
        sizes[key] += truth[work.index]
        if work.exclusive:
            units[work.setting, work.block] += truth[work.index]
        else:
            longest = max(longest, truth[work.index])
    rows = [row for name, host in hosts.items() for row in _of(name, host, kinds)]
    for key, work in kinds.items():
        able = {(key, name): -1.0 for name, host in hosts.items() if _may(host, work, hosts)}
        rows.append((able, -sizes[key]))
        rows += _tie(key, sizes[key], hosts) if work.exclusive else []
    return max(_least("end", rows), longest, *units.values(), 0.0)


def _may(host, work, hosts):
    """Return whether a host is for a trial."""
    if work.device != "cpu":
        return host.accelerator == work.device and host.cores >= work.threads
    plain = [each for each in hosts.values() if not each.gpus and each.cores >= work.threads]
    return host in plain if plain else host.cores >= work.threads


def _tie(key, size, hosts):
    """Return that a setting is timed on one kind of host, and on no other."""
    by_kind = defaultdict(list)
    for name, host in hosts.items():
        by_kind[host.kind, host.accelerator].append(name)
    only = {(TIED, key, kind): 1 for kind in by_kind}
    there = [{(key, name): 1 for name in names} for names in by_kind.values()]
    return [(only, 1), *((row | {tied: -size}, 0) for row, tied in zip(there, only, strict=True))]


def _of(name, host, kinds):
    """Yield what a host can do: seconds of its own, and of each kind of trial."""
    timed = {key: host.seats(work) for key, work in kinds.items() if work.exclusive}
    filling = [key for key, work in kinds.items() if not work.exclusive]
    yield {("whole", name): 1, ("beside", name): 1, ("filled", name): 1, "end": -1}, 0.0
    yield {("whole", name): -1} | {(key, name): 1 for key in timed if timed[key] == 1}, 0.0
    yield {("beside", name): -host.gpus} | {(key, name): 1 for key in timed if timed[key] > 1}, 0.0
    yield {("filled", name): -host.cores} | {(key, name): key[1] for key in filling}, 0.0
    on_one = {(key, name): 1 for key in filling if key[0] != "cpu"}
    yield {("filled", name): -host.gpus} | on_one, 0.0
    for threads in {key[1] for key in filling}:
        wide = {(key, name): 1 for key in filling if key[1] >= threads}
        yield {("filled", name): -(host.cores // threads)} | wide, 0.0


def _least(goal, rows):
    """Return the least value of a variable; each row is at most its limit, and none is below 0."""
    places = {
        name: place for place, name in enumerate({name: 0 for row, _ in rows for name in row})
    }
    matrix = np.zeros((len(rows), len(places)))
    for line, (row, _) in zip(matrix, rows, strict=True):
        for name, factor in row.items():
            line[places[name]] = factor
    costs = np.array([float(name == goal) for name in places])
    whole = np.array([name[0] == TIED for name in places])
    limits = LinearConstraint(matrix, ub=[limit for _, limit in rows])
    found = milp(costs, integrality=whole, bounds=Bounds(0.0, np.inf), constraints=limits)
    assert found.success, found.message
    return found.fun
