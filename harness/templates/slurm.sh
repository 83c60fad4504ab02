#!/bin/bash
# A sweep on the nodes of a Slurm job:        sbatch NAME.sh SWEEP [OPTION...]
# Its time limit and `scancel` lose nothing:  sbatch NAME.sh SWEEP --resume
#
# Every node needs the same Python, torch and Ray, and the dependencies; code, plugin files and
# data packs are sent to them. Only the first node needs `bptt`.
#SBATCH --job-name=NAME
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --no-kill
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
# What else your site may ask for; Slurm reads such a line once it begins with one # less:
##SBATCH --account=ACCOUNT
##SBATCH --partition=PARTITION
##SBATCH --gpus-per-node=1
# shellcheck disable=SC2016,SC2046,SC2329  # srun's bash expands and calls; process ids are words
set -euo pipefail

# source "$HOME/bptt-bench/.venv/bin/activate"
# module load cuda

port=${BPTT_RAY_PORT:-6379}
# Whoever reaches an open Ray can run commands as you: none is let in without this job's token.
# It travels in the environment that srun hands on, so it needs no shared disk.
RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n')
export RAY_AUTH_TOKEN
export RAY_AUTH_MODE=token
export RAY_USAGE_STATS_ENABLED=0
export RAY_worker_niceness=0                   # Ray's own, 15, lets any other process slow a timing
export RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=1    # a trial without an accelerator sees none
export RAY_health_check_period_ms=1000         # a node that is cut off is noticed in seconds
export RAY_health_check_timeout_ms=2000
export RAY_health_check_failure_threshold=3

export folder="/tmp/ray-$SLURM_JOB_ID"         # Ray's on every node: the path of a socket is short
ray_node() { # until it is told to end; then nothing of it is left on the node
    rm -rf "$folder" && mkdir -m 700 "$folder" || exit
    trap 'kill "$ray"' TERM
    ray start --block --num-cpus="$(nproc)" "$@" &
    ray=$!
    wait "$ray"
    wait "$ray" # the signal ended the first
    rm -rf "$folder"
}
export -f ray_node
on() { # HOSTS COUNT COMMAND...: one task on each; takes the place of a subshell
    # All cores of a node, bound to none, as each trial is bound; one node's end is its own.
    exec srun --overlap --cpu-bind=none --no-kill --wait=0 --kill-on-bad-exit=0 --export=ALL \
        --nodelist="$1" --nodes="$2" --ntasks="$2" "${@:3}"
}
end_ray() { # not by killing srun, which would kill at once what it started
    scancel --signal=TERM "$SLURM_JOB_ID" || kill $(jobs -p) 2>/dev/null || true
    wait
}

mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${hosts[0]}
read -r address _ < <(on "$head" 1 hostname --ip-address)
address=$address:$port

trap end_ray EXIT
on "$head" 1 bash -c 'ray_node "$@"' ray --head --node-ip-address="${address%:*}" --port="$port" \
    --include-dashboard=false --temp-dir="$folder" &
up=
for _ in {1..60}; do
    if ray health-check --address="$address" >/dev/null 2>&1; then up=yes && break; fi
    sleep 1
done
[ -n "$up" ] || { echo "no Ray at $address after a minute: see above" >&2; exit 1; }
if [ "${#hosts[@]}" -gt 1 ]; then
    rest=$(IFS=, && echo "${hosts[*]:1}")
    on "$rest" $((${#hosts[@]} - 1)) bash -c 'ray_node "$@"' ray --address="$address" &
fi
python - "$address" "${#hosts[@]}" <<'PYTHON'
import sys, time, ray
ray.init(sys.argv[1], include_dashboard=False, log_to_driver=False, logging_level="ERROR")
for _ in range(120):
    found = sum(node["Alive"] for node in ray.nodes())
    if found == int(sys.argv[2]):
        break
    time.sleep(1)
else:
    sys.exit(f"{found} of {sys.argv[2]} nodes joined within two minutes: see above")
ray.shutdown()
PYTHON

# The time limit's warning stops the sweep as Ctrl-C does; it needs the script to be waiting.
# A job that Slurm puts back into the queue goes on.
bptt sweep --address "$address" ${SLURM_RESTART_COUNT:+--resume} "$@" &
sweep=$!
trap 'kill -TERM "$sweep" 2>/dev/null || true' TERM INT
code=0
wait "$sweep" || code=$?
while kill -0 "$sweep" 2>/dev/null; do # it was the signal that ended the wait
    code=0
    wait "$sweep" || code=$?
done
exit "$code"
