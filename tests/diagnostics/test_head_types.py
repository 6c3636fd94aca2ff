"""What heads look at: heads made for one purpose each."""

import pytest
import torch
from torch import Tensor

from lightning_posenc.diagnostics import head_scores
from lightning_posenc.masks import Causal
from lightning_posenc.model.kernels import Operands
from tests.helpers import operands

B, T, SYMBOLS = 4, 24, 40
HEADS = ("previous", "offset", "induction", "retrieval", "uniform")


def made(causal: bool) -> tuple[Operands, Tensor, Tensor]:
    """A head for each purpose, by a bias of 50 where it is to look."""
    generator = torch.Generator().manual_seed(0)
    half = torch.randint(SYMBOLS, (B, T // 2), generator=generator)
    tokens = half.repeat(1, 2)
    # What is asked for stands somewhere before: the token five places back, and no other like it.
    targets = torch.full_like(tokens, -100)
    for b in range(B):
        for i in range(T):
            if i >= 5 and (tokens[b] == tokens[b, i - 5]).sum() <= 2:
                targets[b, i] = tokens[b, i - 5]
    bias = torch.zeros(B, len(HEADS), T, T)
    for b in range(B):
        for i in range(T):
            for j in range(i + 1):
                looks = (
                    i - j == 1,
                    i - j == 3,
                    j >= 1 and tokens[b, j - 1] == tokens[b, i],
                    i != j and tokens[b, j] == targets[b, i],
                )
                for head, at in enumerate(looks):
                    bias[b, head, i, j] = 50.0 * at
    zeros = torch.zeros(B, len(HEADS), T, 1)
    return operands(zeros, zeros, zeros, bias, Causal() if causal else None), tokens, targets


@pytest.mark.parametrize("causal", [False, True])
def test_each_head_scores_for_its_own_purpose(causal: bool) -> None:
    found = head_scores(*made(causal))
    scores = torch.stack([found.previous, found.offset, found.induction, found.retrieval])
    for number, name in enumerate(HEADS[:-1]):
        own = scores[number, number].item()
        assert own > 0.85, (name, scores[number])  # of the first query of all, none can be right
        assert own > scores[number, 4].item() + 0.8
    assert scores[:, 4].abs().amax() < 0.12
    assert found.at[1] == 3


def test_uniform_attention_scores_nothing() -> None:
    zeros = torch.zeros(2, 1, 16, 1)
    tokens = torch.arange(16).repeat(2, 1) % 8
    found = head_scores(operands(zeros, zeros, zeros, None, Causal()), tokens, tokens.roll(-1, 1))
    for score in (found.previous, found.offset, found.induction, found.retrieval):
        assert score.abs().item() < 1e-5


def test_weights_by_distance_are_means_over_the_pairs_that_there_are() -> None:
    view, tokens, _ = made(causal=True)
    found = head_scores(view, tokens)
    assert found.by_offset[1, T - 1 + 3] == pytest.approx(1, abs=1e-5)
    assert found.by_offset[:, : T - 1].abs().amax() == 0  # nobody sees the future
    assert found.retrieval.isnan().all()  # nothing was asked


def test_other_tokens_than_those_attended_to_are_refused() -> None:
    view, tokens, _ = made(causal=True)
    with pytest.raises(ValueError, match="queries and keys of the 23 tokens"):
        head_scores(view, tokens[:, :-1])
