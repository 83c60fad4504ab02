"""Which kills were the kernel's: those that it counts where a trial was, in files like its own."""

import pytest

from harness.executors.running import kernel_kills

MACHINE = {"proc/vmstat": "nr_free_pages 1\noom_kill 7\n"}
OLD = {
    **MACHINE,
    "proc/self/cgroup": "4:memory:/job/one\n3:cpuset:/\n0::/\n",
    "sys/fs/cgroup/memory/job/one/memory.oom_control": (
        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"
    ),
}
NEW = {
    **MACHINE,
    "proc/self/cgroup": "0::/job/one\n",
    "sys/fs/cgroup/job/one/memory.events": "oom_kill 4\n",  # of the groups below too
    "sys/fs/cgroup/job/one/memory.events.local": "oom 5\noom_kill 3\noom_group_kill 0\n",
}
NAMELESS = {**OLD, "proc/self/cgroup": "4:memory:/of/another/container\n0::/\n"}
WITHOUT = {"proc/self/cgroup": "0::/\n", "proc/vmstat": "nr_free_pages 1\n"}


@pytest.mark.parametrize(
    ("files", "kills"),
    [(OLD, 2), (NEW, 3), (NAMELESS, 7), ({**MACHINE, "proc/self/cgroup": ""}, 7), (WITHOUT, 0)],
    ids=["version 1", "version 2", "not to be seen", "no group", "no count"],
)
def test_the_kills_are_those_of_ones_own_control_group_where_they_are_counted(
    tmp_path, files, kills
):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert kernel_kills(tmp_path) == kills
