"""Run a function in several processes that form one process group, as torchrun would start them.

The processes are forked from a server that has imported everything once.
"""

import multiprocessing as mp
import os
import pickle
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist

STUCK = 240.0  # seconds after which ranks that have not answered wait for each other

_context = mp.get_context("forkserver")
_context.set_forkserver_preload(["lightning.pytorch", __name__, "tests.distributed.runs"])


def on_ranks(function: Callable[..., Any], *args: Any, world_size: int = 2) -> list[Any]:
    """Call function(*args) on every rank.

    Args:
        function: At the top level of a module; what it returns is pickled.
        args: Likewise.
        world_size: Number of ranks.

    Returns:
        What it returned, by rank.

    Raises:
        RuntimeError: With the traceback of a rank that failed.
        TimeoutError: If the ranks hang.
    """
    with tempfile.TemporaryDirectory() as meeting:
        pipes = [_context.Pipe(duplex=False) for _ in range(world_size)]
        ranks = [
            _context.Process(
                target=_rank, args=(function, args, rank, world_size, meeting, sender), daemon=True
            )
            for rank, (_, sender) in enumerate(pipes)
        ]
        for process in ranks:
            process.start()
        until = time.monotonic() + STUCK
        results, errors = [], []
        try:
            for rank, (receiver, _) in enumerate(pipes):
                if not receiver.poll(max(until - time.monotonic(), 0)):
                    raise TimeoutError(f"rank {rank} of {function.__name__} has not answered")
                error, result = pickle.loads(receiver.recv_bytes())
                results.append(result)
                errors += [f"rank {rank}:\n{error}"] if error else []
        finally:
            for process in ranks:
                process.kill() if process.is_alive() and len(results) < world_size else None
                process.join()
            for receiver, sender in pipes:
                receiver.close()
                sender.close()
        if errors:
            raise RuntimeError("\n".join(errors))
        return results


def _rank(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    rank: int,
    world_size: int,
    meeting: str,
    sender: Any,
) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(world_size),
        "LOCAL_WORLD_SIZE": str(world_size),
        "TORCHELASTIC_RUN_ID": "tests",
        # Lightning 2.6 does not hand fit's weights_only on where it loads after set-up.
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
    }
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
    try:
        dist.init_process_group(
            "gloo",
            init_method=f"file://{Path(meeting, 'store')}",
            rank=rank,
            world_size=world_size,
            timeout=timedelta(seconds=STUCK / 2),
        )
        answer: Any = (None, function(*args))
    except BaseException:
        answer = (traceback.format_exc(), None)
    try:
        # As bytes: `send` would share a tensor's memory, which ends with this process.
        sender.send_bytes(pickle.dumps(answer))
    finally:
        dist.destroy_process_group() if dist.is_initialized() else None
