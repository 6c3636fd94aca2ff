"""CTC: its loss, what is written, and how far that is from what is right."""

import itertools
import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec, Frames
from lightning_posenc.modules import CTCModel
from lightning_posenc.modules.ctc import shortest
from lightning_posenc.modules.transcripts import ExactTranscript, TokenErrorRate
from lightning_posenc.positional import RoPE
from lightning_posenc.tasks import IGNORE

N = IGNORE


def model(n_classes: int = 2, subsampling: int = 2, **options: Any) -> CTCModel:
    inputs = partial(Frames, n_features=3, subsampling=subsampling)
    spec = EncoderSpec(16, 2, 1, init_std=0.3)
    return CTCModel(spec, None, n_classes, inputs=inputs, positional=RoPE, **options).eval()


def batch() -> Batch:
    targets = torch.tensor([[0, 1, N], [1, 1, N], [0, N, N], [0, 1, 0]])
    return Batch(torch.randn(4, 10, 3), targets, torch.tensor([10, 8, 3, 9]))


def collapsed(path: tuple[int, ...], blank: int) -> list[int]:
    """As in section 3.1: repetitions first, then blanks."""
    return [token for token, _ in itertools.groupby(path) if token != blank]


def test_the_loss_is_that_of_all_alignments() -> None:
    """By enumerating all paths over the places of each sequence, (C + 1)^T of them."""
    ctc, given = model(), batch()
    loss, logits, _ = ctc.score(given, 0)
    shares = logits.detach().double().softmax(dim=-1)
    total, n_tokens = 0.0, 0
    for row, length in enumerate((5, 4, 2, 5)):
        right = [token for token in given.targets[row].tolist() if token != N]
        probability = sum(
            math.prod(float(shares[row, place, token]) for place, token in enumerate(path))
            for path in itertools.product(range(3), repeat=length)
            if collapsed(path, blank=2) == right
        )
        total -= math.log(probability)
        n_tokens += len(right)
    assert loss.item() == pytest.approx(total / n_tokens, rel=1e-5)


def test_what_is_written_is_the_likeliest_path_collapsed() -> None:
    """And the same alone as among longer ones; `predict` gives it with its probability."""
    ctc, given = model(), batch()
    logits = ctc(given)
    written, found = ctc.predicted(logits, given), ctc.predict_step(given, 0)
    for row, length in enumerate((5, 4, 2, 5)):
        best = logits[row, :length].argmax(dim=-1).tolist()
        right = collapsed(tuple(best), blank=2)
        assert [token for token in written[row].tolist() if token != N] == right
        assert found.answers()[row] == right
        score = logits[row, :length].log_softmax(dim=-1).amax(dim=-1).sum()
        torch.testing.assert_close(found.scores[row, 0], score)
        alone = ctc(given.tokens[row : row + 1, : given.lengths[row]])  # type: ignore[index]
        torch.testing.assert_close(alone[0], logits[row, :length], rtol=0, atol=1e-5)
    assert any(found.answers())


def edits(ours: list[int], right: list[int]) -> int:
    if not ours or not right:
        return len(ours) + len(right)
    return min(
        edits(ours[1:], right) + 1,
        edits(ours, right[1:]) + 1,
        edits(ours[1:], right[1:]) + (ours[0] != right[0]),
    )


def test_errors_are_those_of_an_edit_distance() -> None:
    right = torch.tensor([[1, 2, 3, N], [1, 2, N, N], [12, 2, 2, 0]])
    written = torch.tensor([[1, 3, N, N, N], [1, 2, 2, N, N], [12, 2, 2, 0, N]])
    pairs = [
        ([n for n in a if n != N], [n for n in b if n != N])
        for a, b in zip(written.tolist(), right.tolist(), strict=True)
    ]
    rate, exact = TokenErrorRate(), ExactTranscript()
    rate.update(written, right)
    exact.update(written, right)
    n_right = sum(len(b) for _, b in pairs)
    assert rate.compute().item() == pytest.approx(sum(edits(a, b) for a, b in pairs) / n_right)
    assert exact.compute().item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("targets", [[0, 1, N], [1, 1, N], [0, 0, 0], [N, N, N]])
def test_an_alignment_wants_a_place_a_token_and_a_blank_between_twins(targets: list[int]) -> None:
    right = [token for token in targets if token != N]
    fewest = next(
        n
        for n in range(9)
        if any(collapsed(p, 2) == right for p in itertools.product(range(3), repeat=n))
    )
    assert shortest(torch.tensor([targets])).item() == fewest


def test_a_transcript_that_no_alignment_has_is_refused() -> None:
    ctc = model(subsampling=4)
    given = Batch(
        torch.randn(2, 16, 3), torch.tensor([[0, 1, 0], [1, 1, 0]]), torch.tensor([16, 12])
    )
    line = r"^CTCModel: a transcript of 3 tokens wants 4 places, and 3 come of its frames: lower"
    with pytest.raises(ValueError, match=line):
        ctc.score(given, 0)
    fits = given._replace(lengths=torch.tensor([12, 16]))
    assert ctc.score(fits, 0)[0].isfinite()


def test_what_a_transcript_is_not_written_by() -> None:
    with pytest.raises(ValueError, match=r"^CTCModel: label_smoothing=0.1: "):
        model(label_smoothing=0.1)
    one_class: Tensor = torch.zeros(4).long()
    with pytest.raises(ValueError, match=r"^CTCModel writes transcripts, and the data has one"):
        model().score(batch()._replace(targets=one_class), 0)
