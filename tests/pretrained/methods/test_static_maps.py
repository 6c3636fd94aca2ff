"""Methods that are one map of frequencies: Hugging Face's own, by the config that is saved."""

import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from lightning_posenc.compat.transformers import rotary_places
from lightning_posenc.pretrained.frequencies import ALL, frequency_maps
from lightning_posenc.pretrained.methods import (
    NTK,
    PI,
    AdjustedBase,
    ByPartsNTK,
    ClippedRope,
    DroPE,
    Llama3Scaling,
    SearchedLongRoPE,
    Unchanged,
    Yarn,
)
from lightning_posenc.pretrained.methods.static_map import StaticMap
from lightning_posenc.pretrained.reading import Pretrained
from tests.pretrained.methods.models import TRAINED, logits, tiny, tokens

TO = 4 * TRAINED
MAPS: tuple[StaticMap, ...] = (
    PI(), AdjustedBase(), AdjustedBase(5e5), NTK(), ByPartsNTK(), ByPartsNTK(8, 2), Yarn(),
    Llama3Scaling(),    Llama3Scaling(2, 3), ClippedRope(), DroPE(),
)  # fmt: skip


def named(method: StaticMap) -> str:
    return method.name


def respelled(pretrained: Pretrained, changes: dict[str, Any]) -> dict[str, tuple[Any, float]]:
    """The frequencies that the family itself makes of a changed config."""
    config = copy.deepcopy(pretrained.model.config)
    for name, value in changes.items():
        setattr(config, name, value)
    made = type(pretrained.model)(config)
    return {key: (each.inv_freq, each.temperature) for key, each in frequency_maps(made).items()}


@pytest.fixture(scope="module")
def llama() -> Pretrained:
    return tiny("llama")


@pytest.mark.parametrize("method", MAPS, ids=named)
@pytest.mark.parametrize("family", ["llama", "gpt_neox", "phi3", "cohere"])
def test_the_map_is_what_the_family_makes_of_the_spelling(family: str, method: StaticMap) -> None:
    pretrained = tiny(family, num_hidden_layers=1)
    made = respelled(pretrained, method.spelling(pretrained, TO))
    assert made.keys() == {ALL}
    with method.applied(pretrained, TO):
        now = frequency_maps(pretrained.model)[ALL]
    torch.testing.assert_close(now.inv_freq, made[ALL][0], rtol=2e-6, atol=1e-20)
    assert now.temperature == pytest.approx(made[ALL][1], rel=1e-6)


@pytest.mark.parametrize("method", MAPS, ids=named)
def test_the_model_is_as_before_afterwards(method: StaticMap, llama: Pretrained) -> None:
    ids, config = tokens(TRAINED), llama.model.config.to_dict()
    before, held = (
        logits(llama, ids),
        [each.inv_freq.clone() for each in rotary_places(llama.model)],
    )
    with method.applied(llama, TO):
        assert not torch.allclose(logits(llama, ids), before, atol=1e-3)
    assert torch.equal(logits(llama, ids), before)
    assert all(
        torch.equal(each.inv_freq, was)
        for each, was in zip(rotary_places(llama.model), held, strict=True)
    )
    assert llama.model.config.to_dict() == config


def test_positions_divided_by_hand_are_position_interpolation(llama: Pretrained) -> None:
    ids = tokens(TRAINED)
    with PI().applied(llama, TO):
        found = logits(llama, ids)
    by_hand = torch.arange(TRAINED).unsqueeze(0) / (TO / TRAINED)
    torch.testing.assert_close(found, logits(llama, ids, position_ids=by_hand))


def test_drope_gives_every_layer_no_position() -> None:
    """Only the causal mask tells order: in one layer the past may come in any other."""
    ids, single = tokens(16), tiny("llama", num_hidden_layers=1)
    others = torch.cat([ids[:, :-1].flip(1), ids[:, -1:]], 1)

    def change() -> float:
        return float((logits(single, ids) - logits(single, others))[:, -1].abs().max())

    with DroPE().applied(single, TO):
        assert change() < 1e-4
    assert change() > 1e-2


def test_the_critical_base_finishes_as_many_turns(llama: Pretrained) -> None:
    """Its own base: the pair that just turns once within L does so within the new length."""
    base = llama.model.config.rope_parameters["rope_theta"]
    new = AdjustedBase().spelling(llama, TO)["rope_parameters"]["rope_theta"]
    exponent = math.log(TRAINED / (2 * math.pi)) / math.log(base)
    assert 2 * math.pi * new**exponent == pytest.approx(TO)


def test_layers_with_a_short_window_stay() -> None:
    pretrained = tiny("gemma3_text")
    before = frequency_maps(pretrained.model)
    changes = Yarn().spelling(pretrained, TO)["rope_parameters"]
    assert (
        changes["sliding_attention"] == pretrained.model.config.rope_parameters["sliding_attention"]
    )
    with Yarn().applied(pretrained, TO):
        now = frequency_maps(pretrained.model)
    assert torch.equal(now["sliding_attention"].inv_freq, before["sliding_attention"].inv_freq)
    made = respelled(pretrained, Yarn().spelling(pretrained, TO))
    torch.testing.assert_close(now["full_attention"].inv_freq, made["full_attention"][0])
    assert now["full_attention"].temperature > 1


def test_a_scaled_map_is_divided_again_and_others_refuse() -> None:
    scaled = tiny("llama", rope_parameters={
        "rope_type": "llama3", "factor": 2.0, "rope_theta": 1e4, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": TRAINED,
    }, max_position_embeddings=2 * TRAINED)  # fmt: skip
    before = frequency_maps(scaled.model)[ALL].inv_freq
    made = respelled(scaled, PI().spelling(scaled, TO))
    torch.testing.assert_close(made[ALL][0], before / 4, rtol=2e-6, atol=0)
    assert "scaled already (llama3)" in (Yarn().refuses(scaled, TO) or "")


def refusals() -> Iterator[tuple[StaticMap, str, dict[str, Any], int, str]]:
    yield PI(), "llama", {}, TRAINED - 1, "less than the 32 that the model was trained on"
    yield Yarn(), "bert", {}, TO, "it knows order by a learned table, not by rotation"
    yield Yarn(), "bloom", {}, TO, "it knows order by slopes of distance (ALiBi), not by rotation"
    yield SearchedLongRoPE([1.0]), "llama", {}, TO, "1 factors for 4 pairs"


@pytest.mark.parametrize(("method", "family", "options", "to", "reason"), [*refusals()])
def test_it_refuses_with_the_reason(
    method: StaticMap, family: str, options: dict[str, Any], to: int, reason: str
) -> None:
    pretrained = tiny(family, **options)
    assert reason in (method.refuses(pretrained, to) or "")
    with (
        pytest.raises(ValueError, match=rf"^{method.name}: ") as error,
        method.applied(pretrained, to),
    ):
        pass
    assert "\n" not in str(error.value)


def test_frequencies_stay_float32_in_half_precision() -> None:
    half = tiny("llama")
    half.model.to(torch.bfloat16)
    whole = tiny("llama")
    with Yarn().applied(half, TO), Yarn().applied(whole, TO):
        now = next(rotary_places(half.model)).inv_freq
        assert now.dtype == torch.float32
        assert now[0] == next(rotary_places(whole.model)).inv_freq[0]


def test_unchanged_changes_nothing(llama: Pretrained) -> None:
    ids = tokens(TO)
    before = logits(llama, ids)
    with Unchanged().applied(llama, TO):
        assert torch.equal(logits(llama, ids), before)
    assert Unchanged().spelling(llama, TO) == {}
    assert "ends after 32" in (Unchanged().refuses(tiny("bert"), TO) or "")
