"""How each family knows order is read from the model that it makes."""

from typing import Any

import pytest
import torch

from lightning_posenc.pretrained.frequencies import ALL
from lightning_posenc.pretrained.where_positions import (
    Buckets,
    InRotation,
    InTable,
    Slopes,
    Unknown,
    what_positions,
)
from tests.pretrained.tiny import shared, tiny

pytest.importorskip("transformers")


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen3", "phi3", "gpt_neox"])
def test_rotary_families(family: str) -> None:
    found = what_positions(shared(family))
    assert isinstance(found, InRotation)
    assert (found.trained_length, found.inferred_from) == (64, "max_position_embeddings=64")
    assert list(found.maps) == [ALL]
    base = found.maps[ALL].base
    assert base is not None
    n = 1 if family == "gpt_neox" else 4  # a quarter of its 8 channels turns
    exact = base ** (-torch.arange(n, dtype=torch.float64) / n)
    torch.testing.assert_close(found.maps[ALL].inv_freq.double(), exact, rtol=1e-6, atol=0)
    assert found.without == ()


@pytest.mark.parametrize("family", ["gemma3_text", "modernbert"])
def test_layer_types_have_maps_of_their_own(family: str) -> None:
    found = what_positions(shared(family))
    assert isinstance(found, InRotation)
    assert set(found.maps) == {"full_attention", "sliding_attention"}
    bases = {key: each.base for key, each in found.maps.items()}
    assert bases["sliding_attention"] == 10_000
    assert bases["full_attention"] != bases["sliding_attention"]


def test_layers_without_position_are_named() -> None:
    found = what_positions(shared("smollm3"))
    assert isinstance(found, InRotation)
    assert found.without == (1,)


@pytest.mark.parametrize(
    ("family", "name", "rows", "offset", "trained"),
    [
        ("gpt2", "wpe.weight", 64, 0, 64),
        ("opt", "decoder.embed_positions.weight", 66, 2, 64),
        ("bert", "embeddings.position_embeddings.weight", 64, 0, 64),
        ("roberta", "embeddings.position_embeddings.weight", 64, 3, 61),
        ("vit", "embeddings.position_embeddings", 17, 1, 16),
        ("deit", "embeddings.position_embeddings", 18, 2, 16),
    ],
)
def test_learned_tables(family: str, name: str, rows: int, offset: int, trained: int) -> None:
    model = shared(family)
    found = what_positions(model)
    assert isinstance(found, InTable)
    assert (found.names, found.rows, found.offset) == ((name,), rows, offset)
    assert found.trained_length == trained
    assert found.grid == ((4, 4) if family in ("vit", "deit") else None)
    assert model.get_parameter(name).shape[-2] == rows


@pytest.mark.parametrize("family", ["gpt2", "opt", "bert", "roberta"])
def test_the_first_position_reads_the_row_after_the_offset(family: str) -> None:
    """Whatever is written into that row, and only into it, moves the first token's state."""
    model = tiny(family)
    found = what_positions(model)
    assert isinstance(found, InTable)
    tokens = torch.full((1, 4), 7)

    def states() -> torch.Tensor:
        with torch.no_grad():
            return model(input_ids=tokens).last_hidden_state[0]

    def change(row: int) -> torch.Tensor:
        table = model.get_parameter(found.names[0])
        kept = table[row].detach().clone()
        before = states()
        with torch.no_grad():
            table[row] += torch.linspace(-2, 2, table.shape[1])
        after = states()
        with torch.no_grad():
            table[row] = kept
        return (after - before).abs().amax(-1)

    assert change(found.offset)[0] > 0.1
    assert change(found.offset + 4).max() == 0  # of a fifth token, which is not there
    if found.offset:
        assert change(found.offset - 1).max() == 0


@pytest.mark.parametrize(
    ("family", "n_heads"), [("bloom", 6), ("bloom", 4), ("mpt", 6), ("falcon", 6)]
)
def test_slopes_are_those_of_the_model(family: str, n_heads: int) -> None:
    """Against the library's own functions."""
    import transformers.models.bloom.modeling_bloom as bloom
    import transformers.models.mpt.modeling_mpt as mpt

    heads = {"mpt": {"n_heads": n_heads, "d_model": 24}}.get(
        family, {"num_attention_heads": n_heads, "hidden_size": 24}
    )
    found = what_positions(tiny(family, **heads))
    assert isinstance(found, Slopes)
    if family == "mpt":
        bias = mpt.build_mpt_alibi_tensor(n_heads, 8)[:, 0]
    else:
        bias = bloom.build_alibi_tensor(torch.ones(1, 8), n_heads, torch.float32)[:, 0]
    torch.testing.assert_close(found.slopes, bias[:, -1] - bias[:, -2])
    assert found.trained_length == (None if family == "bloom" else 64)


def test_both_sides_of_t5() -> None:
    model = shared("t5")
    found = what_positions(model)
    assert isinstance(found, Buckets)
    both_ways = {name.split(".")[0]: both for name, (_, both) in found.tables.items()}
    assert both_ways == {"encoder": True, "decoder": False}
    assert all(farthest == 128 for farthest, _ in found.tables.values())
    assert all(model.get_parameter(name).shape == (32, 2) for name in found.tables)
    assert found.trained_length is None


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("gptj", "a table that the family makes at base 10000"),
        ("codegen", "a table that the family makes at base 10000"),
        ("esm", "hard-coded in EsmRotaryEmbedding"),
    ],
)
def test_what_is_hard_coded_is_said(family: str, reason: str) -> None:
    found = what_positions(shared(family))
    assert isinstance(found, Unknown)
    assert reason in found.reason
    assert found.trained_length == 64


@pytest.mark.parametrize(
    ("parameters", "options", "length", "said"),
    [
        ({"rope_type": "linear", "factor": 4.0}, {}, 16, "divided by factor=4 of linear"),
        (
            {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
            {}, 16, "original_max_position_embeddings=16 of yarn",
        ),
        ({"rope_type": "dynamic", "factor": 4.0}, {}, 64, "max_position_embeddings=64"),
    ],
)  # fmt: skip
def test_the_trained_length_is_before_any_scaling(
    parameters: dict[str, Any], options: dict[str, Any], length: int, said: str
) -> None:
    model = tiny("llama", rope_parameters={"rope_theta": 10000.0, **parameters}, **options)
    found = what_positions(model)
    assert found.trained_length == length
    assert said in found.inferred_from
