"""What one forward tells of all lengths, and what is kept of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc.extend.contenders import Ready
from lightning_posenc.extend.measuring import (
    BLOCK,
    block_means,
    curve,
    losses_by_length,
    text_record,
)
from lightning_posenc.extend.peak_memory import PeakMemory
from lightning_posenc.extend.texts import evaluated_texts
from lightning_posenc.pretrained.evaluating.losses import losses
from lightning_posenc.pretrained.evaluating.prompts import in_words
from lightning_posenc.pretrained.frequencies import frequency_maps, turned
from lightning_posenc.pretrained.methods import METHODS, Method, Unchanged
from lightning_posenc.pretrained.reading import Pretrained, read
from tests.extend.conftest import TO, TRAINED, byte_tokenizer

LENGTHS = (16, TRAINED, 61, TO)


class Divided:
    """Position interpolation of the test's own; by the present length if it is dynamic."""

    def __init__(self, dynamic: bool, by_length: bool) -> None:
        self.dynamic = dynamic
        self.by_length = by_length

    @contextmanager
    def applied(self, pretrained: Pretrained, to: int) -> Iterator[None]:
        now = frequency_maps(pretrained.model)["all"]
        divided = now._replace(inv_freq=now.inv_freq / (to / TRAINED))
        with turned(pretrained.model, divided):
            if not self.dynamic:
                yield
                return
            (rotary,) = (m for m in pretrained.model.modules() if hasattr(m, "inv_freq"))
            hook = rotary.register_forward_pre_hook(
                lambda module, args: module.inv_freq.copy_(
                    now.inv_freq * TRAINED / args[0].shape[1]
                )
            )
            yield
            hook.remove()


def ready(pretrained: Pretrained, dynamic: bool, by_length: bool) -> Ready:
    method: Any = Divided(dynamic, by_length)
    return Ready(pretrained, method)


@pytest.fixture(scope="module")
def pretrained(folder: Path) -> Pretrained:
    return read(folder)


@pytest.fixture(scope="module")
def tokens(pretrained: Pretrained, texts: list[Path]) -> torch.Tensor:
    return evaluated_texts(texts[:1], pretrained, TO, 3)[0].tokens


def test_one_forward_gives_the_losses_of_every_length(
    pretrained: Pretrained, tokens: torch.Tensor
) -> None:
    read_off = losses_by_length(ready(pretrained, False, False), tokens, LENGTHS)
    each = losses_by_length(ready(pretrained, False, True), tokens, LENGTHS)
    assert list(read_off) == list(each) == list(LENGTHS)
    for length in LENGTHS:
        assert read_off[length].shape == (3, length - 1)
        torch.testing.assert_close(read_off[length], each[length], rtol=1e-5, atol=1e-5)


def test_a_dynamic_method_must_run_for_every_length(
    pretrained: Pretrained, tokens: torch.Tensor
) -> None:
    """The control: read off one forward, its losses at shorter lengths are others."""
    read_off = losses_by_length(ready(pretrained, True, False), tokens, LENGTHS)
    each = losses_by_length(ready(pretrained, True, True), tokens, LENGTHS)
    torch.testing.assert_close(read_off[TO], each[TO], rtol=1e-5, atol=1e-5)
    for length in LENGTHS[:-1]:
        assert (read_off[length] - each[length]).abs().max() > 0.01


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.name)
def test_every_method_says_whether_it_reads_the_length(
    kind: type[Method], pretrained: Pretrained, tokens: torch.Tensor
) -> None:
    """Of one that does not, the first tokens' losses are the same whatever comes after them."""
    method = kind()
    if method.refuses(pretrained, TO) is not None:
        pytest.skip("not for a model that turns")
    method = method.fitted(pretrained, TO, tokens[-1:])
    with method.applied(pretrained, TO):
        short = losses(pretrained, tokens[:, :61])
        long = losses(pretrained, tokens)[:, :60]
    same = torch.allclose(short, long, rtol=1e-3, atol=1e-3)
    assert same is not method.by_length


def test_answers_are_told_apart_where_they_part() -> None:
    """All begin with a space, which is a token of its own here."""
    tokenizer = byte_tokenizer()
    prompt = in_words(tokenizer, 90, [], "The town was", "Boston", ["Sydney"])
    assert tokenizer.decode(prompt.tokens[-prompt.n_answer :]) == " Boston"
    assert tokenizer.decode([prompt.right]) == "B"
    assert tokenizer.decode(list(prompt.wrong)) == "S"
    with pytest.raises(ValueError, match="do not part at one token"):
        in_words(tokenizer, 90, [], "The town was", "Boston", ["Sydney", "Berlin"])


def test_the_method_is_in_place_and_taken_away(
    pretrained: Pretrained, tokens: torch.Tensor
) -> None:
    before = frequency_maps(pretrained.model)["all"].inv_freq
    found = losses_by_length(ready(pretrained, False, False), tokens, [TO])[TO]
    plain = losses_by_length(Ready(pretrained, Unchanged()), tokens, [TO])[TO]
    assert (found - plain).abs().mean() > 0.01
    assert torch.equal(frequency_maps(pretrained.model)["all"].inv_freq, before)


def test_a_record_holds_means_that_are_those_of_the_tokens(
    pretrained: Pretrained, tokens: torch.Tensor
) -> None:
    divided = ready(pretrained, False, False)
    record = text_record(divided, tokens, LENGTHS, 8)
    plain = losses_by_length(divided, tokens, LENGTHS)
    for length, found in record["lengths"].items():
        expected = plain[int(length)]
        assert sum(found["blocks"]) / len(found["blocks"]) == pytest.approx(
            expected.mean().item(), abs=1e-4
        )
        assert found["last"] == pytest.approx(expected[:, -8:].mean().item(), abs=1e-4)
    assert record["positions"][0][0] == 1
    assert len(record["positions"]) == TO - 1
    assert 0 < record["seconds"] < 60


def test_blocks_are_alike_in_length() -> None:
    losses = torch.arange(2.0 * 10 * BLOCK).view(2, -1)
    means = block_means(losses)
    assert means.shape == (20,)
    torch.testing.assert_close(means[1], losses[0, BLOCK : 2 * BLOCK].double().mean())
    torch.testing.assert_close(means[10], losses[1, :BLOCK].double().mean())
    uneven = torch.rand(3, 5 * BLOCK + 60)
    assert block_means(uneven).shape == (15,)
    torch.testing.assert_close(
        block_means(uneven).mean(), uneven.double().mean(), rtol=0.02, atol=0
    )
    assert block_means(torch.rand(4, 9)).shape == (4,)


def test_a_masked_models_gaps_are_left_out() -> None:
    losses = torch.full((2, 2 * BLOCK), torch.nan)
    losses[:, ::8] = 3.0
    assert block_means(losses).tolist() == [3.0] * 4
    assert {loss for _, loss in curve(losses[:, :8])} - {3.0} != {3.0}


def test_a_long_curve_is_thinned() -> None:
    losses = torch.arange(5000.0).expand(2, -1)
    found = curve(losses)
    assert len(found) <= 128
    assert found[0] == (1, pytest.approx(19.5))
    assert found[1][0] == 41
    assert found[-1][1] > 4950


def test_the_peak_is_that_of_what_runs_now() -> None:
    outer = PeakMemory(torch.device("cpu"))
    if outer.mb() is None:
        pytest.skip("the system does not tell")
    block = torch.ones(64, 2**20)  # 256 MB
    with_block = outer.mb()
    del block
    assert with_block is not None
    inner = PeakMemory(torch.device("cpu")).mb()
    assert inner is not None
    assert with_block - inner > 200
