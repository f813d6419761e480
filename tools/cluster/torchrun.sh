#!/usr/bin/env bash
# Pre-training by torchrun, on every node the same line; HOST is one of the nodes, as all of them reach it.
#   NODES=2 GPUS=8 HOST=node1 CONFIG=lidar DATA=/data/nuscenes OUT=/shared/runs/lidar tools/cluster/torchrun.sh --steps 100000
set -euo pipefail
: "${CONFIG:?the configuration, as in CONFIG=lidar}" "${DATA:?the root of the data set}" "${OUT:?a folder that all nodes see}"
: "${HOST:?one of the nodes, as in HOST=node1}"
NODES=${NODES:-1} GPUS=${GPUS:-8}

# devices and num_nodes repeat what torchrun is told: Lightning checks the one against the other
exec torchrun --nnodes "$NODES" --nproc_per_node "$GPUS" --max_restarts "${RESTARTS:-0}" \
    --rdzv_backend c10d --rdzv_id "${RUN_ID:-avjepa}" --rdzv_endpoint "$HOST:${PORT:-29500}" \
    -m avjepa.cli pretrain "$CONFIG" --data "$DATA" --version "${VERSION:-v1.0-trainval}" --out "$OUT" \
    --trainer.strategy ddp --trainer.devices "$GPUS" --trainer.num_nodes "$NODES" --ckpt_path last "$@"
