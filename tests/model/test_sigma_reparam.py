"""Weights of a learned spectral norm."""

import copy
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from lightning_posenc import Dims, Encoder
from lightning_posenc.model import Attention, SwiGLU
from lightning_posenc.model.linear import Stacked, linears
from lightning_posenc.model.sigma_reparam import SigmaReparam, advance, reparametrise
from lightning_posenc.positional import RoPE

DIMS = Dims(32, 4, 2)


def tokens(batch: int = 2) -> Tensor:
    return torch.randn(batch, 8, 32)


def model(**wiring: Any) -> Encoder:
    return Encoder(DIMS, RoPE, **{"sigma_reparam": True, **wiring})


def step(of: Encoder, x: Tensor) -> Tensor:
    """One step of training; returns the output before it."""
    optimizer = SGD(of.parameters(), lr=0.05)
    out = of(x)
    (out - x.roll(1, 1)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    return out.detach()


def spectral_norms(module: nn.Module) -> list[float]:
    """Of every matrix, those stacked in one layer by themselves, from a full decomposition."""
    return [
        torch.linalg.matrix_norm(part, 2).item()
        for linear, heights in linears(module)
        for part in linear.weight.detach().split(list(heights.values()))
    ]


@pytest.mark.parametrize("size", [4, 64, 300])
def test_equals_its_equation(size: int) -> None:
    layer = Stacked(size, {"first": 2 * size, "second": size // 2})
    plain = layer.weight.detach().clone()
    reparametrise(layer)
    gain: Any = layer.get_parameter("parametrizations.weight.0.gain")
    with torch.no_grad():
        gain.copy_(torch.tensor([0.5, 3.0]))
    parts = plain.split([2 * size, size // 2])
    scaled = [
        g * part / torch.linalg.svdvals(part)[0] for g, part in zip((0.5, 3), parts, strict=True)
    ]
    torch.testing.assert_close(layer.weight.detach(), torch.cat(scaled), rtol=0.01, atol=1e-4)


def test_gradients_are_those_of_the_spectral_norm() -> None:
    """v is a constant to the gradient, and that is exact: sigma is stationary in v."""
    layer = nn.Linear(6, 5).double()
    reparametrise(layer)
    reparam: Any = layer.get_submodule("parametrizations.weight.0")
    original = layer.get_parameter("parametrizations.weight.original")
    for _ in range(500):
        reparam.advance(original)
    towards = torch.randn(5, 6, dtype=torch.double)
    ours = torch.autograd.grad((layer.weight * towards).sum(), [original, reparam.gain])
    by_svd = reparam.gain * original / torch.linalg.svdvals(original)[0]
    theirs = torch.autograd.grad((by_svd * towards).sum(), [original, reparam.gain])
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("init_std", [1e-3, 10.0])
def test_every_matrix_of_the_blocks_starts_at_norm_one(init_std: float) -> None:
    of = model(feed_forward=SwiGLU, mixer=partial(Attention, n_kv_heads=2), init_std=init_std)
    assert len(spectral_norms(of)) == DIMS.n_layers * (3 + 1 + 2 + 1)
    assert spectral_norms(of) == pytest.approx([1.0] * len(spectral_norms(of)), rel=0.01)


@pytest.mark.slow
def test_training_keeps_every_norm_at_its_gain() -> None:
    of = model(init_std=0.2)
    before = {name: value.clone() for name, value in of.blocks.state_dict().items()}
    for _ in range(60):
        step(of, tokens())
    gains = [
        gain
        for part in of.modules()
        if isinstance(part, SigmaReparam)
        for gain in part.gain.tolist()
    ]
    assert spectral_norms(of.blocks) == pytest.approx(gains, rel=0.01)
    for name, value in of.blocks.state_dict().items():  # the gains learn, and so do the matrices
        if name.endswith(("original", "gain")):
            assert not torch.equal(before[name], value), name


def test_one_power_iteration_a_training_step_and_none_elsewhere() -> None:
    of, x = model(), tokens()
    reparam: Any = of.blocks[0].get_submodule("attention.qkv.parametrizations.weight.0")
    original = of.blocks[0].get_parameter("attention.qkv.parametrizations.weight.original")
    nn.init.normal_(original)  # far from what v belongs to
    start = reparam.v.clone()
    of.eval()(x)
    with torch.no_grad():
        of.train()(x)
    assert torch.equal(reparam.v, start)
    of(x)
    part, v = original.detach()[:32], start[0]
    once = part.T @ (part @ v)
    torch.testing.assert_close(reparam.v[0], once / once.norm())


def test_two_forwards_before_a_backward() -> None:
    """The first's backward wants v as it was."""
    of, x = model(), tokens()
    first, second = of(x), of(x)
    (first.pow(3).sum() + second.pow(3).sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in of.parameters())


def test_checkpointed_activations_change_nothing() -> None:
    ours, x = model(), tokens()
    theirs = copy.deepcopy(ours)
    theirs.checkpoint_activations = True
    for _ in range(3):
        torch.testing.assert_close(step(ours, x), step(theirs, x), rtol=0, atol=1e-6)
    for (name, mine), other in zip(
        ours.state_dict().items(), theirs.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-6, msg=name)


def test_state_and_copy_go_on_alike() -> None:
    of, other, x = model(), model(), tokens()
    for _ in range(3):
        step(of, x)
    copied = copy.deepcopy(of)
    other.load_state_dict(of.state_dict())
    for twin in (copied, other):
        assert not {p.data_ptr() for p in twin.parameters()} & {
            p.data_ptr() for p in of.parameters()
        }
    for _ in range(3):
        out = step(of, x)
        assert torch.equal(step(copied, x), out)
        assert torch.equal(step(other, x), out)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.slow
def test_compiled_equals_eager(checkpointed: bool) -> None:
    torch.compiler.reset()
    dims = Dims(32, 4, 1)  # compiling takes seconds a layer
    eager = Encoder(dims, RoPE, sigma_reparam=True)
    eager.checkpoint_activations = checkpointed
    compiled, x = copy.deepcopy(eager), tokens()
    compiled.compile(backend="aot_eager")
    for _ in range(3):
        torch.testing.assert_close(step(compiled, x), step(eager, x), rtol=0, atol=1e-5)
    torch.testing.assert_close(compiled.eval()(x), eager.eval()(x), rtol=0, atol=1e-5)


def test_half_precision() -> None:
    """The norm is found in float32 under autocast, and of bfloat16 weights as well."""
    of, x = model(init_std=0.2), tokens()
    for _ in range(3):
        step(of, x)
    qkv: Any = of.blocks[0].get_submodule("attention.qkv")
    with torch.autocast("cpu", torch.bfloat16):
        step(of, x)
        rough = qkv.weight
    assert rough.dtype == torch.float32
    assert torch.equal(rough, qkv.weight)
    of.eval()
    whole = copy.deepcopy(of).bfloat16()
    expected = of(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert relative_error(of(x), expected) < 0.02
    assert relative_error(whole(x.bfloat16()), expected) < 0.02
    norms = spectral_norms(whole.train().float())
    step(whole.bfloat16(), x.bfloat16())  # one power iteration in bfloat16 does no harm
    assert spectral_norms(whole.float()) == pytest.approx(norms, rel=0.02)


def relative_error(value: Tensor, expected: Tensor) -> float:
    return ((value.float() - expected).norm() / expected.norm()).item()


def test_a_zero_matrix_stays_finite() -> None:
    layer = nn.Linear(4, 4)
    nn.init.zeros_(layer.weight)
    reparametrise(layer)
    advance(layer)
    layer(torch.randn(2, 4)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())
    assert not layer.weight.any()


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """DistributedDataParallel sends buffers around before each forward, and v is one."""
    script = Path(__file__).with_name("ddp_sigma_script.py")
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    alone, *ranks = (torch.load(tmp_path / f"{name}.pt") for name in ("alone", "0", "1"))
    for name, value in alone.items():
        assert torch.equal(ranks[0][name], ranks[1][name]), name
        torch.testing.assert_close(ranks[0][name], value, rtol=1e-4, atol=1e-5, msg=name)
