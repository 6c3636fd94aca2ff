"""Positions by a convolution: on a grid beside torch's, and told of padding and documents."""

from functools import partial
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from lightning_posenc import Dims, Encoder
from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec, Patches
from lightning_posenc.modules import ImageClassifier
from lightning_posenc.positional import PEG, Chain, LearnedGrid, RoPE
from lightning_posenc.positions import Grid, Places
from lightning_posenc.positions.places import behind_class_tokens, on_a_grid

CPU = torch.device("cpu")
DIMS = Dims(16, 2, 3)


@pytest.mark.parametrize("n_class_tokens", [0, 2])
def test_on_a_grid_it_is_torchs_convolution(n_class_tokens: int) -> None:
    """Chu et al. 2021, figure 2: class tokens pass by, the others are put back on their grid."""
    encoding = PEG(DIMS, axes=2, kernel_size=5, layers=(0, 2))
    places = behind_class_tokens(on_a_grid(3, 4, CPU), n_class_tokens)
    x = torch.randn(2, n_class_tokens + 12, 16)
    assert encoding.embed(x, places, 1) is x
    for number, layer in enumerate((0, 2)):
        image = x[:, n_class_tokens:].transpose(1, 2).reshape(2, 16, 3, 4)
        weight, bias = encoding.weight[number, :, None], encoding.offset[number]
        image = image + F.conv2d(image, weight, bias, padding=2, groups=16)
        expected = torch.cat([x[:, :n_class_tokens], image.flatten(2).transpose(1, 2)], dim=1)
        torch.testing.assert_close(encoding.embed(x, places, layer), expected)
        torch.testing.assert_close(encoding.embed(x, places.values, layer), expected)


def test_on_a_line_it_is_torchs_convolution_of_each_document() -> None:
    encoding = PEG(DIMS, kernel_size=5)
    x, documents = torch.randn(2, 9, 16), torch.tensor([[0] * 3 + [1] * 6, [0] * 9])
    found = encoding.embed(x, Places(torch.arange(9)[None], documents=documents), 1)
    weight, bias = encoding.weight[0, :, None], encoding.offset[0]
    for row, start, end in ((0, 0, 3), (0, 3, 9), (1, 0, 9)):
        alone = x[row, start:end].t()
        expected = alone + F.conv1d(alone, weight, bias, padding=2, groups=16)
        torch.testing.assert_close(found[row, start:end], expected.t())


def test_in_a_causal_model_of_a_grid_no_later_token_is_read() -> None:
    dims = Dims(16, 2, 1, causal=True)
    model = Encoder(dims, partial(PEG, axes=2), Grid((3, 4)), init_std=0.2).eval()
    x = torch.randn(1, 12, 16, requires_grad=True)
    for token in range(12):
        (grad,) = torch.autograd.grad((model(x)[0, token] * torch.randn(16)).sum(), x)
        assert not grad[0, token + 1 :].any()


def test_padding_on_a_grid_is_no_neighbour() -> None:
    model = Encoder(DIMS, partial(PEG, axes=2), Grid((-1, 4)), init_std=0.2).eval()
    x = torch.randn(2, 12, 16)
    padded = model(x, torch.tensor([12, 8]))
    torch.testing.assert_close(padded[1, :8], model(x[1:, :8])[0])


def test_parts_of_a_chain_are_told_what_they_read() -> None:
    x, lengths = torch.randn(2, 6, 16), torch.tensor([6, 3])
    torch.manual_seed(0)
    model = Encoder(DIMS, Chain.of(PEG, RoPE), init_std=0.2).eval()
    torch.testing.assert_close(model(x, lengths)[1, :3], model(x[1:, :3])[0])


def test_it_serves_an_image_classifier_of_any_size() -> None:
    inputs = partial(Patches, patch_size=2, n_channels=1)
    spec = EncoderSpec(16, 2, 2)
    model = ImageClassifier(spec, None, 3, inputs=inputs, positional=partial(PEG, axes=2))
    for side in (4, 6):
        batch = Batch(torch.randn(2, 1, side, 8), torch.zeros(2).long())
        assert model(batch).shape == (2, 3)
    with pytest.raises(ValueError, match="PEG: wants one number for each position, got 2"):
        ImageClassifier(spec, None, 3, inputs=inputs, positional=PEG)(batch)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: PEG(DIMS, kernel_size=4), "PEG: kernel_size=4 must be odd"),
        (lambda: PEG(DIMS, axes=3), "PEG: axes=3 must be"),
        (lambda: PEG(DIMS, layers=(3,)), "PEG: layers=3 must be"),
        (
            lambda: Encoder(DIMS, partial(PEG, axes=2))(
                torch.zeros(1, 4, 16), positions=torch.arange(4)[None, :, None].expand(1, 4, 2)
            ),
            "PEG: wants the tokens of a whole grid",
        ),
        (
            lambda: Encoder(DIMS, partial(PEG, axes=2), Grid((2, 2)))(
                torch.zeros(1, 4, 16), documents=torch.tensor([[0, 0, 1, 1]])
            ),
            "PEG: packed documents are no grid",
        ),
        (
            lambda: Encoder(DIMS, Chain.of(partial(PEG, axes=2), LearnedGrid))(
                torch.zeros(1, 4, 16)
            ),
            "PEG: wants 2 numbers",
        ),
    ],
)
def test_what_is_no_grid_is_refused_in_one_line(call: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)
