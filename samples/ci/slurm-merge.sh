#!/bin/bash
#SBATCH --job-name=pbitc-merge
#SBATCH --time=00:10:00
# Joins the shards into the report that one run would have written, byte for byte, and judges it.
set -euo pipefail

exec pbitc report merge shards/* -o report --min-accuracy 1:8:0.97 --max-drop 1:8:0.02
