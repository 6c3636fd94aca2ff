"""Folders that are written, read by transformers, and read back; their tokenizers."""

import json
import math
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc.data.text.byte_pairs import train_bpe
from lightning_posenc.data.text.vocabulary import Bytes, Chars, Subwords, Vocabulary
from lightning_posenc.model import EncoderSpec, Plain, SwiGLU
from lightning_posenc.modules import LanguageModel, SequenceClassifier, TokenClassifier, greedy
from lightning_posenc.positional import ALiBi, Chain, LearnedAbsolute, RoPE, T5Bias
from lightning_posenc.pretrained.conversion import from_pretrained, save_pretrained
from lightning_posenc.pretrained.conversion.proof import largest_difference, probe
from lightning_posenc.pretrained.conversion.tokenizers import tokenizer_of
from tests.pretrained.conversion import ours
from tests.pretrained.conversion.theirs import drawn

transformers = pytest.importorskip("transformers")

TEXT = "Ein kleiner Text,\n\twie er\u00a0im Buche steht: naïve Ā\x00 𝄞 <|pad|>."
SAME = 1e-5


def vocabularies() -> dict[str, Vocabulary]:
    return {
        "bytes": Bytes(),
        "chars": Chars("".join(sorted(set(TEXT)))),
        "bpe": Subwords(train_bpe([TEXT] * 3, 280)),
    }


@pytest.mark.parametrize("name", ["bytes", "chars", "bpe"])
def test_a_tokenizer_reads_as_the_vocabulary_does(name: str, tmp_path: Path) -> None:
    vocabulary = vocabularies()[name]
    text = TEXT.replace("<|pad|>", "pad")  # of which a batch's filling is told apart
    n = vocabulary.size
    tokenizer_of(vocabulary, 64, n, n + 1).save_pretrained(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    if name == "chars":
        text = "".join(c for c in text if c in vocabulary.characters)  # type: ignore[attr-defined]
    ids = vocabulary.encode(text).tolist()
    assert tokenizer(text)["input_ids"] == ids
    assert tokenizer.decode(ids) == vocabulary.decode(ids) == text
    assert (tokenizer.mask_token_id, tokenizer.pad_token_id) == (n, n + 1)
    assert tokenizer.model_max_length == 64
    padded = tokenizer([text, text[:4]], padding=True)
    assert set(padded) == {"input_ids", "attention_mask"}


def test_a_pipeline_says_what_ours_says(tmp_path: Path) -> None:
    vocabulary = Bytes()
    module = LanguageModel(EncoderSpec(32, 4, 2), 256, positional=RoPE)
    drawn(module)
    saved = save_pretrained(module, tmp_path / "out", vocabulary=vocabulary, trained_length=64)
    assert saved.family == "GPT-NeoX"
    assert max(saved.differences.values()) < SAME
    say = transformers.pipeline("text-generation", str(tmp_path / "out"), device="cpu")
    prompt = "An old"
    (found,) = say(prompt, max_new_tokens=8, do_sample=False)
    ids = torch.from_numpy(vocabulary.encode(prompt)).long()[None]
    expected = greedy(module.eval(), ids, length=len(prompt) + 8)[0]
    assert found["generated_text"] == vocabulary.decode(expected.tolist())


def test_classes_have_their_names_and_hidden_words_their_token(tmp_path: Path) -> None:
    module = drawn(SequenceClassifier(
        ours.spec(**ours.BERT), 256, 3, pooling="first", transform=ours.POOLER,
        positional=ours.TABLE)).eval()  # fmt: skip
    save_pretrained(module, tmp_path / "classes", vocabulary=Bytes(), class_names=["a", "b", "c"])
    classify = transformers.pipeline("text-classification", str(tmp_path / "classes"), device="cpu")
    texts = ["a text", "another"]
    found = classify(texts, batch_size=2)
    for text, said in zip(texts, found, strict=True):
        ids = torch.from_numpy(Bytes().encode(text)).long()[None]
        shares = module(ids).softmax(dim=-1)[0]
        assert said["label"] == "abc"[shares.argmax()]
        assert said["score"] == pytest.approx(shares.max().item(), abs=1e-6)
    hidden = drawn(ours.MODELS["bert"][1]()).eval()
    save_pretrained(hidden, tmp_path / "hidden", vocabulary=Chars(TEXT_CHARS))
    fill = transformers.pipeline("fill-mask", str(tmp_path / "hidden"), device="cpu")
    ids = torch.tensor([[3, hidden.vocab_size, 5]])
    text = f"{TEXT_CHARS[3]}{fill.tokenizer.mask_token}{TEXT_CHARS[5]}"
    best = fill(text, top_k=1)[0]["token_str"]
    scores = hidden.logits(probe(hidden, 3)._replace(tokens=ids, lengths=None))
    assert best == TEXT_CHARS[scores[0, 1].argmax()]


TEXT_CHARS = "".join(chr(97 + n) for n in range(26)) + "".join(chr(65 + n) for n in range(14))


OWN: dict[str, Callable[[], Any]] = {
    "T5 and a SwiGLU": lambda: TokenClassifier(
        EncoderSpec(32, 4, 2, feed_forward=partial(SwiGLU, d_ff=20)), 40, 3, positional=T5Bias),
    "a chain": lambda: LanguageModel(
        EncoderSpec(32, 4, 2, sigma_reparam=True, mask=[ours.Window(3), None]), 40, "masked",
        positional=Chain.of(partial(RoPE, base=50.0), ALiBi)),
    "images": lambda: ours.made("vit"),
    "a transform": lambda: ours.made("bert"),
}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_any_wiring_is_written_as_safetensors(name: str, tmp_path: Path) -> None:
    module = drawn(OWN[name]()).eval()
    saved = save_pretrained(module, tmp_path / "own", "safetensors", vocabulary=Bytes())
    assert saved.differences == {"read back": 0.0}
    back = from_pretrained(tmp_path / "own")
    assert type(back) is type(module)
    assert largest_difference(module, back, probe(module, 9)) == 0
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == [
        "lightning_posenc.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    longer = from_pretrained(tmp_path / "own", optimizer=torch.optim.SGD)
    assert longer.make_optimizer is torch.optim.SGD


def test_nothing_is_left_of_what_cannot_be_written(tmp_path: Path) -> None:
    odd = LanguageModel(EncoderSpec(32, 4, 2), 40, positional=T5Bias)
    with pytest.raises(ValueError, match=r"nearest is \S+, .* positional=T5Bias: set"):
        save_pretrained(odd, tmp_path / "out")
    untold = LanguageModel(EncoderSpec(32, 4, 2), 40, positional=lambda dims: RoPE(dims))
    with pytest.raises(ValueError, match=r"positional is <function .* a file cannot tell"):
        save_pretrained(untold, tmp_path / "out", "safetensors")
    endless = LanguageModel(EncoderSpec(32, 4, 2), 40)
    endless.hparams["bounds"] = [1.0, math.inf]
    with pytest.raises(ValueError, match=r"bounds is inf, .* a file cannot tell"):
        save_pretrained(endless, tmp_path / "out", "safetensors")
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").write_text("")
    for place in (tmp_path, tmp_path / "mine"):
        with pytest.raises(ValueError, match="is there already: name another folder"):
            save_pretrained(odd, place, "safetensors")


def test_a_table_of_another_length_is_resampled(tmp_path: Path) -> None:
    module = ours.made("gpt2")
    save_pretrained(module, tmp_path / "out")
    longer = from_pretrained(tmp_path / "out", positional=partial(LearnedAbsolute, max_length=31))
    assert torch.equal(longer.positional.table[::2], module.positional.table)  # type: ignore[index,union-attr]


def _without(key: str, folder: Path) -> None:
    path = folder / "lightning_posenc.json"
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))


def _class(name: str, folder: Path) -> None:
    path = folder / "lightning_posenc.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"class_path": name}))


def _larger(folder: Path) -> None:
    path = folder / "lightning_posenc.json"
    content = json.loads(path.read_text())
    content["init_args"]["encoder"]["init_args"]["n_layers"] = 10_000
    path.write_text(json.dumps(content))


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "model"
    residual = partial(Plain, drop_path=0.1)
    save_pretrained(
        LanguageModel(EncoderSpec(16, 2, 1, residual=residual), 8), folder, "safetensors"
    )
    return folder


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (partial(_without, "init_args"), "lightning_posenc.json names no model"),
        (partial(_class, "os.system"), "names os.system, which is no class of this package"),
        (partial(_class, "torch.nn.Linear"), "names torch.nn.Linear, no model"),
        (_larger, "asks for model.encoder"),
        (_cut, "model.safetensors is no whole safetensors file"),
    ],
)
def test_a_spoilt_folder_of_ours_is_one_line(
    own: Path, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(own, folder)
    spoil(folder)
    with pytest.raises(ValueError, match=said) as caught:
        from_pretrained(folder)
    assert "\n" not in str(caught.value)
