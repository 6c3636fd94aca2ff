"""What is learned, written and scored of answers, and what a checkpoint keeps of it.

Shapes: B sequences, S tokens of a source, T of an answer, V token ids.
"""

import copy
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from lightning_posenc.data import Batch, PairData
from lightning_posenc.model import CrossReading, EncoderSpec, ScaledEmbedding
from lightning_posenc.modules import SequenceClassifier, SequenceToSequence
from lightning_posenc.modules.text_scores import TextScores
from lightning_posenc.positional import NoPE, RoPE, T5Bias
from lightning_posenc.positions import Abacus
from lightning_posenc.tasks import IGNORE, Addition, WordOrder

SPEC = EncoderSpec(32, 4, 2, init_std=0.3)


def module(**options: Any) -> SequenceToSequence:
    torch.manual_seed(0)
    given = {"positional": T5Bias, "cross": partial(CrossReading, positional=RoPE)} | options
    return SequenceToSequence(SPEC, 9, 6, **given).eval()


def batch() -> Batch:
    torch.manual_seed(1)
    targets = torch.randint(0, 5, (3, 5))
    targets[0, 4] = targets[1, 2] = targets[2, 0] = 5
    targets[1, 3:] = targets[2, 1:] = IGNORE
    return Batch(torch.randint(0, 9, (3, 7)), targets, lengths=torch.tensor([7, 4, 1]))


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="plain"),
        pytest.param({"share_embeddings": True}, id="shared", marks=pytest.mark.slow),
        pytest.param(
            {"tie_weights": False, "target_inputs": ScaledEmbedding},
            id="untied",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"decoder_positional": NoPE, "decoder": EncoderSpec(32, 2, 3, init_std=0.3)},
            id="other decoder",
            marks=pytest.mark.slow,
        ),
    ],
)
@torch.no_grad()
def test_what_is_written_has_the_probability_that_training_sees(beams: int, options: Any) -> None:
    """With a cache and without; the sum of the logarithms that teacher forcing gives to it."""
    of, given = module(**options), batch()
    found = of.write(given, beams=beams, length=6)
    anew = of.write(given, beams=beams, length=6, use_cache=False)
    assert found.answers() == anew.answers()
    torch.testing.assert_close(found.scores, anew.scores, atol=1e-4, rtol=1e-4)
    for n in range(beams):
        said = found.tokens[:, n]
        ended = (said == of.end).int().cumsum(dim=1)
        targets = said.masked_fill((ended - (said == of.end).int()) > 0, IGNORE)
        logs = of.logits(given._replace(targets=targets)).log_softmax(dim=-1)
        of_tokens = logs.gather(2, targets.clamp(min=0).unsqueeze(2)).squeeze(2)
        total = of_tokens.masked_fill(targets == IGNORE, 0).sum(dim=1)
        there = found.scores[:, n].isfinite()  # a beam may find fewer
        assert n or there.all()
        torch.testing.assert_close(found.scores[there, n], total[there], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_how_much_is_written_is_a_matter_of_the_own_source() -> None:
    """Of one token 18 are, though a longer one stands beside it."""
    of, together = module(tie_weights=False), batch()
    assert of.head is not None
    of.head.weight[of.end] = 0.0
    of.head.weight[:2] = torch.stack([of.head.weight[0], -of.head.weight[0]]) * 100  # one is likely
    alone = Batch(together.tokens[2:, :1], together.targets[2:])
    found = of.write(together).answers()
    assert found[2] == of.write(alone).answers()[0]
    assert [len(each) for each in found] == [30, 24, 18]


@torch.no_grad()
def test_right_by_teacher_forcing_is_right_when_written() -> None:
    """So that `exact` needs nothing to be written: answers are given that the model would say."""
    of, given = module(), batch()
    written = of.write(given, length=5).tokens[:, 0]
    assert torch.equal(
        of.logits(given._replace(targets=written)).argmax(dim=-1)[:, 0], written[:, 0]
    )
    ended = (written == of.end).int()
    targets = written.masked_fill((ended.cumsum(dim=1) - ended) > 0, IGNORE)
    said = of.logits(given._replace(targets=targets)).argmax(dim=-1)
    assert ((said == targets) | (targets == IGNORE)).all()


@torch.no_grad()
def test_positions_that_read_what_is_written() -> None:
    of, given = module(decoder_positions=Abacus([0, 1, 2]), decoder_positional=RoPE), batch()
    for beams in (1, 2):
        found = of.write(given, beams=beams, length=5, use_cache=False)
        assert len(found.answers()) == 3


def test_gradients_and_groups_of_all_encodings() -> None:
    of = module(cross=partial(CrossReading, positional=T5Bias), positional_weight_decay=0.1).train()
    loss, _, _ = of.score(batch(), 0)
    loss.backward()
    assert all(p.grad is not None for p in of.parameters())
    (positional,) = [g for g in of.parameter_groups() if g["name"] == "positional"]
    assert len(positional["params"]) == 3
    assert len(of.blocks) == 4
    total = sum(len(group["params"]) for group in of.parameter_groups())
    assert total == len(list(of.parameters()))


def test_label_smoothing_and_scheduled_sampling_are_of_training_alone() -> None:
    of, given = module(), batch()
    plain = of.score(given, 0)[0]
    for options in ({"label_smoothing": 0.2}, {"scheduled_sampling": 0.9}):
        other = module(**options)
        other.load_state_dict(of.state_dict())
        torch.testing.assert_close(other.score(given, 0)[0], plain)
        torch.manual_seed(0)
        trained = other.train().score(given, 0)[0]
        assert not torch.isclose(trained, plain)
        torch.manual_seed(0)
        assert torch.equal(trained, other.score(given, 0)[0])
        trained.backward()


def test_scheduled_sampling_reads_what_it_would_say() -> None:
    """Each token is the answer's or the model's own, the first always the beginning."""
    of, given = module(scheduled_sampling=0.5).train(), batch()
    memory, right = of.memory(given), torch.tensor([[5, 0, 1, 2, 3]] * 3)
    said = of._said(given, memory, right).argmax(dim=-1)
    own = torch.cat([right[:, :1], said[:, :-1]], dim=1)
    read = of._sampled(given, memory, right)
    assert ((read == right) | (read == own)).all()
    assert (read[:, 0] == 5).all()
    assert not torch.equal(read, right)


def run(data: PairData, of: SequenceToSequence, folder: Path, **options: Any) -> L.Trainer:
    trainer = L.Trainer(
        max_steps=2, default_root_dir=folder, logger=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", **options,
    )  # fmt: skip
    trainer.fit(of, data)
    return trainer


def test_a_checkpoint_brings_model_and_meaning_back(tmp_path: Path) -> None:
    """Read with `weights_only`, with encodings of all sides, and of data of the same task only."""
    data = PairData(WordOrder(3, 3, 2), train_length=4, batch_size=8, eval_samples=8)
    spec = EncoderSpec(16, 2, 1)
    of = SequenceToSequence(
        spec, data.vocab_size, data.n_classes, positional=RoPE, decoder=EncoderSpec(16, 2, 2),
        decoder_positional=T5Bias, cross=partial(CrossReading, positional=RoPE), beams=2,
    )  # fmt: skip
    trainer = run(data, of, tmp_path)
    trainer.save_checkpoint(tmp_path / "of.ckpt")
    again = SequenceToSequence.load_from_checkpoint(tmp_path / "of.ckpt", map_location="cpu").eval()
    one = next(iter(data.val_dataloader()))
    torch.testing.assert_close(again.logits(one), of.eval().logits(one))
    assert again.beams == 2
    assert isinstance(again.decoder.cross.positional, RoPE)
    other = PairData.load_from_checkpoint(tmp_path / "of.ckpt", task=WordOrder(3, 3, 2))
    assert other.n_classes == data.n_classes
    (scores,) = trainer.test(of, data, verbose=False)
    assert {"test/exact/len_4", "test/exact_written/len_4", "test/loss/len_4"} <= scores.keys()
    with pytest.raises(ValueError, match="task"):
        PairData.load_from_checkpoint(tmp_path / "of.ckpt", task=Addition())


def test_scores_of_texts_are_sacrebleus_own() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    said = ["the cat sat on the mat", "a dog", "one two three four five", ""]
    right = ["the cat is on the mat", "a dog", "one two three five four", "x"]
    of = TextScores(["bleu", "chrf"])
    of.update(said[:3], right[:3])
    of.update(said[3:], right[3:])
    found = of.compute()
    assert float(found["bleu"]) == pytest.approx(sacrebleu.corpus_bleu(said, [right]).score)
    assert float(found["chrf"]) == pytest.approx(sacrebleu.corpus_chrf(said, [right]).score)
    assert float(found["exact_written"]) == 0.25
    of.reset()
    assert of.written == []


@pytest.mark.slow
def test_scores_of_texts_are_those_of_the_command(tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu")
    said, right = (
        ["the cat sat on the mat", "a dog barks"],
        ["the cat is on the mat", "a dog barked"],
    )
    for name, texts in ("said", said), ("right", right):
        (tmp_path / name).write_text("\n".join(texts) + "\n")
    of = TextScores(["bleu", "chrf"])
    of.update(said, right)
    found = of.compute()
    for metric in "bleu", "chrf":
        command = ["-m", "sacrebleu", "right", "-i", "said", "-m", metric, "-b", "-w", "4"]
        told = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True
        )
        assert float(told.stdout) == pytest.approx(float(found[metric]), abs=6e-5), told.stderr


REFUSED: dict[str, tuple[Any, str]] = {
    "causal": ({"causal": True}, "causal=true"),
    "two widths": ({"decoder": EncoderSpec(16, 4, 1)}, "give both one width"),
    "an encoding of the stream": (
        {"cross": partial(CrossReading, positional=partial(T5Bias, n_buckets=2))},
        "across two sequences",
    ),
    "a score": ({"text_scores": ["rouge"]}, "text_scores='rouge' must be one of bleu, chrf"),
    "a rate": ({"scheduled_sampling": 1.0}, "scheduled_sampling=1.0"),
    "no beams": ({"beams": 0}, "beams=0"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_is_refused(what: str) -> None:
    options, line = REFUSED[what]
    with pytest.raises(ValueError, match=line) as refusal:
        module(**options)
    assert "\n" not in str(refusal.value)


def test_data_of_another_kind_is_one_line() -> None:
    of, given = module(), batch()
    one: Tensor = given.targets[:, 0]
    with pytest.raises(ValueError, match="choose --data=PairData"):
        of.score(given._replace(targets=one), 0)
    with pytest.raises(ValueError, match="must be a Batch"):
        of(given.tokens)
    other = SequenceClassifier(SPEC, 9, 6)
    with pytest.raises(ValueError, match="TokenClassifier"):
        other.score(given, 0)


def test_sides_share_nothing_unless_asked() -> None:
    of = module()
    names = {name.partition(".")[0] for name, _ in of.named_parameters()}
    assert names == {"encoder", "decoder", "embedding", "target_embedding"}
    assert {id(p) for p in copy.deepcopy(of).parameters()} & {
        id(p) for p in of.parameters()
    } == set()
