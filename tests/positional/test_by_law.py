"""ReRoPE, SelfExtend, DualChunk: memory, temperatures, and short text."""

from functools import partial

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.masks import Causal, Window
from lightning_posenc.model import Attention, Eager
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.kernels import Operands, logits
from lightning_posenc.positional import (
    Chain,
    DualChunk,
    Factory,
    LogN,
    PaTH,
    PositionalEncoding,
    QueryTemperature,
    ReRoPE,
    RoPE,
    SelfExtend,
    SSMax,
)
from lightning_posenc.positional.branched import Branched

DIMS = Dims(16, 2, 1, causal=True)
LAWS: dict[str, Factory] = {
    "rerope": partial(ReRoPE, window=300),
    "leaky": partial(ReRoPE, window=300, stretch=3.0),
    "self-extend": partial(SelfExtend, window=300, group=5),
    "dual-chunk": partial(DualChunk, chunk=400, local=50),
}


def pair(positional: Factory, **options: object) -> tuple[Encoder, Encoder]:
    """A model by the default kernel, and the same by the definition."""
    models = []
    for mixer in (Attention, partial(Attention, kernel=Eager)):
        torch.manual_seed(0)
        models.append(Encoder(DIMS, positional, mixer=mixer, **options))  # type: ignore[arg-type]
    return models[0], models[1]


@pytest.mark.parametrize("law", [pytest.param(law, id=name) for name, law in LAWS.items()])
@pytest.mark.parametrize("mask", [None, Causal() & Window(200)], ids=["causal", "window"])
@pytest.mark.slow
def test_rows_at_a_time_are_all_at_once(law: Factory, mask: object) -> None:
    """Values and gradients, of more pairs than are written out."""
    ours, eager = pair(law, **({} if mask is None else {"mask": mask}))
    x = torch.randn(1, 1100, 16)
    found = []
    for model in (ours, eager):
        given = x.clone().requires_grad_()
        out = model(given)
        (out * x).sum().backward()
        found.append((out.detach(), given.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=2e-5)


@pytest.mark.slow
def test_no_more_than_some_rows_are_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    plain = Branched.written_out

    def noted(bias: Branched) -> Tensor:
        sizes.append(bias.q_pos.shape[1])
        return plain(bias)

    monkeypatch.setattr(Branched, "written_out", noted)
    x = torch.randn(1, 1100, 16)
    Encoder(DIMS, LAWS["rerope"])(x).sum().backward()
    assert sizes
    assert max(sizes) <= 256


def test_short_text_is_plain_rope() -> None:
    x = torch.randn(2, 12, 16)
    models = []
    for positional in (RoPE, ReRoPE, SelfExtend, DualChunk):
        torch.manual_seed(0)
        models.append(Encoder(DIMS, positional)(x))
    for other in models[1:]:
        assert torch.equal(other, models[0])


SHARPER: dict[str, Factory] = {"ssmax": SSMax, "log-n": partial(LogN, trained_length=4)}


def seen_logits(model: Encoder, x: Tensor) -> Tensor:
    """Those of the first layer, 0 where hidden."""
    seen: list[Operands] = []
    kernel = model.blocks[0].attention.kernel  # type: ignore[union-attr]
    kernel.register_forward_pre_hook(lambda _, given: seen.append(given[0]))  # type: ignore[operator]
    model(x)
    return logits(seen[0]).tril()


@pytest.mark.parametrize("sharper", SHARPER.values(), ids=list(SHARPER))
@pytest.mark.parametrize("law", [partial(ReRoPE, window=3), PaTH], ids=["rerope", "path"])
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_a_temperature_is_of_the_whole_logit(law: Factory, sharper: Factory, first: bool) -> None:
    """What a bias puts in place of a product is scaled as the product is."""
    torch.manual_seed(0)
    own, factor = law(DIMS), sharper(DIMS)
    assert isinstance(factor, QueryTemperature)
    x = torch.randn(1, 9, 16)
    made: list[PositionalEncoding] = [own, factor] if first else [factor, own]
    torch.manual_seed(1)
    both = seen_logits(Encoder(DIMS, Chain.of(*(_given(part) for part in made))), x)
    torch.manual_seed(1)
    alone = seen_logits(Encoder(DIMS, _given(own)), x)
    by = factor.temperature(torch.arange(1.0, 10.0)[None], 0)
    by = by[:, None, :, None] if by.dim() == 2 else by[..., None]
    torch.testing.assert_close(both, by * alone, rtol=1e-4, atol=1e-5)


def _given(part: PositionalEncoding) -> Factory:
    return lambda dims: part


def test_decoding_beyond_the_window() -> None:
    model = Encoder(DIMS, Chain.of(partial(DualChunk, chunk=5, local=1), SSMax)).eval()
    x = torch.randn(2, 20, 16)
    cache, steps = Cache(), []
    with torch.no_grad():
        for t in range(20):
            steps.append(model(x[:, t : t + 1], positions=torch.arange(t + 1)[None], cache=cache))
        torch.testing.assert_close(torch.cat(steps, 1), model(x), rtol=1e-4, atol=1e-5)
