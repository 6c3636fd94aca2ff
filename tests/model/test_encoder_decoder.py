"""A decoder reads another sequence: as others do, in pieces as at once, and no padding of it.

Shapes: B sequences, S tokens of the source, T of the target, D = d_model.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_posenc import Dims, Encoder
from lightning_posenc.model import (
    Additive,
    Attention,
    CrossReading,
    Decoder,
    EncoderDecoder,
    Funnel,
    Linformer,
    Memory,
    Reversible,
)
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.encoder_decoder import read
from lightning_posenc.model.kernels import Kernels, logits
from lightning_posenc.positional import (
    TUPE,
    ALiBi,
    Chain,
    LearnedAbsolute,
    NoPE,
    PerLayer,
    RoPE,
    ShawRelative,
    T5Bias,
)
from lightning_posenc.positions import Places, Randomized
from tests.cases import METHODS, Case
from tests.model.theirs_in_two import InTwo, bart, t5

B, S, T, D = 3, 7, 5, 32
LENGTHS = torch.tensor([7, 4, 1])


def two(across: Any = NoPE, mixer: Any = Attention, **wiring: Any) -> EncoderDecoder:
    torch.manual_seed(0)
    wiring = {"init_std": 0.2, **wiring}
    cross = partial(CrossReading, mixer=mixer, positional=across)
    return EncoderDecoder(
        Encoder(Dims(D, 4, 2), RoPE, init_std=0.2),
        Decoder(Dims(D, 4, 2, causal=True), RoPE, cross=cross, **wiring),
    ).eval()


@pytest.mark.parametrize("make", [t5, bart])
@torch.no_grad()
def test_logits_are_those_of_hugging_face(make: Callable[[], InTwo]) -> None:
    torch.manual_seed(0)
    theirs, _, ours = make()
    source, target = torch.randint(3, 23, (B, S)), torch.randint(3, 23, (B, T))
    mask = torch.arange(S) < LENGTHS[:, None]
    expected = theirs(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits
    found = ours(source, target, LENGTHS)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


ACROSS = [NoPE, RoPE, T5Bias]
OTHERS = [ALiBi, TUPE, ShawRelative, Chain.of(RoPE, ALiBi), PerLayer.of(RoPE, NoPE)]


@pytest.mark.parametrize(
    "across", [*ACROSS, *(pytest.param(other, marks=pytest.mark.slow) for other in OTHERS)], ids=str
)
@torch.no_grad()
def test_in_steps_as_at_once(across: Any) -> None:
    """Keys and values of the source are computed once, those of the target grow."""
    of = two(across)
    source, target = torch.randn(B, S, D), torch.randn(B, T, D)
    whole, memory = of(source, target, LENGTHS), read(of.encoder, source, LENGTHS)
    cache, found, kept = Cache(T), [], None
    for n in range(T):
        here = torch.arange(n + 1)[None]
        found.append(of.decode(target[:, n : n + 1], memory, positions=here, cache=cache))
        now = cache.state(1)["memory_k"]
        assert kept is None or now is kept
        kept = now
    torch.testing.assert_close(torch.cat(found, dim=1), whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("across", [RoPE, pytest.param(TUPE, marks=pytest.mark.slow)], ids=str)
@torch.no_grad()
def test_padding_of_neither_side_is_read(across: Any) -> None:
    of, source, target = two(across), torch.randn(B, S, D), torch.randn(B, T, D)
    ends = torch.tensor([5, 2, 3])
    found = of(source, target, LENGTHS, ends)
    for row, (n, m) in enumerate(zip(LENGTHS.tolist(), ends.tolist(), strict=True)):
        alone = of(source[row : row + 1, :n], target[row : row + 1, :m])
        torch.testing.assert_close(found[row : row + 1, :m], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_source_is_read_and_its_places_are() -> None:
    source, target = torch.randn(1, S, D), torch.randn(1, T, D)
    order = torch.randperm(S)
    for across, same in ((NoPE, True), (RoPE, False), (ALiBi, False)):
        of = two(across)
        states = read(of.encoder, source)
        turned = Memory(states.states[:, order], states.places)
        one, other = (of.decode(target, memory) for memory in (states, turned))
        assert torch.allclose(one, other, atol=1e-5) is same


@torch.no_grad()
def test_logits_across_are_those_of_the_definition() -> None:
    """In float64, by loops: q·k / √K - slope · |p_q - p_k|, with positions of one's own choice."""
    of = two(partial(ALiBi, form="symmetric")).double()
    source, target = torch.randn(1, S, D).double(), torch.randn(1, T, D).double()
    seen: list[Any] = []
    for block in of.decoder.blocks:
        kernel = block.cross_attention.kernel  # type: ignore[union-attr]
        assert isinstance(kernel, Kernels)
        kernel.register_forward_hook(lambda _, args, out: seen.append(args[0]))
    places_of_keys, places_of_queries = 3 * torch.arange(S)[None], 2 * torch.arange(T)[None]
    memory = read(of.encoder, source, positions=places_of_keys)
    of.decode(target, memory, positions=places_of_queries)
    for operands in seen:
        found, (q, k) = logits(operands), (operands.q, operands.k)
        for h in range(4):
            for i in range(T):
                for j in range(S):
                    product = sum(float(q[0, h, i, c] * k[0, h, j, c]) for c in range(D // 4))
                    slope = 2.0 ** (-8 * (h + 1) / 4)
                    expected = product / math.sqrt(D // 4) - slope * abs(2 * i - 3 * j)
                    assert float(found[0, h, i, j]) == pytest.approx(expected, abs=1e-6)


@torch.no_grad()
def test_bahdanaus_attention_reads_too() -> None:
    of = two(NoPE, Additive)
    source, target = torch.randn(B, S, D), torch.randn(B, T, D)
    moved = of(source.flip(0), target) - of(source, target)
    assert moved.abs().amax() > 1e-3


def test_gradients_reach_both_sides_also_recomputed() -> None:
    found = []
    for recomputed in (False, True):
        of = two(T5Bias).train()
        of.encoder.checkpoint_activations = of.decoder.checkpoint_activations = recomputed
        torch.manual_seed(1)
        of(torch.randn(B, S, D), torch.randn(B, T, D), LENGTHS).square().sum().backward()
        gradients = {name: p.grad for name, p in of.named_parameters()}
        assert all(g is not None and g.abs().sum() > 0 for g in gradients.values())
        found.append(gradients)
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("case", METHODS, ids=lambda case: case.name)
@torch.no_grad()
def test_every_encoding_crosses_or_is_refused_by_name(case: Case) -> None:
    """What crosses knows where the tokens of the source are; the rest acts nowhere in silence."""
    dims = Dims(D, 4, 2, causal=True)
    encoding = case.factory(dims)
    torch.manual_seed(0)
    cross = partial(CrossReading, positional=case.factory)
    if not encoding.crosses:
        with pytest.raises(ValueError, match=r"of two sequences|across two sequences") as refusal:
            Decoder(dims, cross=cross)
        assert type(encoding).__name__ in str(refusal.value)
        assert "\n" not in str(refusal.value)
        return
    of, axes = Decoder(dims, cross=cross, init_std=0.2).eval(), encoding.axes
    n = axes if isinstance(axes, int) else min(axes or (1,))
    on = (lambda x: x) if n == 1 else (lambda x: x.unsqueeze(-1).repeat(1, 1, n))
    states, target = torch.randn(1, S, D), torch.randn(1, T, D)
    here, there = on(torch.arange(T)[None]), on(torch.arange(S)[None])
    one, other = (
        of(target, positions=here, memory=Memory(states, Places(values)))
        for values in (there, there.flip(1))
    )
    assert one.isfinite().all()
    acts = any(encoding.hooks(layer) for layer in range(2))
    assert torch.equal(one, other) is not acts


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "what acts on the stream": (lambda: two(LearnedAbsolute), "LearnedAbsolute makes no sense"),
    "a mixer of one sequence": (lambda: two(NoPE, Linformer), "Linformer: does not serve the read"),
    "two streams": (lambda: two(residual=Reversible), "a reversible residual"),
    "a funnel": (lambda: Decoder(Dims(D, 4, 3), funnel=Funnel()), "with a funnel"),
    "no decoder": (
        lambda: EncoderDecoder(Encoder(Dims(D, 4, 2)), Encoder(Dims(D, 4, 2, causal=True))),  # type: ignore[arg-type]
        "must be a Decoder",
    ),
    "a decoder that looks ahead": (
        lambda: EncoderDecoder(Encoder(Dims(D, 4, 2)), Decoder(Dims(D, 4, 2))),
        "sees its future",
    ),
    "another width": (
        lambda: EncoderDecoder(Encoder(Dims(16, 4, 2)), two().decoder), "give both one width",
    ),
    "no memory": (lambda: two().decoder(torch.randn(B, T, D)), "give memory"),
    "memory for nobody": (
        lambda: two().encoder(torch.randn(B, T, D), memory=memory_of(torch.randn(B, S, D))),
        "build a Decoder",
    ),
    "another batch": (
        lambda: two().decoder(torch.randn(2, T, D), memory=memory_of(torch.randn(B, S, D))),
        r"states \(2, S, 32\)",
    ),
    "an empty memory": (
        lambda: two().decoder(torch.randn(B, T, D), memory=memory_of(torch.randn(B, 0, D))),
        "nothing to read",
    ),
    "documents": (
        lambda: two().decoder(
            torch.randn(B, T, D),
            documents=torch.zeros(B, T, dtype=torch.int64),
            memory=memory_of(torch.randn(B, S, D)),
        ),
        "give each a row of its own",
    ),
}  # fmt: skip


def memory_of(states: Tensor) -> Memory:
    return read(Encoder(Dims(D, 4, 2)), states)


@pytest.mark.parametrize("what", REFUSED)
def test_is_refused(what: str) -> None:
    call, line = REFUSED[what]
    with pytest.raises(ValueError, match=line) as refusal:
        call()
    assert "\n" not in str(refusal.value)


@torch.no_grad()
def test_a_cache_goes_with_one_memory() -> None:
    of, cache, x = two(), Cache(), torch.randn(B, 1, D)
    of.decode(x, memory_of(torch.randn(B, S, D)), positions=torch.zeros(1, 1).long(), cache=cache)
    with pytest.raises(ValueError, match="that very memory"):
        of.decode(x, memory_of(torch.randn(B, S, D)), positions=torch.arange(2)[None], cache=cache)


@torch.no_grad()
def test_positions_are_drawn_for_each_side() -> None:
    """And what a sampler stretches on one side stays plain across."""
    encoder = Encoder(Dims(D, 4, 2), RoPE, Randomized(64))
    memory = read(encoder.train(), torch.randn(B, S, D))
    assert memory.places.values.max() > S
    of = two(RoPE)
    assert of.decode(torch.randn(B, T, D), memory).isfinite().all()


@torch.no_grad()
def test_rows_of_a_cache_are_chosen() -> None:
    of, source = two(), torch.randn(B, S, D)
    memory, rows = read(of.encoder, source, LENGTHS).repeated(2), torch.tensor([1, 1, 2, 3, 5, 4])
    target = torch.randn(2 * B, T, D)
    cache = Cache(T)
    of.decode(target[:, :3], memory, positions=torch.arange(3)[None], cache=cache)
    cache.select(rows)
    chosen = torch.cat([target[rows, :3], target[:, 3:]], dim=1)
    found = of.decode(chosen[:, 3:], memory, positions=torch.arange(T)[None], cache=cache)
    torch.testing.assert_close(found, of.decode(chosen, memory)[:, 3:], atol=1e-5, rtol=1e-5)
