"""`bptt new slurm|kuberay` begins a job that starts Ray behind a token and runs the sweep in it."""

import os
import re
import signal
import stat
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from commands import bptt

ROOT = Path(__file__).parent.parent.parent
FAKES = {  # in place of Slurm, Ray and the sweep; each writes down how it was called
    "scontrol": 'echo "scontrol $*" >> calls; printf "n1\\nn2\\nn3\\n"',
    "srun": """
        where=; while [[ $1 == --* ]]; do [[ $1 == --nodelist=* ]] && where=${1#*=}; shift; done
        export ON=$where folder=$folder-$where
        [[ $1 == hostname ]] || echo $$ >> steps
        exec "$@" """,
    "scancel": """
        echo "scancel $*" >> calls
        kill $(cat steps)""",
    "nproc": "echo 4",
    "hostname": 'echo "192.0.2.1 192.0.2.9"',
    "ray": """
        echo "ray on ${ON:-batch}: $* mode=$RAY_AUTH_MODE token=${#RAY_AUTH_TOKEN}" >> calls
        [[ $1 == health-check ]] && exit 0
        trap 'echo "end of ray on $ON" >> calls; exit' TERM
        echo "$folder $(stat -c %a "$folder")" >> folders
        while :; do sleep 0.05; done""",
    "python": """
        echo "python $*" >> calls; cat > check.py
        until (( $(cat folders | wc -l) == 2 )); do sleep 0.02; done""",  # they have joined
    "bptt": """
        echo "bptt $*" >> calls
        trap 'echo "bptt was told to stop" >> calls; exit 130' TERM
        [[ $* == *--resume* ]] && exit 3
        touch runs; while :; do sleep 0.05; done""",
}


JOB = f"test-{os.getpid()}"  # which names a folder of this machine


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert bptt("new", "slurm", "night").exit_code == 0
    (tmp_path / "folders").touch()
    for name, text in FAKES.items():
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/bash\n{text}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return tmp_path / "night.sh"


def begin(job: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(job.parent / "bin"), os.environ["PATH"]])
    slurm = {"SLURM_JOB_ID": JOB, "SLURM_JOB_NODELIST": "n[1-3]", "PATH": path}
    return subprocess.Popen(
        ["bash", job, *arguments],
        env={**os.environ, **slurm, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def calls(job: Path) -> list[str]:
    return (job.parent / "calls").read_text().splitlines()


def test_a_slurm_job_starts_a_head_then_the_other_nodes_and_exits_as_the_sweep_does(
    job: Path,
) -> None:
    running = begin(job, "mine.toml", "--resume")
    said, _ = running.communicate(timeout=60)
    assert (running.returncode, said) == (3, "")
    made = calls(job)
    assert made[0] == "scontrol show hostnames n[1-3]"
    heads = [line for line in made if " --head " in line]
    (others,) = [line for line in made if "start" in line and line not in heads]
    assert heads[0].startswith("ray on n1: start --block --num-cpus=4 --head")
    assert "--node-ip-address=192.0.2.1 --port=6379 --include-dashboard=false" in heads[0]
    assert others.startswith("ray on n2,n3: start --block --num-cpus=4 --address=192.0.2.1:6379")
    assert {line.partition(" mode=")[2] for line in (*heads, others)} == {"token token=64"}
    assert "python - 192.0.2.1:6379 3" in made
    assert "bptt sweep --address 192.0.2.1:6379 mine.toml --resume" in made
    compile((job.parent / "check.py").read_text(), "check.py", "exec")


def test_the_warning_before_the_time_limit_reaches_the_sweep_and_then_ray_ends(job: Path) -> None:
    running = begin(job, "quick")
    while not (job.parent / "runs").exists():
        assert running.poll() is None
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=60)
    assert running.returncode == 130
    assert "bptt was told to stop" in calls(job)
    ended = {line for line in calls(job) if line.startswith("end of ray")}
    assert ended == {"end of ray on n1", "end of ray on n2,n3"}
    assert f"scancel --signal=TERM {JOB}" in calls(job)


def test_what_ray_writes_on_a_node_is_ours_alone_and_gone_afterwards(job: Path) -> None:
    begin(job, "mine.toml", "--resume").communicate(timeout=60)
    made = dict(line.split() for line in (job.parent / "folders").read_text().splitlines())
    assert made == {f"/tmp/ray-{JOB}-n1": "700", f"/tmp/ray-{JOB}-n2,n3": "700"}
    assert [folder for folder in made if Path(folder).exists()] == []


def test_a_slurm_job_that_is_started_again_resumes(job: Path) -> None:
    begin(job, "mine.toml", SLURM_RESTART_COUNT="1").communicate(timeout=60)
    assert "bptt sweep --address 192.0.2.1:6379 --resume mine.toml" in calls(job)


def test_the_slurm_job_asks_for_that_warning_and_for_whole_nodes(job: Path) -> None:
    asked = re.findall(r"^#SBATCH (.*)$", job.read_text(), re.MULTILINE)
    wanted = {"--job-name=night", "--signal=B:TERM@120", "--exclusive", "--mem=0"}
    assert wanted | {"--ntasks-per-node=1", "--no-kill"} <= set(asked)
    assert "##SBATCH --gpus-per-node=1\n" in job.read_text()


def kuberay(name: str) -> dict:
    assert bptt("new", "kuberay", name).exit_code == 0
    return yaml.safe_load(Path(f"{name}.yaml").read_text())


def test_a_kuberay_job_is_closed_and_of_one_image_and_keeps_its_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = kuberay("night-run")
    assert (made["apiVersion"], made["kind"]) == ("ray.io/v1", "RayJob")
    assert made["metadata"]["name"] == "night-run"
    cluster = made["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["rayVersion"] == version("ray")
    pods = [group["template"]["spec"] for group in groups(cluster)]
    containers = [container for pod in pods for container in pod["containers"]]
    assert len({container["image"] for container in containers}) == 1
    for container in containers:
        assert {"name": "RAY_AUTH_MODE", "value": "token"} in container["env"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
    mounted = {each["mountPath"] for each in containers[0]["volumeMounts"]}
    volumes = {each["name"] for each in pods[0]["volumes"]}
    assert {each["name"] for each in containers[0]["volumeMounts"]} == volumes
    words = made["spec"]["entrypoint"].split()
    assert words[:2] == ["bptt", "sweep"]
    assert words[words.index("--results") + 1] in mounted


def groups(cluster: dict) -> list[dict]:
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("Night_Run", "'Night_Run' cannot name a job"), ("twice", "twice.yaml is there already")],
)
def test_a_job_that_cannot_be_named_so_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "twice.yaml").touch()
    refused = bptt("new", "kuberay", name)
    assert refused.exit_code == 2
    assert sentence in refused.stderr


def test_a_plugin_without_a_name_is_refused() -> None:
    assert bptt("new", "clips").exit_code == 2


def test_the_templates_are_installed_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "templates/*" in project["tool"]["setuptools"]["package-data"]["harness"]
