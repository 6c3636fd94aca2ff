#!/bin/bash
# One node of a run without Slurm; the same command on every node, and again on one that was lost.
#   HEAD=node0 NODES=2 RUN_DIR=/shared/run1 bash configs/cluster/torchrun.sh CONFIG [OPTIONS OF FIT]
# HEAD is the first node's address, and RUN_DIR lies on a disk that all nodes share. While a node is
# missing, the others wait for it (at most WAIT seconds), then all go on from the last checkpoint. If
# HEAD itself is lost, every node ends with an error, and wants the command again.

set -eu
config=${1:?usage: HEAD=… NODES=… RUN_DIR=… bash configs/cluster/torchrun.sh CONFIG [OPTIONS]}
shift
processes=${PROCESSES:-$(nvidia-smi --list-gpus 2>/dev/null | wc -l)}
[ "$processes" -gt 0 ] || processes=1
# Where host names do not lead to nodes, set LOCAL_ADDR to the node's own address, and IS_HOST=true
# on the head, false elsewhere. Where nodes have several networks, set GLOO_SOCKET_IFNAME or
# NCCL_SOCKET_IFNAME.
# A torchrun that shares its store publishes the address once, and a node that comes anew waits for it
# in vain (torch 2.13).
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes "${NODES:?how many nodes}" --nproc_per_node "$processes" \
    --rdzv_backend c10d --rdzv_endpoint "${HEAD:?address of the first node}:${PORT:-29400}" \
    --rdzv_id "$(basename "${RUN_DIR:?a directory on a shared disk}")" \
    --rdzv_conf "join_timeout=${WAIT:-3600}${IS_HOST:+,is_host=$IS_HOST}" --max_restarts "${RESTARTS:-100}" \
    ${LOCAL_ADDR:+--local_addr "$LOCAL_ADDR"} \
    -m lightning_posenc fit --config "$config" --run_dir "$RUN_DIR" --ckpt_path last \
    --trainer.num_nodes "$NODES" --trainer.devices "$processes" --trainer.strategy ddp "$@"
