"""Scaled frequencies and temperatures equal Hugging Face's and float64 transcriptions.

Shapes: B sequences, T tokens, H heads, K channels of a head.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama import modeling_llama

from lightning_posenc import Dims, Encoder
from lightning_posenc.positional import PRoPE, RoPE
from lightning_posenc.positional.rotary.scaling import (
    Clipped,
    DynamicNTK,
    LinearScaling,
    Llama3,
    LongRoPE,
    NTKAware,
    NTKByParts,
    Scaling,
    YaRN,
    geometric,
)
from tests.cases.rotary import LONG, SHORT
from tests.helpers import oracle_view, site_of
from tests.oracles import rotary

B, H, LENGTH = 2, 2, 64  # the trained length
ALL = (LinearScaling, NTKAware, DynamicNTK, NTKByParts, YaRN, Llama3, LongRoPE)

each_factor = pytest.mark.parametrize("factor", [2.0, 8.0, 40.0])
each_size = pytest.mark.parametrize(
    ("width", "base"), [(8, 10000.0), (64, 10000.0), (64, 5e5), (128, 1e6), (96, 500.0)]
)


def long_factors(width: int) -> list[float]:
    return np.linspace(1, 30, width // 2).tolist()


def short_factors(width: int) -> list[float]:
    return np.linspace(1, 1.5, width // 2).tolist()


def pairs_of(factor: float, width: int) -> dict[str, tuple[Scaling, dict[str, Any]]]:
    """Our scalings beside Hugging Face's parameters."""
    lists = (short_factors(width), long_factors(width))
    hf_lists = dict(zip(("short_factor", "long_factor"), lists, strict=True))
    return {
        "linear": (LinearScaling(factor), {"rope_type": "linear"}),
        "dynamic": (DynamicNTK(factor, LENGTH), {"rope_type": "dynamic"}),
        "yarn": (YaRN(factor, LENGTH), {"rope_type": "yarn"}),
        "yarn-options": (
            YaRN(factor, 4096, 16.0, 2.0, truncate=False, mscale=0.7, mscale_all_dim=0.9),
            {"rope_type": "yarn", "original_max_position_embeddings": 4096, "beta_fast": 16.0,
             "beta_slow": 2.0, "truncate": False, "mscale": 0.7, "mscale_all_dim": 0.9},
        ),
        "llama3": (
            Llama3(factor, LENGTH),
            {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0},
        ),
        "llama3-options": (
            Llama3(factor, 8192, 2.0, 5.0),
            {"rope_type": "llama3", "original_max_position_embeddings": 8192,
             "low_freq_factor": 2.0, "high_freq_factor": 5.0},
        ),
        "longrope": (LongRoPE(factor, LENGTH, *lists), {"rope_type": "longrope", **hf_lists}),
    }  # fmt: skip


PAIRS = list(pairs_of(2.0, 8))
each_pair = pytest.mark.parametrize("name", PAIRS)


def config(width: int, base: float, factor: float, parameters: dict[str, Any]) -> LlamaConfig:
    rope = {"rope_theta": base, "factor": factor, "original_max_position_embeddings": LENGTH}
    return LlamaConfig(
        hidden_size=H * width,
        num_attention_heads=H,
        head_dim=width,
        max_position_embeddings=LENGTH,
        rope_parameters=rope | parameters,
    )


def up_to(length: int) -> Tensor:
    """Positions of a sequence of so many tokens, of which few are needed."""
    return torch.tensor([[0, length // 2, length - 1]])


@each_pair
@each_factor
@each_size
@pytest.mark.parametrize("length", [LENGTH // 2, LENGTH, LENGTH + 1, 5 * LENGTH])
def test_frequencies_and_temperature_equal_transformers(
    name: str, factor: float, width: int, base: float, length: int
) -> None:
    scaling, parameters = pairs_of(factor, width)[name]
    theirs = ROPE_INIT_FUNCTIONS[parameters["rope_type"]]
    expected, attention_factor = theirs(
        config(width, base, factor, parameters), torch.device("cpu"), seq_len=length
    )
    inv_freq, temperature = scaling(base, width, up_to(length))
    torch.testing.assert_close(inv_freq.flatten(), expected, rtol=1e-6, atol=0)
    assert temperature == pytest.approx(attention_factor, rel=1e-6)


@each_size
@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
def test_p_rope_equals_transformers(width: int, base: float, fraction: float) -> None:
    parameters = {"rope_type": "proportional", "partial_rotary_factor": fraction}
    theirs = ROPE_INIT_FUNCTIONS["proportional"]
    expected, _ = theirs(config(width, base, 1.0, parameters), torch.device("cpu"))
    ours = PRoPE(Dims(H * width, H, 1), base=base, fraction=fraction)
    torch.testing.assert_close(ours.spectrum(up_to(9)).inv_freq, expected, rtol=1e-6, atol=0)


@each_pair
@each_factor
@pytest.mark.parametrize("length", [LENGTH, 5 * LENGTH])
def test_logits_equal_a_llama_rotary_embedding(name: str, factor: float, length: int) -> None:
    width, base = 64, 10000.0
    scaling, parameters = pairs_of(factor, width)[name]
    q, k = torch.randn(2, B, H, length, width)
    positions = torch.arange(length).unsqueeze(0)
    theirs = modeling_llama.LlamaRotaryEmbedding(config(width, base, factor, parameters))
    their_q, their_k = modeling_llama.apply_rotary_pos_emb(q, k, *theirs(q, positions))
    encoding = RoPE(Dims(H * width, H, 1), base=base, scaling=scaling)
    ours_q, ours_k = encoding.transform(site_of(encoding, 0, q[:, 0], q, k, positions, positions))
    expected = their_q @ their_k.mT
    torch.testing.assert_close(ours_q @ ours_k.mT, expected, rtol=1e-4, atol=1e-3)


@each_factor
@each_size
def test_what_transformers_lacks_equals_its_transcription(
    factor: float, width: int, base: float
) -> None:
    options: dict[str, Any] = {"factor": factor, "trained_length": LENGTH}
    for scaling, transcribed in (
        (NTKAware(factor), partial(rotary.ntk_aware, factor=factor)),
        (NTKByParts(**options), partial(rotary.ntk_by_parts, **options)),
        (
            NTKByParts(**options, truncate=False, beta_fast=8.0),
            partial(rotary.ntk_by_parts, **options, truncate=False, beta_fast=8.0),
        ),
        (
            NTKByParts(**options, ramp="rotations"),
            partial(rotary.ntk_by_parts, **options, ramp="rotations"),
        ),
        (Clipped(**options), partial(rotary.clipped, trained_length=LENGTH)),
        (Clipped(**options, pairs=4), partial(rotary.clipped, trained_length=LENGTH, pairs=4)),
        (Clipped(**options, pairs=1), partial(rotary.clipped, trained_length=LENGTH, pairs=1)),
    ):
        inv_freq, temperature = scaling(base, width, up_to(5 * LENGTH))
        expected, expected_temperature = transcribed(base, width, 5.0 * LENGTH)
        np.testing.assert_allclose(inv_freq.double(), expected, rtol=2e-6)
        assert temperature == expected_temperature == 1


@pytest.mark.parametrize(
    ("scaling", "transcribed"),
    [
        (
            DynamicNTK(2.0, 8),
            partial(rotary.dynamic_ntk, factor=2.0, trained_length=8),
        ),
        (
            LongRoPE(4.0, 8, SHORT, LONG),
            partial(rotary.longrope, factor=4.0, trained_length=8, short_factors=SHORT,
                    long_factors=LONG),
        ),
    ],
    ids=["dynamic-ntk", "longrope"],
)  # fmt: skip
def test_each_sequence_has_its_own_length(scaling: Scaling, transcribed: rotary.Scaled) -> None:
    encoding = RoPE(Dims(32, 4, 1), scaling=scaling)
    positions = torch.tensor([[0, 2, 7], [0, 3, 8], [1, 20, 31]])
    q, k = torch.randn(2, 3, 4, 3, 8)
    site = site_of(encoding, 0, torch.randn(3, 3, 32), q, k, positions, positions)
    expected = rotary.rope(
        oracle_view(encoding, site, torch.zeros(3, 4, 3, 3)), scaling=transcribed
    )
    for value, wanted in zip(encoding.transform(site), (expected.q, expected.k), strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scaling", [DynamicNTK(4.0, 4), LongRoPE(4.0, 4)])
def test_padding_is_no_part_of_a_length(scaling: Scaling) -> None:
    """How wide a batch is must change nothing for a sequence shorter than another in it."""
    encoder = Encoder(Dims(32, 4, 1), lambda dims: RoPE(dims, scaling=scaling), init_std=0.2).eval()
    x, lengths = torch.randn(4, 12, 32), torch.tensor([12, 7, 5, 3])
    padded = encoder(x, lengths=lengths)
    for row, n in enumerate(lengths.tolist()):
        alone = encoder(x[row : row + 1, :n])
        torch.testing.assert_close(padded[row : row + 1, :n], alone)


@each_size
def test_dynamic_ntk_leaves_lengths_that_were_trained(width: int, base: float) -> None:
    scaling, unscaled = DynamicNTK(8.0, LENGTH), geometric(base, width, torch.device("cpu"))
    for length in (1, LENGTH // 2, LENGTH):
        assert torch.equal(scaling(base, width, up_to(length)).inv_freq.flatten(), unscaled)
    assert not torch.equal(scaling(base, width, up_to(LENGTH + 1)).inv_freq.flatten(), unscaled)


@each_size
@pytest.mark.parametrize("scaling", ALL)
def test_factor_1_changes_nothing(scaling: Callable[..., Scaling], width: int, base: float) -> None:
    inv_freq, temperature = scaling(factor=1.0, trained_length=LENGTH)(base, width, up_to(LENGTH))
    unscaled = geometric(base, width, torch.device("cpu"))
    torch.testing.assert_close(inv_freq.flatten(), unscaled, rtol=3e-7, atol=0)
    assert temperature == 1


@each_size
def test_clipped_fades_out_those_that_never_finish_a_turn(width: int, base: float) -> None:
    unscaled = geometric(base, width, torch.device("cpu"))
    inv_freq, temperature = Clipped(4.0, LENGTH)(base, width, up_to(LENGTH))
    finished = 2 * np.pi / unscaled <= LENGTH
    assert torch.equal(inv_freq[finished], unscaled[finished])
    assert inv_freq[-1] == 0
    assert inv_freq.diff().max() <= 0
    assert temperature == 1


@pytest.mark.parametrize("scaling", [*ALL, Clipped])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 0.5}, r"factor=0.5 must be a number in \[1, "),
        ({"factor": float("nan")}, "factor=nan must be"),
        ({"factor": 2.0, "trained_length": 1}, "trained_length=1 must be at least 2"),
    ],
)
def test_nonsense_is_refused(
    scaling: Callable[..., Scaling], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        scaling(**arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: YaRN(2.0, beta_fast=1.0), r"YaRN: beta_fast=1.0 must be a number in \(1, "),
        (lambda: YaRN(2.0, mscale=-1.0), r"mscale=-1.0 must be a number in \[0, "),
        (
            lambda: Llama3(2.0, high_freq_factor=0.5),
            r"Llama3: high_freq_factor=0.5 must be a number in \(1, ",
        ),
        (lambda: LongRoPE(2.0, short_factors=[1.0, 0.0]), "short_factors=0.0 must be a number"),
        (
            lambda: LongRoPE(2.0, long_factors=[1.0])(10.0, 8, up_to(9)),
            "long_factors=.* must name one for each of the 4",
        ),
        (lambda: Clipped(2.0, pairs=-1), "pairs=-1 must be at least 0"),
        (lambda: Clipped(2.0, pairs=5)(10.0, 8, up_to(9)), "pairs=5 must be at most 4"),
        (lambda: NTKAware(2.0)(10.0, 2, up_to(9)), "at least 4 channels that turn, got 2"),
        (lambda: DynamicNTK(2.0)(10.0, 2, up_to(9)), "at least 4 channels that turn, got 2"),
    ],
)
def test_nonsense_of_one_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
