"""Saved models, read again by Hugging Face itself."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from lightning_posenc.pretrained import saving
from lightning_posenc.pretrained.frequencies import frequency_maps
from lightning_posenc.pretrained.methods import (
    NTK,
    PI,
    AdjustedBase,
    ByPartsNTK,
    ClippedRope,
    DroPE,
    Dynamic,
    Llama3Scaling,
    Method,
    ReRope,
    Resample,
    ResampleBicubic,
    SearchedLongRoPE,
    SlidingWindow,
    Tile,
    Unchanged,
    Yarn,
)
from lightning_posenc.pretrained.reading import Pretrained, read
from tests.pretrained.methods.models import FAMILIES, HEADS, TRAINED, tiny, tokens
from tests.pretrained.test_reading import gguf_of
from tests.pretrained.tiny import word_tokenizer

TO = 4 * TRAINED
FACTORS = [1.0, 1.3, 2.5, 4.0]
CASES: list[tuple[str, Method, int]] = [
    *[
        ("llama", method, TO)
        for method in (
            Unchanged(), PI(), AdjustedBase(), NTK(), Dynamic(), Dynamic(1.0), ByPartsNTK(), Yarn(),
            Llama3Scaling(), SearchedLongRoPE(FACTORS), ClippedRope(), DroPE(),
        )
    ],
    ("gpt_neox", Yarn(), TO),
    ("gpt_neox", DroPE(), TO),
    ("gpt_neox", ClippedRope(), TO),
    ("phi3", SearchedLongRoPE(FACTORS), TO),
    ("gemma3_text", PI(), TO),
    ("gemma3_text", ClippedRope(), TO),
    ("mistral", SlidingWindow(window=9), TO),
    ("bert", Resample(), 2 * TRAINED),
    ("roberta", Tile(), 2 * TRAINED),
    ("opt", ResampleBicubic(), 2 * TRAINED),
    ("gpt2", Tile(), 2 * TRAINED),
    ("deit", ResampleBicubic(antialias=True), 40),
]  # fmt: skip


def inputs(pretrained: Pretrained, to: int) -> dict[str, Tensor]:
    if pretrained.kind == "image":
        return {
            "pixel_values": torch.randn(2, 3, to, to, generator=torch.Generator().manual_seed(1))
        }
    return {"input_ids": tokens(to, 2)}


def logits(model: Any, given: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(**given).logits
    return found


@pytest.mark.parametrize(
    ("family", "method", "to"), CASES, ids=[f"{case[0]}-{case[1].name}" for case in CASES]
)
def test_read_again_it_is_what_was_applied(
    family: str, method: Method, to: int, tmp_path: Path
) -> None:
    pretrained = tiny(family)
    given, config = inputs(pretrained, to), pretrained.model.config.to_dict()
    proof = saving.save(pretrained, method, to, tmp_path / "out", table="| a |\n|---|\n| 1 |")
    assert pretrained.model.config.to_dict() == config
    again = (
        getattr(transformers, HEADS[FAMILIES[family][0]]).from_pretrained(tmp_path / "out").eval()
    )
    with method.applied(pretrained, to):
        torch.testing.assert_close(
            logits(again, given), logits(pretrained.model, given), rtol=1e-3, atol=1e-3
        )
    assert proof.reloaded < 1e-4
    assert proof.frequencies < 1e-6
    assert proof.after.keys() == frequency_maps(again).keys()
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert f"by `{method.name}`" in card
    assert "| 1 |" in card
    assert all(line in card for line in proof.lines())
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"config.json", "model.safetensors", "README.md"} <= written
    assert not [name for name in written if name.endswith((".py", ".bin"))]


@pytest.mark.parametrize(
    ("method", "is_stable"), [(Yarn(), True), (SearchedLongRoPE(FACTORS), True), (Dynamic(), False)]
)
def test_the_proof_tells_what_depends_on_the_length(
    method: Method, is_stable: bool, tmp_path: Path
) -> None:
    proof = saving.save(tiny("llama"), method, TO, tmp_path / "out")
    assert (proof.batch < 1e-4) == is_stable
    assert proof.cached is not None
    assert (proof.cached < 1e-4) == is_stable
    assert any("not the same" in line for line in proof.lines()) != is_stable


def test_a_table_of_512_rows_becomes_one_of_1024(tmp_path: Path) -> None:
    from lightning_posenc.positional.resampling import resampled

    pretrained = tiny("bert", max_position_embeddings=512)
    saving.save(pretrained, Resample(), 1024, tmp_path / "out")
    again = transformers.BertForMaskedLM.from_pretrained(tmp_path / "out").eval()
    table = pretrained.model.bert.embeddings.position_embeddings.weight.detach()
    found = again.bert.embeddings.position_embeddings.weight.detach()
    assert torch.equal(found, resampled(table, 1024))
    assert again.config.max_position_embeddings == 1024
    assert logits(again, {"input_ids": tokens(1024)}).isfinite().all()


@pytest.mark.parametrize("antialias", [False, True])
def test_a_grid_of_14_becomes_one_of_32(antialias: bool, tmp_path: Path) -> None:
    from lightning_posenc.positional.resampling import resampled_grid

    pretrained = tiny("vit")
    saving.save(pretrained, ResampleBicubic(antialias), 64, tmp_path / "out")
    again = transformers.ViTForImageClassification.from_pretrained(tmp_path / "out").eval()
    table = pretrained.model.vit.embeddings.position_embeddings.detach()[0, 1:]
    found = again.vit.embeddings.position_embeddings.detach()[0, 1:]
    made = resampled_grid(table.unflatten(0, (14, 14)), 32, 32, antialias=antialias)
    assert torch.equal(found, made.flatten(0, 1))
    assert again.config.image_size == 64


def test_the_tokenizer_knows_the_new_length(tmp_path: Path) -> None:
    pretrained = tiny("llama")
    pretrained.tokenizer = word_tokenizer()
    pretrained.tokenizer.model_max_length = TRAINED
    saving.save(pretrained, Yarn(), TO, tmp_path / "out")
    assert pretrained.tokenizer.model_max_length == TRAINED
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert again.model_max_length == TO
    assert again("w5 w6")["input_ids"] == [5, 6]


def test_what_cannot_be_saved_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^rerope cannot be saved: it changes how attention"):
        saving.save(tiny("llama"), ReRope(), TO, tmp_path / "out")
    with pytest.raises(ValueError, match=r"^yarn: it knows order by a learned table"):
        saving.save(tiny("bert"), Yarn(), TO, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_taken_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(ValueError, match="is there already: name another folder"):
        saving.save(tiny("llama"), Yarn(), TO, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    saving.save(tiny("llama"), Yarn(), TO, tmp_path / "empty")
    assert (
        json.loads((tmp_path / "empty" / "config.json").read_text())["max_position_embeddings"]
        == TO
    )


class _Misspelled(Yarn):
    """Says another factor than it applies."""

    def spelling(self, pretrained: Pretrained, to: int) -> dict[str, Any]:
        said = super().spelling(pretrained, to)
        said["rope_parameters"]["factor"] = 2.0
        return said


def test_a_checkpoint_that_would_be_wrong_is_not_left_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^yarn: not saved, .* its frequencies differ by"):
        saving.save(tiny("llama"), _Misspelled(), TO, tmp_path / "out")
    assert not list(tmp_path.iterdir())


class _Unsaid(Tile):
    """Applies a table and leaves the config as it was."""

    def spelling(self, pretrained: Pretrained, to: int) -> dict[str, Any]:
        return {}


def test_weights_that_the_config_does_not_go_with_are_not_left_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a model that can be read"):
        saving.save(tiny("bert"), _Unsaid(), TO, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_gguf_file_becomes_a_plain_folder(tmp_path: Path) -> None:
    made = tiny("llama", num_key_value_heads=4, head_dim=None)
    pretrained = read(gguf_of(made.model, tmp_path / "model.gguf"))
    held = vars(pretrained.model)["hf_quantizer"]
    saving.save(pretrained, PI(), TO, tmp_path / "out")
    assert pretrained.model.hf_quantizer is held
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert "quantization_config" not in config
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    given = {"input_ids": tokens(TO)}
    with PI().applied(made, TO):
        torch.testing.assert_close(
            logits(again, given), logits(made.model, given), rtol=1e-3, atol=1e-3
        )


def test_half_precision_is_saved_in_half_precision(tmp_path: Path) -> None:
    pretrained = tiny("llama")
    pretrained.model.to(torch.bfloat16)
    for each in frequency_maps(pretrained.model).values():
        assert each.inv_freq.dtype == torch.float32
    saving.save(pretrained, Yarn(), TO, tmp_path / "out")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert again.dtype == torch.bfloat16
