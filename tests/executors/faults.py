"""What trials may do to the process they run in; targets for the tests beside this file."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import harness.trial


def echo(payload):
    return {"pid": os.getpid(), "got": payload}


def describe(payload):
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "affinity": sorted(os.sched_getaffinity(0)),
        "niceness": os.nice(0),
        "group": os.getpgid(0) == os.getpid(),
        "cuda": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "omp": os.environ.get("OMP_NUM_THREADS"),
        "threads": int(status["Threads"]),
        "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd")),
    }


def raise_error(payload):
    raise ValueError("no such luck")


def leave(payload):
    raise SystemExit(3)


def segfault(payload):
    print("about to fall", flush=True)
    ctypes.string_at(0)


def exit_at_once(payload):
    os._exit(3)


def kill_itself(payload):
    os.kill(os.getpid(), signal.SIGKILL)


def hang_in_c(payload):
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    sum(range(10**12))


def stop_itself(payload):
    os.kill(os.getpid(), signal.SIGSTOP)


def allocate(payload):
    return {"bytes": len(bytearray(payload["bytes"]))}


def allocate_and_survive(payload):
    try:
        bytearray(payload["bytes"])
    except MemoryError:
        return {"caught": True}
    return {"caught": False}


def allocate_in_torch(payload):
    import torch

    try:
        torch.ones(payload["bytes"], dtype=torch.uint8)
    except RuntimeError as error:
        return {"caught": str(error)}
    return {"caught": ""}


def print_much(payload):
    block = b"x" * 1023 + b"\n"
    for _ in range(payload["bytes"] // len(block)):
        os.write(1, block)
    os.write(1, b"the last line\n")
    return {}


def print_and_fall(payload):
    print_much(payload)
    segfault(payload)


def close_output(payload):
    os.close(1)
    os.close(2)
    time.sleep(0.5)
    return {}


def linger(payload):
    """Take a while, or none once there is no more to wait for."""
    if not Path(payload["hurry"]).exists():
        time.sleep(payload["seconds"])
    return {}


def fill(payload):
    """Use the memory, a little at a time, as a kernel gives it."""
    Path(payload["file"]).write_text(str(os.getpid()))
    blocks = [b"x" * 2**20 for _ in range(payload["bytes"] // 2**20)]
    return {"bytes": sum(map(len, blocks))}


def cuda_was_touched(payload):
    import torch

    return {"initialized": torch.cuda.is_initialized()}


def wait(payload):
    Path(payload["file"]).write_text(str(os.getpid()))
    time.sleep(60)


def start_company(payload):
    """Leave a process in this trial's group, or in a session of its own, and another behind it."""
    words = f"sleep 61 & echo $! $$ >{payload['file']}; exec sleep 62"
    subprocess.Popen(["sh", "-c", words], start_new_session=payload["apart"])
    while not Path(payload["file"]).exists() or not Path(payload["file"]).read_text():
        time.sleep(0.001)
    if payload["stay"]:
        time.sleep(60)
    return {}


def scribble(payload):
    """Write to every descriptor, as a stray pointer in C might, then end as if all were well."""
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(descriptor, b"\n\xff not an answer\n[]")
    os._exit(0)


def start_thread(payload):
    done = threading.Event()
    thread = threading.Thread(target=done.set)
    thread.start()
    thread.join()
    return {"ran": done.is_set()}


def multiply(payload):
    import torch

    torch.set_num_threads(payload["threads"])
    product = torch.ones(600, 600) @ torch.ones(600, 600)
    return {"corner": product[0, 0].item(), "threads": torch.get_num_threads()}


def _done(payload, **values):
    trial = harness.trial.Trial.from_json(payload)
    return harness.trial.Record(trial=trial, status="done", values=values).to_json()


def prepare():
    """Nothing to do before the first trial."""


def trivial(payload):
    return _done(payload, pid=os.getpid())


def run_out(payload):
    values = {"steady": True, "short_of": "limit"}
    trial = harness.trial.Trial.from_json(payload)
    return harness.trial.Record(trial, "oom", "none was free", values=values).to_json()


def rest(payload):
    """Sleep for the trial's seed, in milliseconds."""
    time.sleep(payload["seed"] / 1000)
    return _done(payload)


def as_told(payload):
    """Do what the trial's `cell` says, for `sequence_length` milliseconds where that matters.

    The parameters of the cell are the fault's.
    """
    name = payload["cell"]["use"]
    if name == "sleep":
        began = time.time()
        time.sleep(payload["sequence_length"] / 1000)
        return _done(payload, pid=os.getpid(), began=began, ended=time.time())
    if name == "describe_done":
        return _done(payload, **describe(payload))
    if name == "noise":
        print("noise from a trial", file=sys.stderr)
        return _done(payload)
    if name == "trivial":
        return trivial(payload)
    return _done(payload, **globals()[name](payload["cell"]["params"]))
