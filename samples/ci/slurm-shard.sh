#!/bin/bash
#SBATCH --job-name=pbitc-shard
#SBATCH --array=1-3
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
# One shard of an accuracy report: slurm-submit.sh starts them all. A shard that runs out of time keeps what it has
# measured, and goes on from there when it is queued again.
set -euo pipefail

exec pbitc eval "$PBIT" --baseline "$MODEL" --data "$DATA" --draws 1,4,8 --samples 1,4 --limit 500 \
    --threads "${SLURM_CPUS_PER_TASK:-1}" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
    --report "shards/$SLURM_ARRAY_TASK_ID" --resume
