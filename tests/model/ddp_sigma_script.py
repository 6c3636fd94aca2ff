"""Trains sigma-reparametrised weights on two processes and alone: `ddp_sigma_script.py FOLDER`."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD

from lightning_posenc import Dims, Encoder
from lightning_posenc.positional import RoPE


def train(model: torch.nn.Module, batches: torch.Tensor) -> None:
    optimizer = SGD(model.parameters(), lr=0.05)
    for x in batches:
        optimizer.zero_grad()
        model(x).pow(3).mean().backward()
        optimizer.step()


def fresh() -> Encoder:
    torch.manual_seed(0)
    return Encoder(Dims(16, 2, 2), RoPE, sigma_reparam=True)


def main(rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    model, batches = fresh(), torch.randn(4, 6, 8, 16)
    train(DistributedDataParallel(model), batches[:, rank::2])
    torch.save(model.state_dict(), folder / f"{rank}.pt")
    if rank == 0:
        alone = fresh()
        train(alone, batches)
        torch.save(alone.state_dict(), folder / "alone.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    # Forked, so that torch is imported once.
    torch.multiprocessing.start_processes(main, (Path(sys.argv[1]),), 2, start_method="fork")
