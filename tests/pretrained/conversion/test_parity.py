"""Ours and theirs say the same, in both directions, of padded batches too."""

from functools import partial
from typing import Any

import pytest
import torch

from lightning_posenc.data import Batch
from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import LanguageModel, SequenceClassifier
from lightning_posenc.positional import PartialRoPE, RoPE
from lightning_posenc.positional.rotary.scaling import (
    DynamicNTK,
    LinearScaling,
    Llama3,
    LongRoPE,
    NTKAware,
    NTKByParts,
    YaRN,
)
from lightning_posenc.pretrained.conversion import to_ours, to_theirs
from lightning_posenc.pretrained.conversion.families import family_for
from lightning_posenc.pretrained.conversion.proof import largest_difference, probe, scores_of
from lightning_posenc.pretrained.conversion.wiring import Wiring
from tests.pretrained.conversion import ours, theirs
from tests.pretrained.conversion.theirs import V

pytest.importorskip("transformers")

SAME = 1e-5


@pytest.mark.parametrize("name", theirs.CONFIGS)
def test_theirs_is_read(name: str) -> None:
    model = theirs.made(name)
    module = to_ours(model)
    batch = probe(module, theirs.T, pad_token_id=getattr(model.config, "pad_token_id", None))
    assert largest_difference(module, model, batch) < SAME
    spread = scores_of(model, batch).std()
    assert spread > 0.05, "a model that says the same of everything shows nothing"


@pytest.mark.parametrize("name", ours.MODELS)
def test_ours_is_written_and_read_back(name: str) -> None:
    module = ours.made(name)
    batch, before = probe(module, theirs.T), {n: v.clone() for n, v in module.state_dict().items()}
    assert family_for(Wiring(module)).name == ours.MODELS[name][0]
    model = to_theirs(module)
    assert largest_difference(module, model, batch) < SAME
    assert largest_difference(module, to_ours(model), batch) < SAME
    assert all(torch.equal(value, before[n]) for n, value in module.state_dict().items())


SCALINGS = [
    LinearScaling(4, 8), NTKAware(4, 8), DynamicNTK(4, 8), NTKByParts(4, 8, 8, 0.5), YaRN(4, 8),
    NTKByParts(4, 8, ramp="rotations"), YaRN(4, 8, truncate=False, mscale=0.7, mscale_all_dim=0.3),
    YaRN(4, 8, beta_fast=4, beta_slow=0.25, ramp="rotations"), Llama3(4, 8, 0.5, 2),
    LongRoPE(4, 8, [1, 1.5, 2, 3], [1, 2, 3, 4]),
]  # fmt: skip


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda scaling: type(scaling).__name__)
def test_a_scaling_is_spelled(scaling: Any) -> None:
    """Within the trained length of 8 and beyond it; all sequences of a batch of one length."""
    encoding = partial(RoPE, base=100.0, scaling=scaling)
    module = theirs.drawn(LanguageModel(ours.spec(**ours.LLAMA), V, positional=encoding)).eval()
    model = to_theirs(module)
    back = to_ours(model)
    for length in (8, 24):
        batch = probe(module, length)._replace(lengths=None)
        assert largest_difference(module, model, batch) < SAME
        assert largest_difference(module, back, batch) < SAME


def test_only_part_of_a_head_is_scaled() -> None:
    encoding = partial(PartialRoPE, fraction=0.5, scaling=NTKByParts(4, 8))
    module = theirs.drawn(LanguageModel(ours.spec(), V, positional=encoding)).eval()
    model = to_theirs(module)
    assert largest_difference(module, model, probe(module, 24)) < SAME
    assert largest_difference(module, to_ours(model), probe(module, 24)) < SAME


def test_a_base_model_gets_a_new_head() -> None:
    model = theirs.made("bert, sequences")
    with pytest.raises(ValueError, match="no head that is known here: name a class"):
        to_ours(model.bert)
    for source in (model, model.bert):
        module = to_ours(source, LanguageModel)
        assert module.logits(probe(module, 8)).shape == (3, 8, V)
    module = to_ours(model.bert, SequenceClassifier, n_classes=5, pooling="mean")
    batch = probe(module, 8)
    assert module.logits(batch).shape == (3, 5)
    (states,) = (module.encode(batch.tokens, batch)[0],)
    expected = model.bert(input_ids=batch.tokens[:1]).last_hidden_state[0]
    assert (states - expected).abs().max() < SAME


def test_what_is_read_learns_and_goes_on_from_a_cache() -> None:
    from lightning_posenc.modules import greedy

    model = theirs.made("llama")
    module = to_ours(model)
    tokens = probe(module, 6).tokens
    expected = model.generate(
        tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=6, do_sample=False,
        pad_token_id=0, eos_token_id=None,
    )  # fmt: skip
    assert torch.equal(greedy(module, tokens, length=12), expected)
    module.train()
    loss, _, _ = module.score(Batch(tokens, tokens), 0)
    loss.backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("llama", {"head_dim": 16}, "llama: head_dim=16 has no counterpart here, only 8"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act=gelu has no counterpart"),
        ("gpt2", {"activation_function": "quick_gelu"}, "activation quick_gelu has no counterpart"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
        ("stablelm", {"use_parallel_residual": True}, "use_parallel_residual=True"),
        ("olmo", {"clip_qkv": 8.0}, "clip_qkv=8.0"),
    ],
)
def test_what_has_no_counterpart_is_refused(name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        to_ours(theirs.made(name, **changes))


def test_another_family_is_refused() -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(vocab_size=V, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    with pytest.raises(ValueError, match=r"model_type=t5 has no counterpart here: .*llama.*vit"):
        to_ours(T5ForConditionalGeneration(config))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LanguageModel(ours.spec(**{**ours.LLAMA, "norm": torch.nn.LayerNorm}), V,
                               positional=RoPE),
         "encoder.norm=torch.nn.LayerNorm: set torch.nn.RMSNorm"),
        (lambda: LanguageModel(ours.spec(**ours.BLOOM), V, positional=RoPE),
         "encoder.residual.embedding_norm=true: set false|positional=RoPE: set ALiBi"),
        (lambda: SequenceClassifier(ours.spec(**ours.BERT), V, 3, transform=ours.POOLER,
                                    positional=ours.TABLE), "pooling=mean: set first"),
        (lambda: LanguageModel(ours.spec(), V, positional=partial(RoPE, layout="interleaved")),
         "positional.layout=interleaved: set positional.layout=half"),
        (lambda: LanguageModel(EncoderSpec(32, 4, 2, mask=[None, ours.Window(4)]), V,
                               positional=RoPE), "encoder.mask differs by layer"),
    ],
)  # fmt: skip
def test_the_option_in_the_way_is_named(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"no family of Hugging Face has this wiring.*({said})"):
        to_theirs(make())
