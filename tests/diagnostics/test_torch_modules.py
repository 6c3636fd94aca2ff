"""torch's own attention observed, and anybody's."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.diagnostics import observe, weights_by_block
from lightning_posenc.diagnostics.observing.observe import Observation

B, T, D, H = 2, 7, 16, 4
CAUSAL = torch.ones(T, T).triu(1).bool()
PADDING = torch.arange(T) >= torch.tensor([T, 4])[:, None]
MASKS: dict[str, dict[str, Any]] = {
    "none": {},
    "causal": {"attn_mask": CAUSAL},
    "causal hint": {"attn_mask": CAUSAL, "is_causal": True},
    "padding": {"key_padding_mask": PADDING},
    "both": {"attn_mask": CAUSAL, "key_padding_mask": PADDING},
    "float": {"attn_mask": torch.linspace(-2, 2, T * T).view(T, T)},
    "by head": {"attn_mask": torch.linspace(-2, 2, B * H * T * T).view(B * H, T, T)},
}
MODULES: dict[str, dict[str, Any]] = {
    "batch first": {"batch_first": True},
    "tokens first": {},
    "no bias": {"bias": False},
    "other widths": {"kdim": D, "vdim": 12},
    "more keys": {"add_bias_kv": True, "add_zero_attn": True},
}


@pytest.fixture(autouse=True)
def slow_path() -> Any:
    """Both runs, observed or not, take the path that can be."""
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(True)


def weights_of(seen: Observation) -> list[Tensor]:
    return [torch.cat([a for _, a in weights_by_block(v, 4)], dim=2) for v in seen.attention]


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kind", MODULES)
@torch.no_grad()
def test_multi_head_attention(kind: str, mask: str, need_weights: bool) -> None:
    module = nn.MultiheadAttention(D, H, **MODULES[kind]).eval()
    for parameter in module.parameters():
        parameter.normal_(std=0.5)
    x = torch.randn(B, T, D)
    value = torch.randn(B, T, MODULES[kind].get("vdim", D))
    inputs = [x if module.batch_first else x.transpose(0, 1)] * 2
    inputs.append(value if module.batch_first else value.transpose(0, 1))
    arguments = {"need_weights": need_weights, "average_attn_weights": False, **MASKS[mask]}
    before, _ = module(*inputs, **arguments)
    with observe(module) as seen:
        after, _ = module(*inputs, **arguments)
    assert torch.equal(before, after)
    arguments = {"average_attn_weights": False, **MASKS[mask], "is_causal": False}
    _, expected = module(*inputs, **arguments)
    (found,) = weights_of(seen)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert seen.hidden == []


def layers(**kwargs: Any) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(D, H, 32, **kwargs)
    return nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_transformer_encoder(batch_first: bool, training: bool) -> None:
    model = layers(batch_first=batch_first).train(training)
    x = torch.randn(B, T, D)
    given = x if batch_first else x.transpose(0, 1)

    def run() -> Tensor:
        torch.manual_seed(1)
        return model(given, src_key_padding_mask=PADDING)

    before = run()
    with observe(model) as seen:
        after = run()
    assert torch.equal(before, after)
    assert [tuple(h.shape) for h in seen.hidden] == [(B, T, D)] * 4
    assert torch.equal(seen.hidden[0], x)
    assert [view.shape for view in seen.attention] == [(B, H, T, T)] * 3
    assert all(float(w[1, :, :, 4:].detach().abs().max()) == 0 for w in weights_of(seen))


def test_the_fast_path_is_refused() -> None:
    torch.backends.mha.set_fastpath_enabled(True)
    model = layers(batch_first=True)
    x = torch.randn(B, T, D)
    with observe(model):
        model(x)  # in training
        model.eval()
        model(x)  # with gradients
        with torch.no_grad(), pytest.raises(ValueError, match="set_fastpath_enabled"):
            model(x)
    with torch.no_grad():
        model(x)


class Theirs(nn.Module):
    """Attention that a user wrote."""

    def __init__(self, sums: bool) -> None:
        super().__init__()
        self.qkv = nn.Linear(D, 3 * D)
        self.sums = sums

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (H, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1)
        )
        product = torch.einsum("b h i d, b h j d -> b h i j", q, k) if self.sums else q @ k.mT
        logits = (product / 2).masked_fill(CAUSAL, -1e30)
        logits = torch.tanh(logits / 5) * 5
        logits = torch.where(CAUSAL, float("-inf"), logits)
        weights = F.dropout(logits.softmax(-1), 0.1)
        mixed = torch.einsum("bhij,bhjd->bhid", weights, v) if self.sums else weights @ v
        return x + mixed.transpose(1, 2).flatten(2)


@pytest.mark.parametrize("sums", [False, True], ids=["matmul", "einsum"])
def test_attention_written_out_is_followed(sums: bool) -> None:
    class TheirAttention(Theirs):
        pass

    last = TheirAttention(sums)
    stack = nn.Sequential(TheirAttention(sums), last)
    x = torch.randn(B, T, D)
    torch.manual_seed(1)
    before = stack(x)
    torch.manual_seed(1)
    with observe(stack) as seen:
        after = stack(x)
    assert torch.equal(before, after)
    assert len(seen.attention) == 2
    assert len(seen.hidden) == 3
    q, k, _ = last.qkv(seen.hidden[1]).unflatten(-1, (3, H, -1)).permute(2, 0, 3, 1, 4)
    logits = (5 * torch.tanh(q @ k.mT / 2 / 5)).masked_fill(CAUSAL, -torch.inf)
    torch.testing.assert_close(weights_of(seen)[1], logits.softmax(-1), atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_what_runs_elsewhere_is_not_taken_for_the_model() -> None:
    model = layers(batch_first=True).eval()
    x = torch.randn(B, T, D)
    with observe(model) as seen:
        model(x)
        q = torch.randn(1, 1, 3, 4)
        F.scaled_dot_product_attention(q, q, q)
        (q @ q.mT).softmax(-1) @ q
    assert len(seen.attention) == 3
