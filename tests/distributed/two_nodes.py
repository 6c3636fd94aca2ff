"""Two nodes, each a network namespace with a torchrun of its own; then one of them is lost.

    python -m tests.distributed.two_nodes

As root on Linux, with iproute2; some minutes. The nodes share a disk and a cable (a veth pair),
nothing else. First they finish a run. Then they begin the same run again, the second node is killed
with SIGKILL after a checkpoint, and started anew, as a scheduler would: the first node's torchrun
has waited, both go on from the last checkpoint, and the run ends with the same numbers.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[2]
NODES = {"posenc-a": "10.77.7.1", "posenc-b": "10.77.7.2"}
FIRST, SECOND = NODES
PATIENCE = 900.0  # seconds for a run, on a busy machine
FIT = """-m lightning_posenc fit --config configs/quickstart.yaml --ckpt_path last
    --trainer.strategy ddp --trainer.accelerator cpu --trainer.num_nodes 2 --trainer.devices 1
    --trainer.max_epochs 8 --data.steps_per_epoch 25 --data.eval_samples 64
    --trainer.enable_progress_bar false --trainer.enable_model_summary false"""


def ip(arguments: str) -> None:
    """Run a command of iproute2."""
    subprocess.run(["ip", *arguments.split()], check=True)


@contextmanager
def cabled() -> Iterator[None]:
    """Two namespaces with one end of a veth pair each."""
    for name in NODES:
        ip(f"netns add {name}")
    try:
        ip(f"link add {FIRST} netns {FIRST} type veth peer name {SECOND} netns {SECOND}")
        for name, address in NODES.items():
            ip(f"-n {name} address add {address}/24 dev {name}")
            ip(f"-n {name} link set {name} up")
            ip(f"-n {name} link set lo up")
        yield
    finally:
        for name in NODES:
            ip(f"netns delete {name}")


def start(name: str, run_dir: Path, log: Any) -> subprocess.Popen[bytes]:
    """One node's torchrun."""
    # Names of hosts mean nothing here: addresses, and who hosts the meeting, are said.
    torchrun = f"""-m torch.distributed.run --nnodes 2 --nproc_per_node 1 --max_restarts 3
        --rdzv_backend c10d --rdzv_endpoint {NODES[FIRST]}:29400 --rdzv_id {run_dir.name}
        --rdzv_conf is_host={int(name == FIRST)} --local_addr {NODES[name]}"""
    command = f"{torchrun} {FIT} --run_dir {run_dir}"
    return subprocess.Popen(
        ["ip", "netns", "exec", name, sys.executable, *command.split()],
        cwd=ROOT,
        env={
            **os.environ,
            "GLOO_SOCKET_IFNAME": name,
            "OMP_NUM_THREADS": "1",
            # A node that shares its store publishes the address once: one that comes anew waits
            # for it in vain (torch 2.13).
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        },
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def finish(nodes: list[subprocess.Popen[bytes]], run_dir: Path) -> dict[str, float]:
    """Wait for both nodes; the run's metrics."""
    until = time.monotonic() + PATIENCE
    statuses = [node.wait(max(until - time.monotonic(), 1)) for node in nodes]
    assert statuses == [0, 0], statuses
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["status"] == "finished", summary["status"]
    return summary["metrics"]


def step_of(run_dir: Path) -> int:
    """The last step that was logged."""
    try:
        rows = (run_dir / "metrics.csv").read_text().splitlines()
        return int(rows[-1].split(",")[rows[0].split(",").index("step")])
    except (OSError, ValueError, IndexError):
        return 0


def kill(name: str) -> None:
    """Kill whatever runs on a node."""
    pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
    for pid in pids.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def lose(node: subprocess.Popen[bytes], run_dir: Path) -> int:
    """Kill a node some steps after the run's first checkpoint; the last step logged."""
    checkpoint = run_dir / "checkpoints" / "last.ckpt"
    until = time.monotonic() + PATIENCE
    while not (checkpoint.exists() and step_of(run_dir) > 50):
        assert node.poll() is None, "the run ended before a node could be lost"
        assert time.monotonic() < until, "no checkpoint"
        time.sleep(0.1)
    kill(SECOND)
    node.wait()
    return step_of(run_dir)


def main() -> None:
    with TemporaryDirectory() as directory, cabled():
        root = Path(directory)
        logs = {name: (root / f"{name}.log").open("wb") for name in NODES}
        running: list[subprocess.Popen[bytes]] = []
        try:
            whole = root / "whole"
            running = [start(name, whole, logs[name]) for name in NODES]
            expected = finish(running, whole)
            print(f"two nodes finish a run: val/loss {expected['val/loss']:.6f}")
            broken = root / "broken"
            running = [start(name, broken, logs[name]) for name in NODES]
            step = lose(running[1], broken)
            print(f"{SECOND} is lost after step {step}")
            running[1] = start(SECOND, broken, logs[SECOND])
            found = finish(running, broken)
        except BaseException:
            for name in NODES:
                print(f"--- {name}\n{(root / f'{name}.log').read_text()[-4000:]}", file=sys.stderr)
            raise
        finally:
            for name in NODES:
                kill(name)
        said = (root / f"{FIRST}.log").read_text()
        assert f"Restoring states from the checkpoint path at {broken}" in said, "began afresh"
        far = max(abs(found[key] - value) for key, value in expected.items())
        print(f"and survive it: val/loss {found['val/loss']:.6f}; metrics differ by {far:.1e}")
        assert found.keys() == expected.keys()
        assert far < 1e-6


if __name__ == "__main__":
    main()
