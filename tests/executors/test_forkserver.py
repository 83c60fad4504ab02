"""Real processes, no Ray: what a fork server promises of the children it forks."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.executors import client as client_module
from harness.executors import forkserver
from harness.executors.agent import Agent
from harness.executors.client import Client, Launch, ServerLost
from harness.executors.protocol import Request, encode

MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def server():
    launch = Launch("faults")
    client = Client(launch.path)
    yield client
    client.close()
    launch.close()


@pytest.fixture
def own_launch():
    launch = Launch("faults")
    yield launch
    launch.close()


@pytest.fixture
def own_server(own_launch):
    client = Client(own_launch.path)
    yield client
    client.close()


@pytest.fixture
def call(server):
    def report(target, payload=None, **walls):
        walls = {"seconds": 30.0, **walls}
        request = Request(key=target, target=f"faults:{target}", payload=payload or {}, **walls)
        return server.submit(request).result(30)

    return report


@pytest.fixture(scope="module")
def torch_server():
    launch = Launch("harness.worker")
    client = Client(launch.path)
    yield client
    client.close()
    launch.close()


def gone(pid):
    """Return whether the process ends within a few seconds."""
    try:
        psutil.Process(pid).wait(5)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def appears(path):
    """Return the file's content once there is any."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if path.exists() and (content := path.read_text()):
            return content
        time.sleep(0.01)
    raise AssertionError(f"{path} never came")


def test_a_result_comes_back_with_its_times(call):
    before = time.time()
    report = call("echo", {"a": [1, 2.5, None]})
    assert report.result["got"] == {"a": [1, 2.5, None]}
    assert before <= report.started <= report.ended <= time.time()


def test_every_request_gets_a_process_of_its_own(call, server):
    pids = {call("echo").result["pid"] for _ in range(5)}
    assert len(pids - {server.pid}) == 5


def test_results_larger_than_a_pipe_arrive_whole(call):
    payload = {"text": "x" * (3 * MEBIBYTE)}
    assert call("echo", payload).result["got"] == payload


def test_an_exception_is_an_answer_with_its_traceback(call):
    report = call("raise_error")
    assert report.result is None
    assert report.error == "ValueError: no such luck"
    assert "in raise_error" in report.output


def test_a_target_that_exits_politely_is_an_answer_too(call):
    assert call("leave").error == "SystemExit: 3"


def test_a_target_that_does_not_exist_is_an_answer_too(call):
    assert "no attribute 'missing'" in call("missing").error


def test_a_wall_that_cannot_be_set_is_an_answer_too(call):
    report = call("echo", cores=(1 << 16,))  # more cores than any kernel counts
    assert report.error.startswith("OSError: [Errno 22]")
    assert report.environment == {}


def test_a_segmentation_fault_tells_its_signal_and_last_lines(call):
    report = call("segfault")
    assert report.signal == signal.SIGSEGV
    assert report.output.startswith("about to fall")
    assert "in segfault" in report.output


def test_an_exit_code_is_told(call):
    report = call("exit_at_once")
    assert (report.code, report.signal, report.result) == (3, None, None)


def test_a_kill_that_is_not_the_kernels_doing_is_not_called_out_of_memory(call):
    report = call("kill_itself")
    assert (report.signal, report.out_of_memory) == (signal.SIGKILL, False)


def test_a_loop_in_c_that_blocks_every_signal_ends_at_its_limit(call):
    report = call("hang_in_c", seconds=0.5)
    assert report.timed_out
    assert 0.5 <= report.ended - report.started < 5


def test_a_trial_within_its_limits_is_not_called_timed_out(call):
    assert not call("echo", seconds=5.0).timed_out


def test_an_allocation_past_the_cap_is_out_of_memory(call):
    report = call("allocate", {"bytes": 300 * MEBIBYTE}, memory_bytes=100 * MEBIBYTE)
    assert report.out_of_memory
    assert report.error == "MemoryError"


def test_an_allocation_under_the_cap_succeeds(call):
    report = call("allocate", {"bytes": 80 * MEBIBYTE}, memory_bytes=100 * MEBIBYTE)
    assert report.result == {"bytes": 80 * MEBIBYTE}


def test_an_allocation_past_the_cap_can_be_caught_in_the_trial(call):
    report = call("allocate_and_survive", {"bytes": 300 * MEBIBYTE}, memory_bytes=100 * MEBIBYTE)
    assert report.result == {"caught": True}


def test_without_a_cap_a_trial_gets_no_more_than_the_node_has(call):
    report = call("allocate", {"bytes": 2 * psutil.virtual_memory().total})
    assert report.out_of_memory


def test_a_hundred_megabytes_of_output_leave_their_last_lines(call, server):
    before = psutil.Process(server.pid).memory_info().rss
    report = call("print_much", {"bytes": 100_000_000})
    assert report.result == {}
    assert report.output.endswith("the last line")
    assert len(report.output) <= 2**14
    assert psutil.Process(server.pid).memory_info().rss < before + 20 * MEBIBYTE


def test_a_child_that_closes_its_output_costs_the_server_nothing(call, server):
    before = sum(psutil.Process(server.pid).cpu_times()[:2])
    assert call("close_output").result == {}  # after half a second
    assert sum(psutil.Process(server.pid).cpu_times()[:2]) - before < 0.1


def test_a_child_gets_what_was_asked(call):
    core = max(os.sched_getaffinity(0))
    got = call(
        "describe",
        cores=(core,),
        niceness=3,
        variables={"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "2"},
    ).result
    assert got["affinity"] == [core]
    assert got["niceness"] == 3
    assert (got["cuda"], got["omp"]) == ("", "2")
    assert got["group"]


def test_a_report_tells_what_was_in_force_though_its_trial_fell(call):
    core = max(os.sched_getaffinity(0))
    environment = call(
        "segfault",
        cores=(core,),
        niceness=3,
        seconds=20.0,
        memory_bytes=100 * MEBIBYTE,
        variables={"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "2"},
    ).environment
    assert (environment["affinity"], environment["niceness"]) == ([core], 3)
    assert environment["variables"]["OMP_NUM_THREADS"] == "2"
    assert environment["seconds_limit"] == 20.0
    assert 100 * MEBIBYTE < environment["data_bytes_limit"] < 300 * MEBIBYTE  # and its imports
    assert environment["oom_score"] == 1000
    assert environment["host"]


def test_a_report_tells_the_threads_of_torch_though_its_trial_fell(torch_server):
    variables = {"OMP_NUM_THREADS": "3"}
    request = Request(
        key="t", target="faults:kill_itself", payload={}, seconds=30.0, variables=variables
    )
    told = torch_server.submit(request).result(30).environment
    assert (told["threads"], told["flushes_denormals"]) == (3, True)


def test_a_child_starts_with_one_thread_and_can_start_more(call):
    assert call("describe").result["threads"] == 1
    assert call("start_thread").result == {"ran": True}


def test_a_child_holds_no_descriptor_of_its_siblings(call, server, tmp_path):
    alone = call("describe").result["descriptors"]
    request = Request(
        key="sibling", target="faults:wait", payload={"file": str(tmp_path / "pid")}, seconds=30.0
    )
    server.submit(request)
    sibling = int(appears(tmp_path / "pid"))
    with_sibling = call("describe").result["descriptors"]
    os.kill(sibling, signal.SIGKILL)
    assert len(with_sibling) == len(alone)


def test_children_run_side_by_side(server, tmp_path):
    files = [tmp_path / name for name in ("one", "two", "three")]
    requests = [
        Request(key=str(file), target="faults:wait", payload={"file": str(file)}, seconds=30.0)
        for file in files
    ]
    futures = [server.submit(request) for request in requests]
    for pid in [int(appears(file)) for file in files]:
        os.kill(pid, signal.SIGKILL)
    assert [future.result(10).signal for future in futures] == [signal.SIGKILL] * 3


@pytest.mark.parametrize("end", ["kill the server", "close the connection"])
def test_nothing_outlives_the_server(own_server, tmp_path, end):
    file = tmp_path / "pid"
    request = Request(key="a", target="faults:wait", payload={"file": str(file)}, seconds=30.0)
    future = own_server.submit(request)
    child = int(appears(file))
    if end == "kill the server":
        os.kill(own_server.pid, signal.SIGKILL)
    else:
        own_server.close()
    with pytest.raises(ServerLost):
        future.result(10)
    assert gone(child)
    assert gone(own_server.pid)


@pytest.mark.parametrize("apart", [False, True], ids=["its group", "a session of its own"])
@pytest.mark.parametrize("end", ["return", "timeout", "kill the server"])
def test_what_a_trial_started_does_not_outlive_it(tmp_path, own_launch, apart, end):
    file = tmp_path / "pids"
    client = Client(own_launch.path)
    sibling = Request(
        key="s", target="faults:wait", payload={"file": str(tmp_path / "s")}, seconds=30.0
    )
    client.submit(sibling)
    payload = {"file": str(file), "apart": apart, "stay": end != "return"}
    request = Request(key="a", target="faults:start_company", payload=payload, seconds=0.5)
    future = client.submit(request)
    pids = [int(word) for word in appears(file).split()]
    assert len(pids) == 2
    if end == "kill the server":
        os.kill(client.pid, signal.SIGKILL)
        own_launch.close()
    else:
        assert future.result(10).timed_out == (end == "timeout")
        assert psutil.pid_exists(int(appears(tmp_path / "s")))  # the sibling goes on
    assert all(map(gone, pids))
    client.close()


STARTER = """
import sys
from harness.executors.client import Client, Launch
from harness.executors.protocol import Request
launch = Launch("faults", None, sys.argv[1])
client = Client(launch.path)
payload = {"file": sys.argv[2], "apart": True, "stay": True}
client.submit(Request(key="a", target="faults:start_company", payload=payload, seconds=30.0))
print(client.pid, flush=True)
sys.stdin.read()
"""


def test_what_a_trial_started_ends_though_its_server_hangs_and_whoever_could_end_it_is_killed(
    tmp_path,
):
    words = [sys.executable, "-c", STARTER, str(tmp_path), str(tmp_path / "pids")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, **pipes, env=client_module.environment()) as starter:
        server = int(starter.stdout.readline())
        company = [int(word) for word in appears(tmp_path / "pids").split()]
        os.kill(server, signal.SIGSTOP)  # it does no more than one that is killed as well
        starter.kill()
    assert len(company) == 2
    assert all(map(gone, [server, *company]))
    assert list(tmp_path.glob("bptt-*")) == []


def test_a_trial_that_writes_to_every_descriptor_costs_the_server_nothing(call):
    assert (call("scribble").code, call("scribble").result) == (0, None)
    assert call("echo", {"a": 1}).result["got"] == {"a": 1}


def test_a_client_that_leaves_as_it_is_answered_leaves_nothing(own_launch):
    payload = {"text": "x" * (3 * MEBIBYTE)}  # more than the server can send unread
    request = Request(key="a", target="faults:echo", payload=payload, seconds=30.0)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(own_launch.path)
        connection.sendall(encode(request.to_json()))
        while b'"key"' not in connection.recv(4096):
            pass
    assert own_launch.process.wait(10) == 0
    assert not Path(own_launch.path).parent.exists()


def test_a_request_to_a_dead_server_is_lost_at_once(own_server):
    os.kill(own_server.pid, signal.SIGKILL)
    assert gone(own_server.pid)
    with pytest.raises(ServerLost):
        own_server.submit(
            Request(key="late", target="faults:echo", payload={}, seconds=30.0)
        ).result(10)


def test_a_server_whose_starter_is_gone_ends(tmp_path):
    launch = Launch("faults")
    client = Client(launch.path)
    launch.process.stdin.close()
    assert gone(client.pid)
    client.close()
    launch.close()


def test_a_module_that_does_not_import_is_told_by_name():
    launch = Launch("no_such_module")
    with pytest.raises(ServerLost, match="No module named 'no_such_module'"):
        Client(launch.path)
    launch.close()


def test_a_module_that_starts_threads_is_refused(tmp_path, monkeypatch):
    (tmp_path / "busy.py").write_text(
        "import threading\n"
        "def prepare():\n"
        "    threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    launch = Launch("busy")
    with pytest.raises(ServerLost, match="preparing busy started 1 threads"):
        Client(launch.path)
    launch.close()


def test_a_process_that_opened_an_accelerator_can_be_told(tmp_path):
    (tmp_path / "0").symlink_to("/dev/null")
    assert not forkserver.touched(tmp_path)
    (tmp_path / "1").symlink_to("/dev/nvidiactl")  # as the kernel shows an open file
    assert forkserver.touched(tmp_path)


def test_a_trial_starts_from_a_process_that_has_not_touched_cuda(torch_server):
    request = Request(key="c", target="faults:cuda_was_touched", payload={}, seconds=30.0)
    assert torch_server.submit(request).result(30).result == {"initialized": False}
    assert not forkserver.touched(Path(f"/proc/{torch_server.pid}/fd"))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_child_computes_on_as_many_threads_as_it_sets(torch_server, threads):
    payload = {"threads": threads}
    request = Request(key="m", target="faults:multiply", payload=payload, seconds=30.0)
    assert torch_server.submit(request).result(30).result == {"corner": 600.0, "threads": threads}


def test_an_allocation_of_torch_past_the_cap_can_be_caught_in_the_trial(torch_server):
    request = Request(
        key="allocation",
        target="faults:allocate_in_torch",
        payload={"bytes": 300 * MEBIBYTE},
        seconds=30.0,
        memory_bytes=100 * MEBIBYTE,
    )
    assert "allocate memory" in torch_server.submit(request).result(30).result["caught"]


@pytest.mark.parametrize(("module", "failed"), [("faults", False), ("no.such.module", True)])
def test_a_server_that_was_killed_is_told_from_one_that_failed(module, failed):
    launch = Launch(module)
    if not failed:
        launch.process.kill()
    with pytest.raises(ServerLost):
        Client(launch.path)
    assert launch.failed == failed
    launch.close()


def test_a_server_that_stops_before_it_is_ready_is_given_up(tmp_path, monkeypatch):
    (tmp_path / "stuck.py").write_text(
        "import os, signal\ndef prepare():\n    os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(client_module, "READY_SECONDS", 0.5)
    monkeypatch.setattr(client_module, "PATIENCE_SECONDS", 0.1)
    agent = Agent("stuck", str(tmp_path), str(tmp_path), None)
    assert "was not within 0.5 s" in agent.hello()["fault"]
    assert list(tmp_path.glob("bptt-*")) == []  # nor is its folder left
    agent.close()
