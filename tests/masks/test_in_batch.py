"""A mask means in a batch what it means for each sequence and each document alone."""

from typing import Any

import pytest
import torch

from lightning_posenc import Dims, Encoder
from lightning_posenc.masks import (
    BigBird,
    Blocked,
    Causal,
    Dilated,
    Fixed,
    GlobalTokens,
    Longformer,
    Mask,
    RandomBlocks,
    Sinks,
    StreamingLLM,
    Strided,
    Window,
)
from lightning_posenc.model.cache import Cache
from lightning_posenc.positional import RoPE
from lightning_posenc.positions import PerDocument

T, PARTS = 29, (11, 18)
STAYING: list[Mask] = [
    Window(3), Dilated(3, 2), Strided(5), Fixed(5, 2), Longformer(3), StreamingLLM(3, 2),
    Window(3) | Sinks(2), Blocked(Window(2), 4), GlobalTokens(1), Window(3) & Strided(4),
]  # fmt: skip
OF_LENGTH: list[Mask] = [
    GlobalTokens(1, 1), RandomBlocks(3, 1), BigBird(4, 1), BigBird(2, 1) | Sinks(3),
]  # fmt: skip


def encoder(mask: Mask, causal: bool = False, **wiring: Any) -> Encoder:
    torch.manual_seed(0)
    return Encoder(Dims(12, 3, 2, causal=causal), RoPE, mask=mask, init_std=0.3, **wiring).eval()


@pytest.mark.parametrize("mask", STAYING, ids=str)
def test_documents_are_as_if_alone(mask: Mask) -> None:
    for causal in (False, True):
        model = encoder(mask, causal, positions=PerDocument())
        x = torch.randn(1, T, 12)
        documents = torch.tensor([[0] * PARTS[0] + [1] * PARTS[1]])
        alone = torch.cat([model(part) for part in x.split(PARTS, dim=1)], dim=1)
        torch.testing.assert_close(model(x, documents=documents), alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("mask", [*STAYING, *OF_LENGTH], ids=str)
def test_padded_sequences_are_as_if_alone(mask: Mask) -> None:
    model, lengths = encoder(mask), (T, 11, 1, 11)
    x = torch.randn(len(lengths), T, 12)
    found = model(x, lengths=torch.tensor(lengths))
    for row, out, length in zip(x, found, lengths, strict=True):
        alone = model(row[None, :length])[0]
        torch.testing.assert_close(out[:length], alone, rtol=0, atol=1e-5)


def test_padded_sequences_by_runs_of_queries_are_as_if_alone() -> None:
    model, length = encoder(BigBird(16, 1)), 700
    x = torch.randn(2, length, 12)
    found = model(x, lengths=torch.tensor([length, 300]))
    torch.testing.assert_close(found[1, :300], model(x[1:, :300])[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("mask", OF_LENGTH, ids=str)
def test_what_changes_with_the_length_is_refused_where_that_is_to_come_or_differs(
    mask: Mask,
) -> None:
    with pytest.raises(ValueError, match=f"mask={type(mask).__name__}, and so with the future"):
        encoder(mask, causal=True)
    documents = torch.tensor([[0] * PARTS[0] + [1] * PARTS[1]])
    with pytest.raises(ValueError, match="separate_documents=false"):
        encoder(mask)(torch.randn(1, T, 12), documents=documents)


def test_a_document_in_several_pieces_is_refused() -> None:
    documents = torch.tensor([[0, 0, 1, 1], [2, 1, 1, 2]])
    with pytest.raises(ValueError, match="in one piece each, and row 1 comes back"):
        encoder(Window(2))(torch.randn(2, 4, 12), documents=documents)


def test_a_document_that_begins_later_has_sinks_of_its_own() -> None:
    """Nothing is forgotten that the first tokens of a document to come would be."""
    model = encoder(StreamingLLM(3, 2), causal=True, positions=PerDocument())
    x, documents = torch.randn(1, T, 12), torch.tensor([[0] * PARTS[0] + [1] * PARTS[1]])
    places = torch.cat([torch.arange(n) for n in PARTS]).unsqueeze(0)
    cache, steps = Cache(), []
    for n in range(T):
        steps.append(
            model(
                x[:, n : n + 1],
                documents=documents[:, : n + 1],
                positions=places[:, : n + 1],
                cache=cache,
            )
        )
    expected = model(x, documents=documents, positions=places)
    torch.testing.assert_close(torch.cat(steps, dim=1), expected, rtol=0, atol=1e-5)


def test_distances_are_said_of_by_what_goes_by_them() -> None:
    by_distance = {type(mask) for mask in STAYING if mask.by_distance}
    assert by_distance == {Window, Dilated, Strided, type(Window(3) & Strided(4))}
    assert Causal().by_distance
