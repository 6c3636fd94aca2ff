"""Logits stay below the threshold, whoever shares keys and on any number of ranks."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims
from lightning_posenc.callbacks import QKClip
from lightning_posenc.callbacks.qk_clip import clip, largest_products
from lightning_posenc.diagnostics import observe
from lightning_posenc.model import Encoder, EncoderSpec, Performer
from lightning_posenc.model.kernels import logits
from lightning_posenc.model.mixers import Attention
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.positional import RoPE
from tests.diagnostics.naive import H, naive_attention, random_view
from tests.distributed.ranks import on_ranks
from tests.distributed.runs import data, model, strategy, trainer


def largest(module: Any, batch: Any) -> Tensor:
    """(L, H) largest logits, in evaluation."""
    module.eval()
    with torch.no_grad(), observe(module.encoder) as seen:
        module.score(batch, 0)
    return torch.stack(
        [logits(each._replace(bias=None)).amax((0, 2, 3)) for each in seen.attention]
    )


@pytest.mark.parametrize("kind", [{"mask": "none"}, {"mask": "causal"}, {"mask": "tensor"}])
def test_largest_products_against_loops(kind: dict[str, Any]) -> None:
    view = random_view(biased=False, **kind)
    _, found, visible = naive_attention(view)
    expected = [found[:, h][visible[:, h]].max() for h in range(H)]
    torch.testing.assert_close(
        largest_products(view, 1e-3).double(), torch.tensor(expected), rtol=1e-5, atol=1e-5
    )
    bound = largest_products(view, 1e6)
    assert (bound >= torch.tensor(expected).float()).all()


@pytest.mark.parametrize("n_kv_heads", [4, 2, 1])
@pytest.mark.parametrize("bias", [True, False])
def test_a_head_is_scaled_and_others_stay(n_kv_heads: int, bias: bool) -> None:
    mixer = partial(Attention, n_kv_heads=n_kv_heads, bias=bias)
    encoder = Encoder(Dims(32, 4, 1), RoPE, mixer=mixer).eval()
    x, gamma = torch.randn(2, 10, 32), torch.tensor([1.0, 0.25, 1.0, 0.5])
    found = []
    with torch.no_grad():
        for _ in range(2):
            with observe(encoder) as seen:
                encoder(x)
            found.append(logits(seen.attention[0]))
            clip(encoder.blocks[0].attention, gamma)  # type: ignore[arg-type]
    torch.testing.assert_close(found[1], found[0] * gamma[:, None, None], rtol=1e-4, atol=1e-5)


def clipped(root: Path, **options: Any) -> tuple[Any, float]:
    """Largest logits of a model after a run, which began with large queries, and the threshold."""
    module, source = model(), data(steps_per_epoch=3)
    with torch.no_grad():
        for block in module.encoder.blocks:
            block.attention.qkv.weight[:32].mul_(8)  # type: ignore[union-attr, index]
    source.setup("fit")
    batch = next(iter(source.train_dataloader()))
    before = float(largest(module, batch).max())
    module.train()
    runner = trainer(root, callbacks=[QKClip(threshold=before / 4)], **options)
    runner.fit(module, source)
    return largest(module, batch), before / 4


def test_logits_are_held_below_the_threshold(tmp_path: Path) -> None:
    found, threshold = clipped(tmp_path, max_steps=3)
    assert found.max() < 1.1 * threshold  # other batches and a step of learning are in between
    assert found.max() > 0.3 * threshold


def test_accumulated_batches_are_clipped_after_their_step(tmp_path: Path) -> None:
    found, threshold = clipped(tmp_path, max_steps=1, accumulate_grad_batches=3)
    assert found.max() < 1.1 * threshold


def weights(root: Path, name: str = "auto", ranks: int = 1) -> list[Tensor]:
    """Projections of queries and keys after a step that clips."""
    module = model()
    with torch.no_grad():
        for block in module.encoder.blocks:
            block.attention.qkv.weight[:32].mul_(8)  # type: ignore[union-attr, index]
    callbacks = [QKClip(threshold=0.5)]
    runner = trainer(root, strategy(name, ranks), ranks, callbacks, max_steps=1)
    runner.fit(module, data())
    return [block.attention.qkv.weight.detach().clone() for block in module.encoder.blocks]  # type: ignore[union-attr, operator]


@pytest.mark.slow
def test_ranks_clip_by_the_largest_of_all(tmp_path: Path) -> None:
    alone = weights(tmp_path)
    for found in on_ranks(weights, tmp_path, "ddp", 2):
        for own, others in zip(found, alone, strict=True):
            torch.testing.assert_close(own, others, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mixer": Performer}, "no layer makes logits"),
        ({"sigma_reparam": True}, "sigma_reparam"),
    ],
)
def test_what_it_cannot_clip_is_refused(options: dict[str, Any], said: str) -> None:
    module = SequenceClassifier(EncoderSpec(16, 2, 1, **options), 5, 3)
    with pytest.raises(ValueError, match=said):
        QKClip().setup(None, module, "fit")  # type: ignore[arg-type]
    QKClip().setup(None, module, "test")  # type: ignore[arg-type]
