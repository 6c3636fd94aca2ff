"""Learned tables made longer, in the loaded model: rows, offsets, buffers, outputs."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc.positional.resampling import resampled, resampled_grid, tiled
from lightning_posenc.pretrained.methods import Resample, ResampleBicubic, Tile
from lightning_posenc.pretrained.methods.tables import LongerTable
from lightning_posenc.pretrained.reading import Pretrained
from tests.pretrained.methods.models import TRAINED, logits, tiny, tokens

TO = 3 * TRAINED
NAMES = {
    "gpt2": "transformer.wpe.weight",
    "opt": "model.decoder.embed_positions.weight",
    "bert": "bert.embeddings.position_embeddings.weight",
    "roberta": "roberta.embeddings.position_embeddings.weight",
    "vit": "vit.embeddings.position_embeddings",
    "deit": "deit.embeddings.position_embeddings",
}
OFFSETS = {"gpt2": 0, "opt": 2, "bert": 0, "roberta": 3, "vit": 1, "deit": 2}
TEXT = ["gpt2", "opt", "bert", "roberta"]


def parameter(pretrained: Pretrained) -> Tensor:
    return pretrained.model.get_parameter(NAMES[pretrained.name]).detach()


def outputs(pretrained: Pretrained, n: int) -> Tensor:
    if pretrained.kind == "image":
        pixels = torch.randn(1, 3, n, n, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            found: Tensor = pretrained.model(pixel_values=pixels).logits
        return found
    return logits(pretrained, tokens(n))


@pytest.mark.parametrize("family", TEXT)
@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (Resample(), lambda table: resampled(table, TO)),
        (Resample(antialias=True), lambda table: resampled(table, TO, "linear", True)),
        (ResampleBicubic(), lambda table: resampled(table, TO, "cubic")),
        (Tile(), lambda table: table.repeat(3, 1)),
    ],
    ids=["linear", "antialias", "cubic", "tile"],
)
def test_rows_of_positions_are_made_anew(family: str, method: LongerTable, expected: Any) -> None:
    pretrained, offset = tiny(family), OFFSETS[family]
    before, n_buffers = parameter(pretrained).clone(), _buffer_sizes(pretrained)
    answers = outputs(pretrained, TRAINED)
    with method.applied(pretrained, TO):
        now = parameter(pretrained)
        assert len(now) == offset + TO
        assert torch.equal(now[:offset], before[:offset])
        torch.testing.assert_close(now[offset:], expected(before[offset:]))
        assert outputs(pretrained, TO).isfinite().all()
        if method.name == "tile":
            torch.testing.assert_close(outputs(pretrained, TRAINED), answers)
    assert torch.equal(parameter(pretrained), before)
    assert _buffer_sizes(pretrained) == n_buffers
    assert torch.equal(outputs(pretrained, TRAINED), answers)


def _buffer_sizes(pretrained: Pretrained) -> list[Any]:
    return [(name, each.shape) for name, each in pretrained.model.named_buffers()]


@pytest.mark.parametrize("family", ["vit", "deit"])
@pytest.mark.parametrize("method", [Resample(), ResampleBicubic(), ResampleBicubic(True), Tile()])
def test_grids_of_patches_are_made_anew(family: str, method: LongerTable) -> None:
    """14 x 14 patches to 32 x 32."""
    pretrained, offset = tiny(family), OFFSETS[family]
    before = parameter(pretrained).clone()
    with method.applied(pretrained, 64):
        now = parameter(pretrained)
        assert now.shape == (1, offset + 32 * 32, 16)
        assert torch.equal(now[:, :offset], before[:, :offset])
        grid = before[0, offset:].unflatten(0, (14, 14))
        if isinstance(method, Tile):
            made = tiled(grid, 32, 32)
        else:
            made = resampled_grid(grid, 32, 32, method.curve, method.antialias)
        torch.testing.assert_close(now[0, offset:], made.flatten(0, 1))
        assert outputs(pretrained, 64).isfinite().all()
        found = outputs(pretrained, 64)
    if method.name == "resample-bicubic" and not method.antialias:
        pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            theirs = pretrained.model(pixel_values=pixels, interpolate_pos_encoding=True).logits
        torch.testing.assert_close(found, theirs, rtol=1e-4, atol=1e-4)


def test_it_refuses_with_the_reason() -> None:
    assert Tile().refuses(tiny("llama"), TO) == "it has no learned table of positions"
    assert "less than the 32" in (Tile().refuses(tiny("bert"), 31) or "")
    assert "to=65 must be a side" in (Resample().refuses(tiny("vit"), 65) or "")
    with pytest.raises(ValueError, match="curve='sine' must be one of linear, cubic"):
        Resample("sine")  # type: ignore[arg-type]


def test_weights_that_are_not_trained_stay_so() -> None:
    pretrained = tiny("bert")
    table = pretrained.model.get_parameter(NAMES["bert"])
    table.requires_grad_(False)
    with Tile().applied(pretrained, TO):
        assert not pretrained.model.get_parameter(NAMES["bert"]).requires_grad
