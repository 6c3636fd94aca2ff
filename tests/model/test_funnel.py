"""Pooling between stages: what is pooled, where it stands, and what goes with it."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.masks import Window
from lightning_posenc.model import FNet, Funnel, Linformer, Reversible
from lightning_posenc.model.funnel import pooled
from lightning_posenc.positional import ALiBi, LearnedRelativeBias, NoPE, RoPE, Sinusoidal


def model(
    positional: Any = RoPE, funnel: Funnel | None = None, n_layers: int = 5, **wiring: Any
) -> Encoder:
    torch.manual_seed(0)
    funnel = Funnel([1, 2, 1]) if funnel is None else funnel
    dims = Dims(32, 4, n_layers, causal=wiring.pop("causal", False))
    return Encoder(dims, positional, funnel=funnel, **{"init_std": 0.2, **wiring}).eval()


def test_means_are_of_neighbours_that_are_no_padding() -> None:
    x = torch.randn(2, 7, 3)
    got = pooled(x, 3, torch.tensor([7, 4]))
    for row, length in ((0, 7), (1, 4)):
        for k, start in enumerate(range(0, length, 3)):
            expected = x[row, start : min(start + 3, length)].mean(dim=0)
            torch.testing.assert_close(got[row, k], expected)
    torch.testing.assert_close(pooled(x, 3)[0], got[0])


def lengths_of_layers(of: Encoder, x: Tensor) -> list[int]:
    found: list[int] = []
    for mixer in of.mixers:
        mixer.register_forward_hook(lambda _, args, out: found.append(args[0].shape[1]))
    of(x)
    return found


def test_stages_have_ever_fewer_tokens_and_the_rest_all() -> None:
    assert lengths_of_layers(model(), torch.randn(2, 13, 32)) == [13, 7, 7, 4, 13]
    by_three = model(funnel=Funnel([2, 1], stride=3))
    assert lengths_of_layers(by_three, torch.randn(2, 13, 32)) == [13, 13, 5, 13, 13]
    assert lengths_of_layers(model(), torch.randn(2, 1, 32)) == [1] * 5


@pytest.mark.parametrize("positional", [NoPE, RoPE, ALiBi, LearnedRelativeBias, Sinusoidal])
def test_padded_equals_alone(positional: Any) -> None:
    of, x, lengths = model(positional), torch.randn(3, 13, 32), torch.tensor([13, 6, 1])
    together = of(x, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = of(x[row : row + 1, :length])
        torch.testing.assert_close(together[row, :length], alone[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shift", [5])
def test_positions_of_means_are_of_their_first_tokens(shift: int) -> None:
    """RoPE sees distances alone, in every stage; and steps twice as long are seen as such."""
    of, x = model(), torch.randn(2, 12, 32)
    places = torch.arange(12).unsqueeze(0)
    torch.testing.assert_close(of(x), of(x, positions=places + shift), rtol=1e-4, atol=1e-4)
    seen: list[Tensor] = []
    of.mixers[3].register_forward_hook(lambda _, args, out: seen.append(args[1].q_places.values))
    of(x, positions=places + shift)
    assert seen[0].tolist() == [[5, 9, 13]]


@pytest.mark.parametrize(
    ("mixer", "positional"), [(FNet, Sinusoidal), (partial(Linformer, max_length=16, rank=4), RoPE)]
)
def test_any_mixer_mixes_means(mixer: Any, positional: Any) -> None:
    of, x = model(positional, mixer=mixer), torch.randn(2, 13, 32)
    together = of(x, lengths=torch.tensor([13, 6]))
    torch.testing.assert_close(together[1, :6], of(x[1:, :6])[0], rtol=1e-4, atol=1e-5)


def test_gradients_reach_all_layers_and_recomputing_changes_nothing() -> None:
    of, x = model().train(), torch.randn(2, 13, 32)
    (of(x) * torch.linspace(-1, 1, 32)).sum().backward()
    expected = {name: p.grad for name, p in of.named_parameters()}
    assert all(grad is not None and grad.any() for grad in expected.values())
    again = model().train()
    again.checkpoint_activations = True
    (again(x) * torch.linspace(-1, 1, 32)).sum().backward()
    for name, parameter in again.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], msg=name)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: model(causal=True), "Funnel: a mean is of tokens that follow the first of them"),
        (lambda: model(mask=Window(3)), "Funnel: a mask is of tokens and not of means"),
        (lambda: model(residual=Reversible), "Funnel: pooling cannot be run backwards"),
        (lambda: model(funnel=Funnel([3, 2])), r"Funnel: stages=\[3, 2\] take 5 of n_layers=5"),
        (lambda: Funnel([3]), r"Funnel: stages=\[3\] must name two stages at least"),
        (
            lambda: model()(torch.randn(1, 4, 32), documents=torch.tensor([[0, 0, 1, 1]])),
            "Funnel: does not serve packed documents",
        ),
    ],
)
def test_what_goes_with_no_pooling_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}") as refused:
        make()
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_compiled_is_eager() -> None:
    of, x = model(funnel=Funnel([1, 1]), n_layers=3), torch.randn(2, 13, 32)
    compiled = torch.compile(of, backend="aot_eager")
    torch.testing.assert_close(compiled(x), of(x), rtol=1e-5, atol=1e-5)
