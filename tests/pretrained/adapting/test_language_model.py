"""`PretrainedLanguageModel`: what it computes, what of it is trained, what it refuses."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc.data import Batch
from lightning_posenc.positions import Jittered, PoSE, RandomDistances, Sequences, Shifted
from lightning_posenc.pretrained.adapting import LoRA, PretrainedLanguageModel
from lightning_posenc.pretrained.adapting.language_model import AdaptedLanguageModel
from lightning_posenc.pretrained.reading import Pretrained
from lightning_posenc.tasks import IGNORE
from tests.distributed.runs import trainer
from tests.pretrained.adapting.test_lora import CAUSAL, MASKED, adapted
from tests.pretrained.adapting.worlds import LENGTH, batch, llama_folder, text_data
from tests.pretrained.tiny import shared

pytest.importorskip("peft")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama_folder(tmp_path_factory.mktemp("models"))


def test_logits_and_loss_are_the_librarys(folder: Path) -> None:
    module = PretrainedLanguageModel(str(folder)).eval()
    given = batch()
    theirs = shared("llama", CAUSAL)(given.tokens, labels=given.tokens)
    loss, logits, targets = module.score(given, 0)
    torch.testing.assert_close(logits, theirs.logits)
    torch.testing.assert_close(loss, theirs.loss)
    assert targets is given.targets
    assert torch.equal(module(given.tokens), logits)


def test_a_masked_model_guesses_what_is_hidden() -> None:
    module = adapted("bert", MASKED, mask_share=0.3).eval()
    given = batch(8)
    loss, _, targets = module.score(given, 0)
    hidden = targets != IGNORE
    assert 0.15 < hidden.float().mean() < 0.45
    masked = given.tokens.masked_fill(hidden, 4)
    labels = given.tokens.masked_fill(~hidden, -100)
    torch.testing.assert_close(loss, shared("bert", MASKED)(masked, labels=labels).loss)
    assert torch.equal(module.score(given, 0)[2], targets)  # the same in every evaluation


def test_tokens_see_across_the_gaps_of_pose() -> None:
    """The library takes a gap for the end of a document, unless it is told who sees whom."""
    module = adapted("llama", positions=PoSE(64))
    given = batch(2)
    torch.manual_seed(3)
    skipped = PoSE(64)(Sequences(2, LENGTH, given.tokens.device))
    assert (skipped.diff(dim=1) > 1).any(dim=1).all()
    torch.manual_seed(3)
    logits = module.logits(given)
    model = shared("llama", CAUSAL)
    seen = torch.ones_like(given.tokens)
    wanted = model(given.tokens, position_ids=skipped, attention_mask=seen).logits
    torch.testing.assert_close(logits, wanted)
    cut_off = model(given.tokens, position_ids=skipped, use_cache=False).logits
    assert (cut_off - wanted).abs().max() > 1e-3
    torch.testing.assert_close(module.eval().logits(given), model(given.tokens).logits)


def test_a_table_that_begins_behind_padding_is_read_from_its_first_row() -> None:
    given = batch(2)
    plain = adapted("roberta", MASKED).eval().logits(given)
    placed = batch(2, positions=torch.arange(LENGTH).expand(2, -1))
    torch.testing.assert_close(adapted("roberta", MASKED).eval().logits(placed), plain)


def test_separate_documents_are_read_as_if_alone() -> None:
    documents = torch.tensor([[0] * 6 + [1] * 10])
    places = torch.tensor([[*range(6), *range(10)]])
    given = batch(1, documents=documents, positions=places)
    for family, head in (("llama", CAUSAL), ("bert", MASKED)):
        module = adapted(family, head).eval()
        both = module.logits(given)
        parts = [module.logits(Batch(t, t)) for t in given.tokens.split([6, 10], dim=1)]
        torch.testing.assert_close(both, torch.cat(parts, dim=1))


def test_padding_is_not_read() -> None:
    given = batch(2, lengths=torch.tensor([LENGTH, 5]))
    other = given._replace(tokens=given.tokens.clone())
    other.tokens[1, 5:] = 7
    module = adapted("bert", MASKED).eval()
    torch.testing.assert_close(module.logits(given)[1, :5], module.logits(other)[1, :5])


@pytest.mark.parametrize(
    ("options", "trained"),
    [
        ({}, {"embed_tokens", "q_proj", "down_proj", "input_layernorm", "norm", "lm_head"}),
        ({"trains": "norms"}, {"input_layernorm", "post_attention_layernorm", "norm"}),
        ({"trains": "embeddings"}, {"embed_tokens"}),
        ({"trains": ["lora", "norms"]}, {"lora_A", "lora_B", "input_layernorm", "norm"}),
        ({"lora": LoRA()}, {"lora_A", "lora_B"}),
        ({"lora": {"rank": 4}}, {"lora_A", "lora_B"}),
    ],
)
def test_what_is_asked_for_is_trained(options: dict[str, Any], trained: set[str]) -> None:
    module = adapted("llama", **options)
    names = [name for name, p in module.named_parameters() if p.requires_grad]
    assert all(any(part in name for part in trained) for name in names) or not options
    assert all(any(part in name for name in names) for part in trained)


def test_first_blocks_and_embeddings_can_be_frozen() -> None:
    module = adapted("llama", frozen_layers=1)
    names = {name for name, p in module.named_parameters() if p.requires_grad}
    assert not any("embed_tokens" in name or "layers.0" in name for name in names)
    assert any("layers.1" in name for name in names)
    assert any("lm_head" in name for name in names)


def test_layers_have_their_rates(tmp_path: Path, folder: Path) -> None:
    module = PretrainedLanguageModel(str(folder), layer_decay=0.5, schedule=None)
    runner = trainer(tmp_path, max_steps=1)
    runner.fit(module, text_data(folder))
    names = {id(p): name for name, p in module.named_parameters()}
    for group in runner.optimizers[0].param_groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            exponent = 0  # of the last norm and the head
            exponent = 3 if "embed_tokens" in name else exponent
            exponent = 2 - int(name.split("layers.")[1][0]) if "layers." in name else exponent
            assert group["lr"] == pytest.approx(1e-3 * 0.5**exponent), name


def test_the_extended_context_is_in_place_and_frequencies_stay_float32(folder: Path) -> None:
    plain = PretrainedLanguageModel(str(folder))
    module = PretrainedLanguageModel(str(folder), method="pi", to=256, dtype="float32")
    rotation = module.model.model.rotary_emb  # type: ignore[union-attr]
    wanted = plain.model.model.rotary_emb.inv_freq / 4  # type: ignore[union-attr, operator]
    torch.testing.assert_close(rotation.inv_freq, wanted)  # type: ignore[union-attr]
    module.to(torch.bfloat16)
    assert next(module.parameters()).dtype == torch.bfloat16
    assert rotation.inv_freq.dtype == torch.float32  # type: ignore[union-attr]
    torch.testing.assert_close(rotation.inv_freq, wanted)  # type: ignore[union-attr]
    assert module.logits(batch()).dtype == torch.bfloat16


def test_generates_as_the_library_does() -> None:
    prompts = batch(2, 5).tokens
    for family, positions in (
        ("llama", None),
        ("gpt2", None),
        ("bloom", None),
        ("llama", PoSE(64)),
    ):
        module = adapted(family, positions=positions).eval()
        wanted = shared(family, CAUSAL).generate(
            prompts, attention_mask=torch.ones_like(prompts), do_sample=False, max_new_tokens=7,
            min_new_tokens=7, eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        for cached in (True, False):
            said = module.generate(prompts, length=12, use_cache=cached)
            assert torch.equal(said, wanted), (family, positions, cached)


def test_prompts_of_several_lengths_are_kept() -> None:
    module = adapted("llama").eval()
    tokens = batch(2, 6).tokens
    said = module.generate(tokens, torch.tensor([3, 6]), length=8)
    assert torch.equal(said[0, :3], tokens[0, :3])
    assert torch.equal(said[1, :6], tokens[1])
    assert torch.equal(said[:1], module.generate(tokens[:1, :3], length=8))


MISTAKES: list[Any] = [
    ("llama", CAUSAL, {"trains": "heads"}, "trains=.heads. must be one of all, lora"),
    ("llama", CAUSAL, {"trains": "all", "lora": LoRA()}, "trains=all leaves nothing to adapters"),
    ("llama", CAUSAL, {"trains": ["all", "norms"]}, "trains=all leaves nothing"),
    ("llama", CAUSAL, {"trains": "norms", "lora": LoRA()}, "does not train it: add lora"),
    ("llama", CAUSAL, {"trains": []}, "name at least one"),
    ("llama", CAUSAL, {"frozen_layers": 2}, "frozen_layers=2 leaves none of 2 blocks"),
    ("llama", CAUSAL, {"method": "pi"}, "method=pi, to=None: give both, or neither"),
    (
        "bloom",
        CAUSAL,
        {"positions": PoSE(64)},
        "PoSE: BloomForCausalLM takes no position",
    ),
    ("llama", CAUSAL, {"mask_share": 1.0}, "mask_share=1.0"),
    ("llama", CAUSAL, {"layer_decay": 0.0}, "layer_decay=0.0"),
]


@pytest.mark.parametrize(("family", "head", "options", "message"), MISTAKES)
def test_mistakes_are_one_line(
    family: str, head: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        adapted(family, head, **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("family", "method", "to", "message"),
    [
        ("llama", "yarm", 128, "did you mean yarn"),
        ("llama", "pi", 8, "less than the 64"),
        ("gpt2", "pi", 256, "pi: "),
    ],
)
def test_methods_that_do_not_go_are_refused(
    family: str, method: str, to: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        adapted(family, method=method, to=to)


def test_a_model_without_a_head_is_refused() -> None:
    bare = Pretrained(shared("llama"), None, "llama", "causal", has_head=False)
    with pytest.raises(ValueError, match="LlamaModel scores no tokens"):
        AdaptedLanguageModel(bare)


def test_batches_that_a_model_cannot_read_are_refused() -> None:
    documents = torch.zeros(2, LENGTH, dtype=torch.long)
    with pytest.raises(ValueError, match=r"separate_documents: BloomForCausalLM makes masks"):
        adapted("bloom").logits(batch(2, documents=documents))
    with pytest.raises(ValueError, match=r"separate_documents: Gemma3ForCausalLM makes masks"):
        adapted("gemma3_text").logits(batch(2, documents=documents))
    with pytest.raises(ValueError, match=r"position 115 is beyond the table of GPT2LM.* has 64"):
        adapted("gpt2", positions=Shifted(100)).logits(batch(2))
    with pytest.raises(ValueError, match=r"Jittered: GPT2LMHeadModel takes whole numbers"):
        adapted("gpt2", positions=Jittered()).logits(batch(2))
    with pytest.raises(ValueError, match=r"RandomDistances: LlamaForCausalLM takes one place"):
        adapted("llama", positions=RandomDistances()).logits(batch(2))


def test_other_words_than_the_models_are_refused(tmp_path: Path, folder: Path) -> None:
    module = PretrainedLanguageModel(str(folder), lora=LoRA())
    with pytest.raises(ValueError, match=r"data.vocabulary is not the tokenizer of model.path="):
        trainer(tmp_path, max_steps=1).fit(module, text_data(folder, vocabulary="bytes"))
    with pytest.raises(ValueError, match=r"knows 50 token ids, and the data has 256: set data"):
        PretrainedLanguageModel(str(folder), vocab_size=256)
    with pytest.raises(ValueError, match=r"model.path=nowhere"):
        PretrainedLanguageModel("nowhere")
