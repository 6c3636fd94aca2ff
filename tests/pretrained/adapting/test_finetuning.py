"""`finetune`: some steps of training at short lengths, and a plain model out of it."""

import math
from typing import Any

import pytest
import torch

from lightning_posenc.pretrained.adapting.finetuning import finetune
from lightning_posenc.pretrained.reading import Pretrained
from tests.pretrained.adapting.test_lora import CAUSAL
from tests.pretrained.adapting.worlds import Halved, Words
from tests.pretrained.tiny import tiny

pytest.importorskip("peft")


def pretrained(family: str = "llama") -> Pretrained:
    return Pretrained(tiny(family, CAUSAL), None, family, "causal")


@pytest.mark.parametrize("trains", ["lora", ["lora", "norms"], "all"])
def test_the_loss_falls_and_the_given_model_stays(trains: Any) -> None:
    before, losses = pretrained(), list[float]()
    untouched = {name: p.clone() for name, p in before.model.state_dict().items()}
    after = finetune(
        before, Halved(), 256, [Words.of()], 40, train_length=32, trains=trains, rate=0.02,
        tell=lambda step, loss: losses.append(loss),
    )  # fmt: skip
    assert len(losses) == 40
    assert losses[0] == pytest.approx(math.log(50), abs=0.2)
    assert sum(losses[-5:]) / 5 < losses[0] - (0.1 if trains == "all" else 0.02)
    assert all(torch.equal(p, untouched[name]) for name, p in before.model.state_dict().items())
    assert after.model.state_dict().keys() == untouched.keys()
    changed = {n for n, p in after.model.state_dict().items() if not torch.equal(p, untouched[n])}
    assert any("q_proj" in name for name in changed)
    assert ("model.norm.weight" in changed) == (trains != "lora")
    assert ("lm_head.weight" in changed) == (trains == "all")
    assert not after.model.training
    assert torch.equal(
        after.model.model.rotary_emb.inv_freq, before.model.model.rotary_emb.inv_freq
    )


def test_what_is_not_trained_is_held_once() -> None:
    before = pretrained()
    after = finetune(before, Halved(), 128, [Words.of()], 1, train_length=16)
    frozen, trained = "lm_head.weight", "model.layers.0.self_attn.q_proj.weight"
    memory = [
        {name: each.model.get_parameter(name).data_ptr() for name in (frozen, trained)}
        for each in (before, after)
    ]
    assert memory[0][frozen] == memory[1][frozen]
    assert memory[0][trained] != memory[1][trained]


def test_the_seed_alone_decides() -> None:
    def trained(seed: int) -> torch.Tensor:
        given, state = pretrained(), torch.get_rng_state()
        found = finetune(given, None, 64, [Words.of()], 3, train_length=16, seed=seed)
        assert torch.equal(torch.get_rng_state(), state)
        torch.rand(7)  # what was drawn before does not matter
        return found.model.model.layers[0].self_attn.q_proj.weight

    torch.testing.assert_close(trained(0), trained(0), rtol=0, atol=0)
    assert not torch.equal(trained(0), trained(1))


def test_a_table_of_positions_is_trained() -> None:
    before = pretrained("gpt2")
    after = finetune(before, None, 64, [Words.of()], 2, train_length=16, trains="all")
    tables = [each.model.transformer.wpe.weight for each in (before, after)]
    assert not torch.equal(*tables)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"to": 32}, "to=32 is less than the 64"),
        ({"train_length": 500}, "train_length=500 must be at most 256"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"rate": 0.0}, "rate=0.0"),
        ({"texts": [Words.of(5)]}, "5 tokens are too few"),
        ({"rate": 1e6}, "the loss is .* give a lower rate"),
    ],
)
def test_mistakes_are_one_line(options: dict[str, Any], message: str) -> None:
    arguments = {"to": 256, "texts": [Words.of()], "steps": 4, "train_length": 16, **options}
    given = [arguments.pop(name) for name in ("to", "texts", "steps")]
    with pytest.raises(ValueError, match=message) as raised:
        finetune(pretrained(), Halved(), *given, **arguments)
    assert "\n" not in str(raised.value)
