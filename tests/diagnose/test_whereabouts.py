"""Does a Hugging Face model get the positions of its training? Faults planted in tiny models."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from lightning_posenc.data import Batch
from lightning_posenc.diagnose.ailments.base import Verdict
from lightning_posenc.diagnose.ailments.length import _fresh_from
from lightning_posenc.diagnose.ailments.whereabouts import _of_answers, _of_files
from lightning_posenc.diagnose.subject import OtherModel
from lightning_posenc.diagnose.whereabouts import Whereabouts, measure_whereabouts
from lightning_posenc.pretrained.reading import Pretrained
from tests.pretrained.tiny import tiny, word_tokenizer

pytest.importorskip("transformers")
_MASKED = ("AutoModelForMaskedLM", "masked")
HEADS = {"bert": _MASKED, "roberta": _MASKED}
ROTARY = {"rope_type": "default", "rope_theta": 10_000.0}


def pretrained(family: str, side: str = "right", **options: Any) -> Pretrained:
    head, kind = HEADS.get(family, ("AutoModelForCausalLM", "causal"))
    tokenizer = word_tokenizer()
    tokenizer.padding_side = side
    model = tiny(family, head, initializer_range=0.3, **options)
    return Pretrained(model, tokenizer, family, kind)  # type: ignore[arg-type]


def measured(found: Pretrained) -> Whereabouts:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(3, 50, (4, 24), generator=generator)
    return measure_whereabouts(OtherModel(found, Batch(tokens, tokens)))


def faults(found: Pretrained) -> list[str]:
    seen = measured(found)
    every = [*_of_files(seen), *_of_answers(seen)]
    assert all(fault.helps for fault in every if fault.verdict == Verdict.ILL)
    return [fault.said for fault in every]


def told(found: Pretrained, change: Callable[[torch.Tensor], torch.Tensor]) -> Pretrained:
    """Positions are changed on their way into the model, given or not."""

    def hook(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        ids = kwargs["input_ids"]
        own = kwargs.get("position_ids")
        own = torch.arange(ids.shape[1])[None] if own is None else own
        return args, {**kwargs, "position_ids": change(own).expand(len(ids), -1)}

    found.model.base_model.register_forward_pre_hook(hook, with_kwargs=True)
    return found


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "gpt2", "opt", "bert", "bloom"])
def test_a_sound_model_has_no_fault(family: str) -> None:
    assert faults(pretrained(family)) == []


def test_a_token_like_padding_is_no_fault() -> None:
    """RoBERTa counts no position for it, wherever it stands."""
    assert faults(pretrained("roberta")) == []


def test_an_untrained_encoder_that_hardly_turns_is_no_fault() -> None:
    model = tiny("modernbert", "AutoModelForMaskedLM")
    assert faults(Pretrained(model, word_tokenizer(), "modernbert", "masked")) == []


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert"])
def test_one_position_for_all(family: str) -> None:
    said, *others = faults(told(pretrained(family), torch.zeros_like))
    assert "all tokens have one position" in said
    assert others == []


def test_positions_that_begin_elsewhere_unless_given() -> None:
    """A table is read otherwise; a rotation knows distances alone, and its answers stay."""

    def late(found: Pretrained) -> Pretrained:
        def hook(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
            own = kwargs.get("position_ids")
            moved = torch.arange(kwargs["input_ids"].shape[1])[None] + 1
            return args, {**kwargs, "position_ids": moved if own is None else own}

        found.model.base_model.register_forward_pre_hook(hook, with_kwargs=True)
        return found

    assert any(
        "positions are counted otherwise" in said for said in faults(late(pretrained("gpt2")))
    )
    assert faults(late(pretrained("llama"))) == []
    full = late(pretrained("gpt2", max_position_embeddings=26))  # and none beyond its table
    assert any("positions are counted otherwise" in said for said in faults(full))


def test_left_padding() -> None:
    (said,) = faults(pretrained("gpt2", "left"))
    assert "its positions count the padding" in said
    assert faults(pretrained("llama", "left")) == []
    assert faults(pretrained("opt", "left")) == []  # it counts by the mask


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_mask_that_never_reaches_attention(family: str) -> None:
    def unmasked(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        return args, {**kwargs, "attention_mask": None}

    found = pretrained(family, "left")
    found.model.base_model.register_forward_pre_hook(unmasked, with_kwargs=True)
    assert any("it reads its padding" in said for said in faults(found))


def test_a_base_that_is_too_low() -> None:
    (said,) = faults(pretrained("llama", rope_parameters={**ROTARY, "rope_theta": 3.0}))
    assert "the base is too low" in said


def test_drope_is_no_fault() -> None:
    still = {**ROTARY, "rope_type": "proportional", "partial_rotary_factor": 0.0}
    found = pretrained("llama", rope_parameters=still)
    assert measured(found).still
    assert faults(found) == []


def test_frequencies_in_half_precision() -> None:
    found = pretrained("llama", max_position_embeddings=4096)
    found.model = found.model.to(torch.bfloat16)
    assert any("frequencies in half precision" in said for said in faults(found))


def test_rows_as_they_were_drawn() -> None:
    nothing = [0.0] * 6
    assert _fresh_from(nothing, [0.04, 0.05, 0.04, 0.02, 0.0201, 0.0199]) == 3
    assert _fresh_from(nothing, [0.04, 0.05, 0.04, 0.045, 0.04, 0.041]) is None
    assert _fresh_from([0.9] * 6, [0.04, 0.05, 0.04, 0.02, 0.02, 0.02]) is None
