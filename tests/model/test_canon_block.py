"""Canon layers in a block: their numbers, and what every model promises."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.masks import Window
from lightning_posenc.model import (
    MLP,
    Canon,
    Conformer,
    Convolution,
    DeepNorm,
    LayerScale,
    MixtureOfExperts,
    Plain,
    Retention,
    Reversible,
    ShiftedWindows,
    SwiGLU,
)
from lightning_posenc.model.cache import Cache
from lightning_posenc.positional import NoPE, RoPE
from lightning_posenc.positions.places import on_a_grid
from lightning_posenc.testing import whole_models
from lightning_posenc.testing.case import Case
from lightning_posenc.testing.sizes import LENGTH

DIMS = Dims(16, 4, 2, causal=True)
EVERYWHERE = partial(Canon, places="ACD")
DOCUMENTS = torch.tensor([[3, 3, 3, 3, 3, 3, 5, 5, 5, 2, 2, 2], [0] * 12])


def case(residual: Any = EVERYWHERE, **wiring: Any) -> Case:
    return Case("canon", RoPE, wiring={"residual": residual, **wiring})


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "promise",
    [
        whole_models.shape_and_dtype,
        whole_models.state_dict_round_trip,
        whole_models.pickle_and_deepcopy,
        whole_models.independent_of_the_rest_of_the_batch,
        whole_models.padded_batch_equals_each_sequence_alone,
        whole_models.packed_documents_equal_each_document_alone,
        whole_models.bfloat16_autocast_is_near_float32,
        whole_models.checkpointed_activations_change_nothing,
    ],
)
def test_what_every_model_promises(promise: Any, causal: bool) -> None:
    promise(case(), causal)


@pytest.mark.parametrize(
    "wiring",
    [
        {},
        {"feed_forward": SwiGLU},
        {"residual": partial(EVERYWHERE, residual=DeepNorm)},
        {"residual": partial(EVERYWHERE, residual=partial(Plain, parallel=True))},
        {"residual": partial(Canon, kernel_size=9), "feed_forward": MixtureOfExperts},
        {"residual": partial(Canon, places="A"), "mixer": Retention},
    ],
)
def test_no_future_is_seen_and_a_cache_gives_the_numbers_of_a_whole_pass(
    wiring: dict[str, Any],
) -> None:
    positional = NoPE if "mixer" in wiring else RoPE
    made = Case("canon", positional, wiring={"residual": EVERYWHERE, **wiring})
    whole_models.future_does_not_reach_the_past(made, True)
    whole_models.reading_with_a_cache_equals_reading_at_once(made, True, (1,) * LENGTH)


@pytest.mark.slow
def test_compiled_canon_equals_eager() -> None:
    whole_models.compiled_equals_eager(case(), True)


def convolved(x: Tensor, weight: Tensor, documents: Tensor) -> Tensor:
    """x_t + sum of w_s x_(t-s), entry by entry, in float64."""
    values, taps, result = x.double().numpy(), weight.double().detach().numpy(), x.double().numpy()
    result = result.copy()
    size = taps.shape[1]
    for b, t, c in np.ndindex(*values.shape):
        for back in range(min(size, t + 1)):
            if documents[b, t - back] == documents[b, t]:
                result[b, t, c] += taps[c, size - 1 - back] * values[b, t - back, c]
    return torch.from_numpy(result)


@pytest.mark.parametrize("feed_forward", [MLP, SwiGLU])
def test_numbers_are_those_of_loops_over_the_equation(feed_forward: Any) -> None:
    model = Encoder(
        DIMS, RoPE, residual=EVERYWHERE, feed_forward=partial(feed_forward, d_ff=6), init_std=0.3
    )
    block = model.blocks[1]
    seen: dict[str, Tensor] = {}
    for name in ("norm_attention", "norm_feed_forward", "dropout"):  # of which the last call stays
        keep = lambda _, args, out, name=name: seen.__setitem__(name, out)  # noqa: E731
        block.get_submodule(name).register_forward_hook(keep)
    block.attention.register_forward_hook(lambda _, args, out: seen.__setitem__("A", args[0]))
    model(torch.randn(2, 12, 16), documents=DOCUMENTS)
    taps = {name: layer.weight for name, layer in block.canon.items()}
    torch.testing.assert_close(
        seen["A"].double(), convolved(seen["norm_attention"].detach(), taps["A"], DOCUMENTS),
        rtol=0, atol=1e-5,
    )  # fmt: skip
    maps = block.feed_forward.double()
    read = convolved(seen["norm_feed_forward"].detach(), taps["C"], DOCUMENTS)
    if feed_forward is MLP:
        hidden = convolved(maps.up(read).detach(), taps["D"], DOCUMENTS)
        activated = torch.nn.functional.gelu(hidden)
    else:
        hidden = convolved(maps.gate_and_up(read).detach(), taps["D"], DOCUMENTS)
        gate = hidden[..., :6]
        activated = gate / (1 + (-gate).exp()) * hidden[..., 6:]
    torch.testing.assert_close(seen["dropout"].double(), maps.out(activated), rtol=0, atol=1e-5)


def test_a_layer_is_the_short_convolution_of_inkling() -> None:
    inkling = pytest.importorskip("transformers.models.inkling.modeling_inkling")
    model = Encoder(DIMS, residual=Canon)
    layer, theirs = model.blocks[0].canon["C"], inkling.InklingShortConvolution(16, 4, 0, 0)
    theirs.conv1d.weight.data = layer.weight.data.unsqueeze(1)
    seen: list[tuple[Tensor, Tensor]] = []
    layer.register_forward_hook(lambda _, args, out: seen.append((args[0], out)))
    model(torch.randn(2, 9, 16))
    ((x, ours),) = seen
    torch.testing.assert_close(ours, theirs(x), rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("residual", [EVERYWHERE, partial(Conformer, convolution=Convolution)])
def test_documents_that_a_narrow_window_forgot_are_still_told_apart(residual: Any) -> None:
    """The convolution reaches further back than the mask, whose past the cache lets go of."""
    model = Encoder(DIMS, RoPE, residual=residual, mask=Window(1), init_std=0.2).eval()
    x, n = torch.randn(1, 150, 16), 150
    documents, positions = (torch.arange(n) // 71)[None], torch.arange(n)[None]
    cache, steps = Cache(), []
    with torch.no_grad():
        expected = model(x, documents=documents, positions=positions)
        for t in range(0, n, 10):
            told = {"documents": documents[:, : t + 10], "positions": positions[:, : t + 10]}
            steps.append(model(x[:, t : t + 10], cache=cache, **told))
    assert cache.n_remembered < n
    torch.testing.assert_close(torch.cat(steps, dim=1), expected, rtol=0, atol=1e-5)


def test_without_weights_it_is_the_residual_that_it_was_given() -> None:
    inner = partial(LayerScale, init=0.3)
    model, plain = (
        Encoder(DIMS, residual=partial(EVERYWHERE, residual=inner)),
        Encoder(DIMS, residual=inner),
    )
    plain.load_state_dict(
        {name.replace(".inner", ""): value for name, value in model.state_dict().items()
         if ".canon." not in name}
    )  # fmt: skip
    x = torch.randn(1, 6, 16)
    assert not torch.allclose(model(x), plain(x), atol=1e-4)
    for block in model.blocks:
        for layer in block.canon.values():
            torch.nn.init.zeros_(layer.weight)
    torch.testing.assert_close(model(x), plain(x))


class OwnForward(MLP):
    """What it computes is no longer what lies between its maps."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    ("options", "feed_forward", "said"),
    [
        ({"places": "ABCD"}, MLP, r"Canon: places='ABCD' must be one of A, C, D, .*CanonB"),
        ({"places": ""}, MLP, "Canon: places='' must be one of A, C, D, "),
        ({"places": ["A"]}, MLP, r"Canon: places=\['A'\] must be one of "),
        ({"places": "ACD"}, MixtureOfExperts, "Canon: places=ACD .* MixtureOfExperts is not two"),
        ({"places": "D"}, OwnForward, "Canon: places=D .* OwnForward is not two maps: take MLP"),
        ({"residual": Reversible}, MLP, "Canon: residual=Reversible: "),
        ({"residual": Conformer}, MLP, "Canon: residual=Conformer: "),
        ({"kernel_size": 64}, MLP, "Canon: kernel_size=64 must be at most 63"),
    ],
)
def test_what_does_not_go_with_canon_layers(
    options: dict[str, Any], feed_forward: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        Encoder(DIMS, residual=partial(Canon, **options), feed_forward=feed_forward)


@pytest.mark.parametrize("residual", [Canon, Conformer])
def test_tokens_of_shifted_windows_are_in_no_row(residual: Any) -> None:
    model = Encoder(Dims(16, 4, 2), residual=residual, mask=ShiftedWindows(2))
    with pytest.raises(ValueError, match=f"^{residual.__name__}: convolves tokens in a row"):
        model(torch.randn(1, 16, 16), positions=on_a_grid(4, 4, torch.device("cpu")))
