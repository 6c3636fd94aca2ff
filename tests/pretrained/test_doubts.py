"""Was my scaling applied? Each pitfall of Hugging Face's spelling is said for a folder alone."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc.pretrained.doubts import Doubt, doubts
from lightning_posenc.pretrained.frequencies import ALL, FrequencyMap, frequency_maps, turned
from lightning_posenc.pretrained.reading import read
from lightning_posenc.pretrained.telling import scaling_applied, told
from lightning_posenc.pretrained.where_positions import InRotation, what_positions
from tests.pretrained.test_reading import gguf_of
from tests.pretrained.tiny import saved, shared, tiny

transformers = pytest.importorskip("transformers")
HEAD = "AutoModelForCausalLM"


def written(folder: Path, leave_out: tuple[str, ...] = (), **options: Any) -> Path:
    """Change what a folder's config says."""
    config = json.loads((folder / "config.json").read_text())
    config = {key: value for key, value in config.items() if key not in leave_out}
    (folder / "config.json").write_text(json.dumps({**config, **options}))
    return folder


def plain(tmp_path: Path, family: str = "llama") -> Path:
    return saved(shared(family, HEAD), tmp_path / family)


def found(folder: Path) -> list[Doubt]:
    pretrained = read(folder)
    return doubts(pretrained.model, pretrained.contents)


def rope(**parameters: Any) -> dict[str, Any]:
    return {"rope_theta": 10_000.0, **parameters}


@pytest.mark.parametrize(
    "family", ["llama", "gpt_neox", "qwen3", "phi3", "gemma3_text", "gpt2", "opt", "bloom"]
)
def test_nothing_is_doubted_of_a_healthy_folder(family: str, tmp_path: Path) -> None:
    assert found(plain(tmp_path, family)) == []


@pytest.mark.parametrize("kind", ["linear", "yarn", "llama3", "dynamic", "longrope"])
def test_a_scaling_that_is_applied_is_not_doubted(kind: str, tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "linear": {},
        "yarn": {"original_max_position_embeddings": 16},
        "llama3": {
            "original_max_position_embeddings": 16, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        },
        "dynamic": {},
        "longrope": {
            "original_max_position_embeddings": 16, "short_factor": [1.0] * 4,
            "long_factor": [1.0, 2.0, 3.0, 4.0],
        },
    }[kind]  # fmt: skip
    model = tiny("llama", HEAD, rope_parameters=rope(rope_type=kind, factor=4.0, **more))
    assert {each.grade for each in found(saved(model, tmp_path))} <= {"note"}


def test_a_scaling_that_the_library_does_not_read(tmp_path: Path) -> None:
    """Under a name of its own, nothing fails and nothing is scaled."""
    scaling = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
    (doubt,) = found(written(plain(tmp_path), rope_extension=scaling))
    assert (doubt.grade, doubt.name) == ("ill", "scaling configured, and not applied")
    assert "config.json names yarn by 4, and every map is RoPE's own" in doubt.sentence


def test_a_scaling_in_a_family_that_reads_none(tmp_path: Path) -> None:
    folder = saved(tiny("gptj", HEAD), tmp_path)
    (doubt,) = found(written(folder, rope_scaling={"type": "linear", "factor": 2.0}))
    assert "and the family reads none" in doubt.sentence


def test_a_config_changed_after_loading_changes_nothing() -> None:
    model = tiny("llama", HEAD)
    before = frequency_maps(model)[ALL].inv_freq
    model.config.rope_parameters = rope(rope_type="linear", factor=4.0)
    assert torch.equal(frequency_maps(model)[ALL].inv_freq, before)
    (doubt,) = doubts(model)
    assert (doubt.grade, doubt.name) == ("ill", "config and map differ")
    assert "the config says linear by 4, and the model turns otherwise" in doubt.sentence


def test_parameters_without_a_base_are_an_error_of_the_library(tmp_path: Path) -> None:
    """A spelling that is read from a model names its base, and so is taken."""
    folder = plain(tmp_path)
    load = transformers.AutoModelForCausalLM.from_pretrained
    with pytest.raises(TypeError):
        load(folder, rope_parameters={"rope_type": "linear", "factor": 4.0})
    spelling = frequency_maps(tiny("llama", rope_parameters=rope(rope_type="linear", factor=4.0)))
    model = load(folder, rope_parameters=dict(spelling[ALL].spelling))
    assert torch.equal(frequency_maps(model)[ALL].inv_freq, spelling[ALL].inv_freq)


def test_yarn_without_its_trained_length_takes_the_raised_one(tmp_path: Path) -> None:
    folder = written(
        plain(tmp_path), max_position_embeddings=256, leave_out=("rope_parameters",),
        rope_scaling={"rope_type": "yarn", "factor": 4.0},
    )  # fmt: skip
    positions = what_positions(read(folder).model)
    assert positions.trained_length == 256  # and not 64
    (doubt,) = [each for each in found(folder) if each.name == "no trained length named"]
    assert doubt.grade == "watch"
    assert "takes max_position_embeddings=256" in doubt.sentence


def test_a_raised_length_turns_dynamic_off(tmp_path: Path) -> None:
    dynamic = rope(rope_type="dynamic", factor=4.0)
    model = tiny("llama", HEAD, rope_parameters=dynamic)
    tokens = torch.arange(128)[None] % 50
    raised = tiny("llama", HEAD, rope_parameters=dynamic, max_position_embeddings=256)
    for each in (model, raised):
        with torch.no_grad():
            each(input_ids=tokens)
    unscaled = frequency_maps(shared("llama"))[ALL].inv_freq
    assert not torch.equal(frequency_maps(model)[ALL].inv_freq, unscaled)
    assert torch.equal(frequency_maps(raised)[ALL].inv_freq, unscaled)
    (note,) = found(saved(raised, tmp_path))
    assert note.grade == "note"
    assert "does nothing up to max_position_embeddings=256" in note.sentence


def test_half_precision_rounds_the_frequencies() -> None:
    model = tiny("llama", HEAD, max_position_embeddings=4096).to(torch.bfloat16)
    (doubt,) = doubts(model)
    assert (doubt.grade, doubt.name) == ("ill", "frequencies in half precision")
    assert "inv_freq is rounded to bfloat16" in doubt.sentence
    short = tiny("llama", HEAD, max_position_embeddings=64).to(torch.float16)
    assert [each.grade for each in doubts(short)] == ["watch"]


def test_nested_yarn_does_not_read_truncate(tmp_path: Path) -> None:
    def gemma(truncate: bool) -> Any:
        yarn = rope(
            rope_type="yarn", factor=4.0, original_max_position_embeddings=16, truncate=truncate
        )
        both = {"full_attention": yarn, "sliding_attention": rope(rope_type="default")}
        return tiny("gemma3_text", HEAD, rope_parameters=both, head_dim=64)

    a, b = (frequency_maps(gemma(each))["full_attention"].inv_freq for each in (True, False))
    assert torch.equal(a, b)
    names = {each.name for each in found(saved(gemma(False), tmp_path))}
    assert names == {"truncate is ignored"}


def test_a_gguf_file_loses_its_scaling(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    path = gguf_of(
        shared("llama", HEAD), tmp_path / "yarn.gguf",
        add_rope_scaling_type=gguf.RopeScalingType.YARN, add_rope_scaling_factor=4.0,
        add_rope_scaling_orig_ctx_len=16,
    )  # fmt: skip
    (doubt,) = found(path)
    assert doubt.name == "scaling configured, and not applied"
    assert "the GGUF file names yarn by 4" in doubt.sentence
    assert found(gguf_of(shared("llama", HEAD), tmp_path / "plain.gguf")) == []


def test_longrope_turns_the_whole_batch_by_its_longest(tmp_path: Path) -> None:
    parameters = rope(
        rope_type="longrope", short_factor=[1.0] * 4, long_factor=[1.0, 2.0, 3.0, 4.0], factor=4.0,
        original_max_position_embeddings=16,
    )  # fmt: skip
    model = tiny("llama", HEAD, rope_parameters=parameters)
    tokens = torch.arange(20)[None] % 50
    with torch.no_grad():
        model(input_ids=tokens[:, :16])
        short = frequency_maps(model)[ALL].inv_freq
        model(input_ids=tokens)
        long = frequency_maps(model)[ALL].inv_freq
    assert torch.equal(short, frequency_maps(shared("llama"))[ALL].inv_freq)
    assert not torch.equal(short, long)
    (note,) = found(saved(model, tmp_path))
    assert (note.grade, note.name) == ("note", "two maps")


def test_a_factor_that_is_not_the_ratio_of_lengths(tmp_path: Path) -> None:
    parameters = rope(rope_type="yarn", factor=8.0, original_max_position_embeddings=16)
    (doubt,) = found(saved(tiny("llama", HEAD, rope_parameters=parameters), tmp_path))
    assert doubt.name == "factor against lengths"
    assert "= 4" in doubt.sentence


def test_phi3_keeps_its_trained_length_outside_which_wins(tmp_path: Path) -> None:
    parameters = rope(
        rope_type="longrope", short_factor=[1.0] * 4, long_factor=[2.0] * 4,
        original_max_position_embeddings=16,
    )  # fmt: skip
    folder = saved(
        tiny("phi3", HEAD, rope_parameters=parameters, original_max_position_embeddings=16),
        tmp_path,
    )
    config = json.loads((folder / "config.json").read_text())
    inside = {**config["rope_parameters"], "original_max_position_embeddings": 48}
    written(folder, rope_parameters=inside)
    model = read(folder).model
    positions = what_positions(model)
    assert positions.trained_length == 16
    assert "which wins" in positions.inferred_from
    (doubt,) = [each for each in found(folder) if each.name == "two trained lengths"]
    assert "=16 beside rope_parameters wins over 48" in doubt.sentence


# What is told -----------------------------------------------------------------------------------


def test_what_is_told_of_a_map() -> None:
    model = tiny(
        "llama", hidden_size=128, max_position_embeddings=1024,
        rope_parameters=rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=256),
    )  # fmt: skip
    kind, shown, slow, trained = (each.sentence for each in told(what_positions(model)))
    assert kind.startswith("rotary, yarn by 4, base 10,000, 32 pairs, a turn takes 6.28 to ")
    assert "q and k times 1.139" in kind
    assert "slow pairs 4 times slower" in shown
    assert "made for a trained length of about 2" in shown
    assert slow == "22 of 32 in 256 tokens: 10-31"
    assert trained == "256 tokens (original_max_position_embeddings=256 of yarn)"


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("gpt2", "learned table wpe.weight: 64 rows, the first position reads row 0"),
        ("opt", "66 rows, the first position reads row 2"),
        ("bloom", "ALiBi: 2 heads, slopes 0.00391 to 0.0625"),
        ("t5", "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight (the past"),
        ("esm", "not changed from outside: its frequencies are hard-coded"),
        ("smollm3", "layers without position: 1"),
        ("gemma3_text", "encoding (sliding_attention): rotary, default, base 10,000, 4 pairs"),
    ],
)
def test_what_is_told_of_each_way(family: str, said: str) -> None:
    assert any(said in ": ".join(each) for each in told(what_positions(shared(family))))


def test_what_is_told_of_a_map_put_in_place() -> None:
    model = tiny("llama")
    with turned(model, FrequencyMap(torch.zeros(4))):
        positions = what_positions(model)
        assert isinstance(positions, InRotation)
        shown = ("the map shows", "no pair turns: layers without position")
        assert shown in told(positions)


def applied(folder: Path) -> str | None:
    pretrained = read(folder)
    return scaling_applied(
        what_positions(pretrained.model), doubts(pretrained.model, pretrained.contents)
    )


def test_was_my_scaling_applied(tmp_path: Path) -> None:
    folder = plain(tmp_path)
    assert applied(folder) == "its config names no scaling, and the map has none"
    yarn = rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16)
    assert applied(written(folder, rope_parameters=yarn)) == "yes: yarn by 4"
    dynamic = rope(rope_type="dynamic", factor=4.0)
    said = applied(written(folder, rope_parameters=dynamic))
    assert said is not None
    assert said.startswith("dynamic changes the map beyond")
    written(folder, ("rope_parameters",), rope_theta=10_000.0, rope_scaling_config=yarn)
    said = applied(folder)
    assert said is not None
    assert said.startswith("no: config.json names yarn by 4")
    assert applied(plain(tmp_path, "gpt2")) is None
