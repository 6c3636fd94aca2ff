"""Models are read from a folder, a GGUF file or the hub's cache, and nothing of them runs."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc.data.text.vocabulary import read_tokenizer
from lightning_posenc.pretrained.frequencies import ALL, frequency_maps
from lightning_posenc.pretrained.reading import Pretrained, read
from lightning_posenc.runs.gguf_header import gguf_header
from tests.pretrained.tiny import saved, shared, tiny

pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(
        shared("llama", "AutoModelForCausalLM"), tmp_path_factory.mktemp("llama"), tokenizer=True
    )


@pytest.mark.parametrize(
    ("family", "head", "kind"),
    [
        ("llama", "AutoModelForCausalLM", "causal"),
        ("gpt2", "AutoModelForCausalLM", "causal"),
        ("bert", "AutoModelForMaskedLM", "masked"),
        ("modernbert", "AutoModelForMaskedLM", "masked"),
        ("bloom", "AutoModelForCausalLM", "causal"),
        ("t5", "AutoModelForSeq2SeqLM", "seq2seq"),
        ("vit", "AutoModelForImageClassification", "image"),
    ],
)
def test_a_folder_is_read_back(family: str, head: str, kind: str, tmp_path: Path) -> None:
    model = shared(family, head)
    found = read(saved(model, tmp_path))
    assert (found.kind, found.has_head, found.tokenizer) == (kind, True, None)
    assert "no tokenizer" in found.no_tokenizer
    assert type(found.model) is type(model)
    assert not found.model.training
    for (name, mine), theirs in zip(
        model.named_parameters(), found.model.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs), name


def test_a_head_is_wanted_taken_or_left_out(tmp_path: Path) -> None:
    headless = saved(shared("llama"), tmp_path / "headless")
    with pytest.raises(ValueError, match=r"weights are missing: lm_head\.weight"):
        read(headless)
    assert not read(headless, head=None).has_head
    whole = saved(shared("llama", "AutoModelForCausalLM"), tmp_path / "whole")
    bare = read(whole, head=False)
    assert (type(bare.model).__name__, bare.has_head) == ("LlamaModel", False)


def test_tokenizer_and_config_come_along(llama: Path) -> None:
    found = read(llama)
    assert found.tokenizer("w3 w7")["input_ids"] == [3, 7]
    assert found.config.max_position_embeddings == 64
    assert found.name == str(llama)
    assert found.contents is not None
    assert found.contents.written["hidden_size"] == 16


def test_a_broken_tokenizer_does_not_hide_the_model(llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llama, tmp_path / "folder")
    (folder / "tokenizer.json").write_text("{")
    found = read(folder)
    assert found.tokenizer is None
    assert "cannot be read" in found.no_tokenizer


def test_weights_in_several_files(tmp_path: Path) -> None:
    shared("llama", "AutoModelForCausalLM").save_pretrained(tmp_path, max_shard_size="5KB")
    assert not (tmp_path / "model.safetensors").exists()
    assert isinstance(read(tmp_path), Pretrained)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_frequencies_stay_float32_in_any_type(llama: Path, dtype: str) -> None:
    """Pitfall: `.to(bfloat16)` casts them; loading in that type does not."""
    found = read(llama, dtype=dtype)
    assert found.model.dtype == getattr(torch, dtype)
    inner = found.model.model.rotary_emb
    assert inner.inv_freq.dtype == torch.float32
    assert torch.equal(inner.inv_freq, shared("llama").rotary_emb.inv_freq)


def test_options_that_are_none(llama: Path) -> None:
    with pytest.raises(ValueError, match="read: device='warp' must be a device of this machine"):
        read(llama, device="warp")
    with pytest.raises(ValueError, match="read: dtype='int8' must be one of"):
        read(llama, dtype="int8")  # type: ignore[arg-type]
    assert read(llama, device="auto").device.type in ("cpu", "cuda")


def test_attention_is_the_fused_one_unless_asked(llama: Path) -> None:
    assert read(llama).model.config._attn_implementation == "sdpa"
    assert read(llama, attention="eager").model.config._attn_implementation == "eager"


# What is wrong with a folder ------------------------------------------------------------------


def changed(**options: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **options}))

    return change


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "pickled": (pickled, r"pickled \(pytorch_model.bin\), which can run code"),
    "adapter": (lambda f: (f / "adapter_config.json").write_text("{}"), "merge the adapter"),
    "quantised": (changed(quantization_config={"quant_method": "gptq"}), "quantised"),
    "endless": (changed(max_position_embeddings=10**12), "lengths end at"),
    "unknown": (changed(model_type="unheard_of"), "not a model that can be read"),
    "rope type": (changed(rope_parameters={"rope_type": "magic"}), "not a model that can be read"),
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json there"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_one_line(kind: str, llama: Path, tmp_path: Path) -> None:
    change, why = WRONG[kind]
    folder = shutil.copytree(llama, tmp_path / "folder")
    change(folder)
    with pytest.raises(ValueError, match=why) as error:
        read(folder)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{folder}: ")


def test_attention_code_named_by_a_config_is_not_loaded(llama: Path, tmp_path: Path) -> None:
    """A config may name a kernel of the hub, which is code, as its attention."""
    folder = shutil.copytree(llama, tmp_path / "folder")
    changed(_attn_implementation="owner/kernel", attn_implementation="owner/kernel")(folder)
    assert read(folder).model.config._attn_implementation == "sdpa"


# The hub --------------------------------------------------------------------------------------


def test_the_hub_is_left_alone_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="HF_HUB_OFFLINE is set, and the cache does not hold it"):
        read("owner/model")
    with pytest.raises(ValueError, match="on the hub a name is owner/name"):
        read("model")


def test_a_name_of_the_hub_is_a_folder_of_the_cache(
    monkeypatch: pytest.MonkeyPatch, llama: Path
) -> None:
    import huggingface_hub

    asked: dict[str, Any] = {}

    def snapshot(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        return str(llama)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert read("owner/model").name == "owner/model"
    assert asked["name"] == "owner/model"
    assert not any(pattern.endswith((".py", ".bin", "*")) for pattern in asked["allow_patterns"])


# GGUF -----------------------------------------------------------------------------------------


def gguf_of(model: Any, path: Path, **values: Any) -> Path:
    """A Llama in the format of llama.cpp."""
    gguf = pytest.importorskip("gguf")
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_array("a.list", [1, 2, 3])
    for key, value in values.items():
        getattr(writer, key)(value)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weight in model.state_dict().items():
        path_of, _, leaf = name.rpartition(".")
        data = weight
        if ".q_proj" in name or ".k_proj" in name:  # llama.cpp pairs neighbouring channels
            heads = config.num_attention_heads
            data = weight.view(heads, 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape)
        writer.add_tensor(f"{names.get_name(path_of)}.{leaf}", data.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_file_is_read(tmp_path: Path) -> None:
    model = shared("llama", "AutoModelForCausalLM")
    path = gguf_of(model, tmp_path / "model.gguf")
    tokens = torch.arange(20)[None]
    for found in (read(path), read(tmp_path, gguf_file="model.gguf"), read(tmp_path)):
        with torch.no_grad():
            torch.testing.assert_close(
                found.model(input_ids=tokens).logits, model(input_ids=tokens).logits
            )
    header = gguf_header(path)
    assert header.values["llama.context_length"] == 64
    assert header.shapes["token_embd.weight"] == [16, 50]
    assert "a.list" not in header.values


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(share * len(data))]


def endless_array(data: bytes) -> bytes:
    key = b"a.list"
    at = data.index(key) + len(key) + 8  # behind the key: type of the value, type of its members
    return data[:at] + struct.pack("<Q", 2**60) + data[at + 8 :]


@pytest.mark.parametrize(
    "spoil",
    [cut(0), cut(0.01), cut(0.05), lambda data: b"GGML" + data[4:], endless_array,
     lambda data: data[:8] + struct.pack("<Q", 2**60) + data[16:],
     lambda data: data[:16] + struct.pack("<Q", 2**60) + data[24:]],
    ids=["empty", "stump", "cut", "other format", "endless array", "endless weights",
         "endless values"],
)  # fmt: skip
def test_a_broken_gguf_file_is_one_line(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = gguf_of(shared("llama", "AutoModelForCausalLM"), tmp_path / "model.gguf")
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=r"model\.gguf: no whole GGUF file") as error:
        read(path)
    assert "\n" not in str(error.value)
    said = r"data\.vocabulary=\S+model\.gguf holds no tokenizer: model\.gguf: no whole GGUF file"
    with pytest.raises(ValueError, match=said):
        read_tokenizer(path)


def test_a_gguf_file_without_its_last_weights(tmp_path: Path) -> None:
    path = gguf_of(shared("llama", "AutoModelForCausalLM"), tmp_path / "model.gguf")
    path.write_bytes(cut(0.9)(path.read_bytes()))
    with pytest.raises(ValueError, match="not a model that can be read") as error:
        read(path)
    assert "\n" not in str(error.value)


def test_gguf_files_to_choose_from(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match="one of its 2 gguf files as gguf_file"):
        read(tmp_path)
    with pytest.raises(ValueError, match="must be the name of a file in that folder"):
        read(tmp_path, gguf_file="../a.gguf")


def test_maps_survive_saving(tmp_path: Path) -> None:
    yarn = {
        "rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0,
        "original_max_position_embeddings": 16,
    }  # fmt: skip
    model = tiny("llama", "AutoModelForCausalLM", rope_parameters=yarn)
    before, after = (
        frequency_maps(model)[ALL],
        frequency_maps(read(saved(model, tmp_path)).model)[ALL],
    )
    assert torch.equal(before.inv_freq, after.inv_freq)
    assert before.temperature == after.temperature != 1
    assert after.spelling == before.spelling
