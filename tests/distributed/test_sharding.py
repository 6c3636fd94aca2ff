"""FSDP2: every encoding, checkpoints that any strategy goes on from, mistakes."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.optim.lr_scheduler import LambdaLR

from lightning_posenc.model import Encoder
from lightning_posenc.modules.sharding import shard
from lightning_posenc.positional import Chain, LearnedAbsolute, T5Bias
from tests.cases import METHODS, Case
from tests.distributed.ranks import on_ranks
from tests.distributed.runs import Losses, data, model, strategy, trainer
from tests.helpers import encoder, tokens

CPU = torch.device("cpu")


class Holder(nn.Module):
    """What `shard` takes an encoder in."""

    def __init__(self, part: Encoder) -> None:
        super().__init__()
        self.encoder = part


@pytest.mark.slow
def test_every_encoding_has_the_gradients_of_one_process() -> None:
    for far in on_ranks(distances):
        assert {name: x for name, x in far.items() if x > 1e-4} == {}
        assert len(far) == len(METHODS)


def distances() -> dict[str, float]:
    """How far outputs and gradients are from those of one process, by encoding."""
    mesh = init_device_mesh("cpu", (2, 1), mesh_dim_names=("data_parallel", "tensor_parallel"))
    found = {}
    for case in METHODS:
        whole = gradients(case, None)
        parts = gradients(case, mesh)
        assert whole.keys() == parts.keys()
        found[case.name] = max(
            float((whole[name] - parts[name]).norm() / (whole[name].norm() + 1e-3))
            for name in whole
        )
    return found


def gradients(case: Case, mesh: Any) -> dict[str, torch.Tensor]:
    """Of each parameter, and the output, for a batch of which each rank has a half."""
    torch.manual_seed(0)
    causal = bool(case.refused)
    made = encoder(case, causal)
    x = tokens(batch=4)
    if mesh is not None:
        rank = mesh["data_parallel"].get_local_rank()
        with torch.no_grad():
            for parameter in made.parameters():
                parameter += rank  # all begin with rank 0's
        shard(Holder(made), () if made.sigma_reparam else list(made.blocks), mesh, CPU)
        assert all(isinstance(parameter, DTensor) for parameter in made.parameters())
        x = x[rank::2]
    torch.manual_seed(1)  # for positions that are drawn
    out = made(x)
    out.square().flatten(1).mean(dim=1).mean().backward()
    found = {}
    for name, parameter in made.named_parameters():
        grad = parameter.grad
        if grad is not None:
            found[name] = grad.full_tensor() if isinstance(grad, DTensor) else grad
    return found


def fit(
    name: str, world_size: int, root: Path, ckpt: Path | None = None, save: str = "", **more: Any
) -> list[float]:
    """Three steps, or the three after a checkpoint."""
    noted = Losses()
    module = model(
        Chain.of(partial(LearnedAbsolute, max_length=8), T5Bias),
        seed=0 if ckpt is None else 1,
        positional_lr_multiplier=3.0,
    )
    with_options = strategy(name, world_size, **more)
    steps = 3 if ckpt is None else 6
    runner = trainer(root, with_options, world_size, [noted], max_steps=steps, max_epochs=100)
    # One whose rates do not depend on how many steps there will be.
    module.schedule = lambda optimizer, _: LambdaLR(optimizer, lambda step: 0.9**step)
    runner.fit(module, data(), ckpt_path=ckpt, weights_only=False)
    groups = {group["name"]: group["lr"] for group in runner.optimizers[0].param_groups}
    assert groups["positional"] == pytest.approx(3 * groups["decay"])
    if save:
        runner.save_checkpoint(root / save)
    if name == "fsdp2":
        assert isinstance(module.encoder, FSDPModule)
        runner.test(module, data(), verbose=False)  # already sharded
    return noted.losses


def resumptions(root: Path) -> dict[str, list[float]]:
    """What two ranks do with their own checkpoints and with those of one process."""
    fit("ddp", 2, root, save="ddp.ckpt")
    fit("fsdp2", 2, root, save="fsdp2.ckpt")
    fit("fsdp2", 2, root, save="parts.ckpt", save_distributed_checkpoint=True)
    return {
        "fsdp2 after one": fit("fsdp2", 2, root, root / "one.ckpt"),
        "fsdp2 after ddp": fit("fsdp2", 2, root, root / "ddp.ckpt"),
        "fsdp2 after fsdp2": fit("fsdp2", 2, root, root / "fsdp2.ckpt"),
        "fsdp2 after parts": fit("fsdp2", 2, root, root / "parts.ckpt"),
        "ddp after fsdp2": fit("ddp", 2, root, root / "fsdp2.ckpt"),
        "ddp after one": fit("ddp", 2, root, root / "one.ckpt"),
    }


@pytest.mark.slow
def test_any_strategy_goes_on_from_any_checkpoint(tmp_path: Path) -> None:
    fit("auto", 1, tmp_path, save="one.ckpt")
    whole = fit("auto", 1, tmp_path, tmp_path / "one.ckpt")
    found = on_ranks(resumptions, tmp_path)[0]
    for name in ("ddp", "fsdp2"):
        found[f"one after {name}"] = fit("auto", 1, tmp_path, tmp_path / f"{name}.ckpt")
    assert (tmp_path / "parts.ckpt").is_dir()
    for name, losses in found.items():
        assert losses == pytest.approx(whole, abs=1e-5), name


def mistakes() -> list[str]:
    """What is said to a user who shards wrongly."""
    said = []
    for shape, own in (((1, 2), False), ((2, 1), True)):
        mesh = init_device_mesh("cpu", shape, mesh_dim_names=("data_parallel", "tensor_parallel"))
        module: Any = model()
        if own:
            module.scale = nn.Parameter(torch.ones(1))
        try:
            shard(module, module.blocks, mesh, CPU)
        except ValueError as error:
            said.append(str(error))
    return said


@pytest.mark.slow
def test_mistakes_end_in_a_clear_line() -> None:
    shared, own = on_ranks(mistakes)[0]
    assert "set tensor_parallel_size=1 and data_parallel_size=2" in shared
    assert "TokenClassifier owns scale itself" in own
