"""Maps of frequencies: read from a loaded model, put in place, and explained."""

import math
from typing import Any

import pytest
import torch

from lightning_posenc.pretrained.frequencies import (
    ALL,
    FrequencyMap,
    frequency_maps,
    turned,
    unfinished,
)
from lightning_posenc.pretrained.implied import implied
from tests.pretrained.tiny import shared, tiny

pytest.importorskip("transformers")
YARN = {
    "rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0,
    "original_max_position_embeddings": 256,
}  # fmt: skip
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 4.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 256,
}  # fmt: skip


def logits(model: Any, n_tokens: int = 12) -> torch.Tensor:
    tokens = torch.arange(n_tokens)[None] % 50
    with torch.no_grad():
        return model(input_ids=tokens).last_hidden_state


def wide(**parameters: Any) -> Any:
    """64 channels a head, so that there are pairs on a ramp."""
    return tiny("llama", hidden_size=128, rope_parameters=parameters, max_position_embeddings=1024)


def test_unfinished_turns() -> None:
    theta = torch.tensor([1.0, 2 * math.pi / 100, 2 * math.pi / 101, 1e-4, 0.0])
    assert unfinished(FrequencyMap(theta), 100) == [2, 3]
    assert unfinished(FrequencyMap(theta), 10**6) == []


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "gemma3_text", "modernbert"])
def test_turned_turns_and_turns_back(family: str) -> None:
    """Another model's map gives that model's outputs, the weights being the same."""
    parameters = {"rope_type": "linear", "rope_theta": 500.0, "factor": 3.0}
    keys = list(frequency_maps(shared(family)))
    if keys != [ALL]:
        parameters = dict.fromkeys(keys, parameters)
    if family == "gpt_neox":
        parameters["partial_rotary_factor"] = 0.25
    wanted = tiny(family, rope_parameters=parameters)
    model = tiny(family)
    before, expected = logits(model), logits(wanted)
    assert (before - expected).abs().max() > 1e-6
    with turned(model, frequency_maps(wanted)):
        assert torch.equal(logits(model), expected)
    assert torch.equal(logits(model), before)


def test_a_map_in_place_is_fixed_and_float32() -> None:
    """A dynamic map would be made anew at a longer sequence; half precision would round it."""
    model = tiny(
        "llama", rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}
    )
    model = model.to(torch.bfloat16)
    mine = FrequencyMap(torch.tensor([1.0, 0.1234567, 0.0123456, 0.001234]), temperature=1.25)
    with turned(model, mine):
        logits(model, 100)
        found = frequency_maps(model)[ALL]
        assert torch.equal(found.inv_freq, mine.inv_freq)
        assert found.temperature == 1.25
    assert frequency_maps(model)[ALL].temperature == 1.0
    logits(model, 100)  # longer than 64: dynamic again
    assert not torch.equal(frequency_maps(model)[ALL].inv_freq, mine.inv_freq)


def test_what_cannot_be_turned() -> None:
    with (
        pytest.raises(ValueError, match="no map of frequencies"),
        turned(shared("gpt2"), FrequencyMap(torch.ones(4))),
    ):
        pass
    with (
        pytest.raises(ValueError, match=r"shape \(3,\) for 4 pairs"),
        turned(shared("llama"), FrequencyMap(torch.ones(3))),
    ):
        pass
    with (
        pytest.raises(ValueError, match="no layers of type nonsense"),
        turned(shared("llama"), {"nonsense": FrequencyMap(torch.ones(4))}),
    ):
        pass


@pytest.mark.parametrize(
    ("parameters", "scaling", "factor", "length"),
    [
        ({"rope_type": "default"}, "none", 1.0, None),
        ({"rope_type": "linear", "factor": 8.0}, "linear", 8.0, None),
        (YARN, "by parts", 4.0, 256),
        (LLAMA3, "by parts", 4.0, 256),
        ({"rope_type": "proportional", "partial_rotary_factor": 0.25}, "none", 1.0, None),
        ({"rope_type": "proportional", "partial_rotary_factor": 0.0}, "no rotation", None, None),
    ],
    ids=lambda x: x.get("rope_type") if isinstance(x, dict) else None,
)
def test_what_a_map_implies(
    parameters: dict[str, Any], scaling: str, factor: float | None, length: int | None
) -> None:
    """The numbers alone, made by the library, tell the scaling and, by parts, the length."""
    found = implied(frequency_maps(wide(**{"rope_theta": 10_000.0, **parameters}))[ALL])
    assert found.scaling == scaling
    assert found.factor == (None if factor is None else pytest.approx(factor, rel=1e-3))
    assert "\n" not in found.sentence
    if length is None:
        assert found.trained_length is None
    else:  # yarn rounds its range to whole pairs
        assert found.trained_length == pytest.approx(length, rel=0.35)


@pytest.mark.parametrize("factor", [2.0, 4.0, 16.0])
def test_another_base_is_told_from_position_interpolation(factor: float) -> None:
    theta = 10_000.0 ** (-torch.arange(32) / 32)
    base = 10_000.0 * factor ** (32 / 31)  # NTK-aware: the slowest pair as in interpolation
    ntk = base ** (-torch.arange(32) / 32)
    found = implied(FrequencyMap(ntk, base=10_000.0))
    assert found.scaling == "base"
    assert found.base == pytest.approx(base, rel=1e-3)
    assert found.factor == pytest.approx(factor, rel=1e-3)
    assert implied(FrequencyMap(theta / factor, base=10_000.0)).scaling == "linear"
    assert implied(FrequencyMap(theta.bfloat16().float(), base=10_000.0)).scaling == "none"


def test_a_map_of_its_own_is_called_so() -> None:
    theta = 10_000.0 ** (-torch.arange(32) / 32)
    theta[10] *= 0.5
    assert implied(FrequencyMap(theta, base=10_000.0)).scaling == "other"
