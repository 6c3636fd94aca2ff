"""Images as tokens, and where those stand."""

from functools import partial

import pytest
import torch
from torch import nn

from lightning_posenc import Dims, Encoder
from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec, Patches
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.positional import AxialRoPE, LearnedAbsolute, LearnedGrid
from lightning_posenc.positions import Consecutive

DIMS = Dims(16, 2, 1)


def test_a_token_is_a_linear_map_of_its_patch() -> None:
    patches = Patches(DIMS, patch_size=(2, 3), n_channels=2)
    images = torch.randn(2, 2, 4, 9)
    tokens = patches(images)
    assert tokens.shape == (2, 1 + 2 * 3, 16)
    assert torch.equal(tokens[0, 0], patches.class_tokens[0])
    weight = patches.project.weight.flatten(1)
    row, column = 1, 2
    pixels = images[1, :, 2 * row : 2 * row + 2, 3 * column : 3 * column + 3].flatten()
    expected = weight @ pixels + patches.project.bias
    torch.testing.assert_close(tokens[1, 1 + row * 3 + column], expected)
    (places,) = patches.places(images).values.tolist()
    assert places == [[-1, -1], [0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((2, 8, 8), r"images must be \(B, C, H, W\) of n_channels=3, got \(2, 8, 8\)"),
        ((2, 1, 8, 8), r"of n_channels=3, got \(2, 1, 8, 8\): set n_channels=1, or data.channels"),
        ((2, 3, 8, 10), r"images of 8 x 10 pixels are not made of whole patches of patch_size"),
        ((2, 3, 0, 8), "images of 0 x 8 pixels"),
    ],
)
def test_other_images_are_refused(shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Patches(DIMS, patch_size=4)(torch.zeros(shape))


def test_a_class_token_lies_outside_the_grid() -> None:
    grid = LearnedGrid(DIMS, 2, 3)
    places = Patches(DIMS, patch_size=2, n_channels=1).places(torch.zeros(1, 1, 4, 6))
    vectors = grid.vectors(places.values)[0]
    assert torch.equal(vectors[0], torch.zeros(16))
    assert torch.equal(vectors[1:], grid.table.flatten(0, 1))
    assert torch.equal(grid.vectors(places.values.float())[0], vectors)
    with pytest.raises(ValueError, match="a column 3 were asked for"):
        Encoder(DIMS, lambda dims: grid)(torch.zeros(1, 1, 16), positions=torch.tensor([[[0, 3]]]))
    with pytest.raises(ValueError, match="lowest -2"):
        Encoder(DIMS, lambda dims: grid)(torch.zeros(1, 1, 16), positions=torch.tensor([[[0, -2]]]))


def classifier(positional: object, **options: object) -> SequenceClassifier:
    inputs = partial(Patches, patch_size=2, n_channels=1)
    return SequenceClassifier(
        EncoderSpec(16, 2, 1), None, 3, pooling="first", inputs=inputs, positional=positional,
        **options,
    )  # fmt: skip


def test_inputs_say_where_tokens_stand_unless_a_sampler_is_given() -> None:
    images = torch.randn(2, 1, 4, 6)
    batch = Batch(images, torch.zeros(2))
    for encoding in (partial(LearnedGrid, height=2, width=3), AxialRoPE):
        assert classifier(encoding).logits(batch).shape == (2, 3)
    with pytest.raises(ValueError, match="LearnedAbsolute: wants one number for each position"):
        classifier(LearnedAbsolute).logits(batch)
    counted = classifier(partial(LearnedAbsolute, max_length=7), positions=Consecutive())
    assert counted.logits(batch).shape == (2, 3)


def test_a_model_of_another_resolution_is_theirs() -> None:
    """A grid resampled when it is loaded is `interpolate_pos_encoding` of transformers' ViT."""
    transformers = pytest.importorskip("transformers")
    from lightning_posenc.pretrained.conversion import to_ours

    config = transformers.ViTConfig(
        hidden_size=16, num_attention_heads=2, num_hidden_layers=1, intermediate_size=16,
        image_size=16, patch_size=4, num_labels=3,
    )  # fmt: skip
    model = transformers.ViTForImageClassification(config).eval()
    nn.init.normal_(model.vit.embeddings.position_embeddings)
    small = to_ours(model)
    large = to_ours(model, positional=partial(LearnedGrid, height=6, width=6))
    images = torch.randn(2, 3, 24, 24)
    expected = model(pixel_values=images, interpolate_pos_encoding=True).logits
    torch.testing.assert_close(large.logits(Batch(images, torch.zeros(2))), expected)
    with pytest.raises(ValueError, match="raise height and width"):
        small.logits(Batch(images, torch.zeros(2)))
