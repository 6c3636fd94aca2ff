"""Shard a model's parameters over the ranks: torch's FSDP2, block by block."""

import warnings
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.distributed import broadcast
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


def shard(
    module: nn.Module, blocks: Sequence[nn.Module], mesh: "DeviceMesh", device: torch.device
) -> None:
    """Give every rank its share of each parameter; gradients and optimizer states follow.

    Each block is gathered for its own forward and backward pass, then freed. The module's parts,
    with what blocks share (an encoding, the last norm), are gathered at their first use and kept
    until the backward pass is over: an encoding's penalty and a head that is the token embedding
    read them outside. All ranks start with the weights of the first.

    Args:
        module: Whose parameters are all in its parts, each of which is called as a module.
        blocks: Repeated blocks within one of the parts.
        mesh: With the dimensions "data_parallel" and "tensor_parallel", as
            ModelParallelStrategy makes it.
        device: Of this rank.

    Raises:
        ValueError: If ranks are to share one batch (tensor parallelism), or a parameter belongs to
            no part.
    """
    from torch.distributed.fsdp import FSDPModule, fully_shard

    if any(isinstance(part, FSDPModule) for part in module.children()):
        return
    if (size := mesh["tensor_parallel"].size()) > 1:
        raise ValueError(
            f"ModelParallelStrategy: tensor_parallel_size={size}: the model is sharded over data "
            f"only; set tensor_parallel_size=1 and data_parallel_size={mesh.size()}"
        )
    if own := [name for name, _ in module.named_parameters(recurse=False)]:
        raise ValueError(
            f"ModelParallelStrategy: {type(module).__name__} owns {', '.join(own)} itself, which "
            "cannot be sharded: move them into a submodule, and call that"
        )
    # A linear layer's output is a view on the CPU; nothing here writes into one.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view", UserWarning)
    data = mesh["data_parallel"]
    freed = set(blocks)
    for unit in _units(module, blocks):
        unit.to(device)
        for tensor in chain(unit.parameters(), unit.buffers()):
            if not isinstance(tensor, DTensor):
                broadcast(tensor.detach(), src=0)
        fully_shard(unit, mesh=data, reshard_after_forward=unit in freed)


def _units(module: nn.Module, blocks: Sequence[nn.Module]) -> Iterator[nn.Module]:
    """What is gathered at a time, inner before outer."""
    yield from blocks
    for part in module.children():
        if any(True for _ in part.parameters()):
            yield part


def number_as_the_model_does(
    state: dict[str, Any], optimizer: Optimizer, module: nn.Module
) -> dict[str, Any]:
    """An optimizer's state with the model's numbers for parameters, as sharded runs keep it.

    torch counts parameters in the order of the optimizer's groups, which a single process takes in
    any numbering; Lightning reads the numbers as the model's when a sharded run resumes.

    Args:
        state: `optimizer.state_dict()`.
        optimizer: The optimizer.
        module: The model, with every parameter of the optimizer.
    """
    numbers = {id(parameter): n for n, parameter in enumerate(module.parameters())}
    of_model = [numbers[id(p)] for group in optimizer.param_groups for p in group["params"]]
    ours = [n for group in state["param_groups"] for n in group["params"]]
    renamed = dict(zip(ours, of_model, strict=True))
    return {
        **state,
        "state": {renamed[n]: moments for n, moments in state["state"].items()},
        "param_groups": [
            {**group, "params": [renamed[n] for n in group["params"]]}
            for group in state["param_groups"]
        ],
    }
