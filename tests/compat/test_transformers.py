"""What `lightning_posenc.compat.transformers` relies on of the library is still so."""

import re
from pathlib import Path

import pytest
import torch

from lightning_posenc.compat import transformers as compat
from tests.pretrained.tiny import shared, tiny

transformers = pytest.importorskip("transformers")
FAMILIES = Path(transformers.__file__).parent / "models"


def test_families_whose_config_decides_hold_their_maps_alike() -> None:
    """By the sources, since to make a model of each would take minutes."""
    n = 0
    for path in FAMILIES.glob("*/modeling_*.py"):
        source = path.read_text("utf-8")
        if "ROPE_INIT_FUNCTIONS" not in source:
            continue
        n += 1
        assert "self.rope_type" in source, path.name
        names = set(re.findall(r"self\.(\w*inv_freq) = nn\.Buffer", source))
        names |= set(re.findall(r"setattr\(self, f\"\{(\w+)\}_inv_freq\"", source))
        assert names <= {"inv_freq", "original_inv_freq", "layer_type"}, (path.name, names)
    assert n > 150


def test_a_place_is_read_put_and_left() -> None:
    (place,) = compat.rotary_places(tiny("llama"))
    assert (place.path, place.layer_type, place.rope_type) == ("rotary_emb", None, "default")
    before = place.inv_freq
    undo = place.put(torch.ones(4), 2.0)
    assert torch.equal(place.inv_freq, torch.ones(4))
    assert place.temperature == 2.0
    undo()
    assert place.inv_freq is before
    assert place.temperature == 1.0


def test_places_of_layer_types() -> None:
    places = list(compat.rotary_places(tiny("gemma3_text")))
    assert {each.layer_type for each in places} == {"full_attention", "sliding_attention"}
    undo = places[0].put(torch.ones(4), 2.0)
    assert places[1].temperature == 1.0
    assert places[1].rope_type == "default"
    undo()


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt_neox", "modernbert", "phi3"])
def test_a_map_is_made_anew_from_the_config(family: str) -> None:
    for place in compat.rotary_places(shared(family)):
        inv_freq, temperature = place.recomputed()
        assert torch.equal(inv_freq, place.original)
        assert temperature == place.temperature
        configured = compat.configured_frequencies(place)
        assert configured is not None
        assert torch.equal(configured, inv_freq)


def test_partners_are_told_by_what_a_family_does() -> None:
    assert compat.rotary_layout(shared("llama")) == "half"
    assert compat.rotary_layout(tiny("glm")) == "interleaved"
    assert compat.rotary_layout(shared("esm")) is None


def test_what_no_config_decides_is_seen() -> None:
    assert compat.hard_coded_rotation(shared("esm")) == "EsmRotaryEmbedding"
    assert compat.hard_coded_rotation(shared("llama")) is None
    assert list(compat.rotary_places(shared("esm"))) == []


def test_a_family_says_whether_its_attention_can_be_fused() -> None:
    assert compat.supports_sdpa(type(shared("llama")))
    assert not compat.supports_sdpa(type(shared("mpt")))
