"""`Interpolated`, beside the linear scaling of transformers."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from lightning_posenc import Dims
from lightning_posenc.positional import LearnedAbsolute, RoPE
from lightning_posenc.positions import Interpolated, Randomized, Sequences
from tests.cases import CASES, Case
from tests.helpers import encoder, site_of, tokens

CPU = torch.device("cpu")


@given(st.integers(1, 40), st.integers(1, 40))
def test_interpolated_never_leaves_the_trained_range(length: int, trained: int) -> None:
    drawn = Interpolated(trained)(Sequences(3, length, CPU))
    assert drawn.is_floating_point() == (length > trained)
    expected = [t * trained / length if length > trained else t for t in range(length)]
    torch.testing.assert_close(drawn[0].float(), torch.tensor(expected).float())
    highest = max(trained - 1, trained * (length - 1) / length)
    assert drawn.amax() <= highest * (1 + 1e-6)  # of float32
    assert (drawn.diff(dim=1) > 0).all()


def test_interpolated_rope_equals_linear_scaling_of_transformers() -> None:
    rope = {"rope_type": "linear", "factor": 2.5, "rope_theta": 10000.0}
    config = LlamaConfig(hidden_size=32, num_attention_heads=4, rope_parameters=rope)
    inv_freq, _ = ROPE_INIT_FUNCTIONS["linear"](config, CPU)
    positions = Interpolated(8)(Sequences(1, 20, CPU))
    angles = torch.arange(20).unsqueeze(1) * inv_freq
    q = torch.randn(1, 4, 20, 8)
    encoding = RoPE(Dims(32, 4, 1))
    x = torch.empty(1, 20, 32)
    ours, _ = encoding.transform(site_of(encoding, 0, x, q, q, positions, positions))
    a, b = q.chunk(2, dim=-1)
    theirs = torch.cat(
        (a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()), -1
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_interpolated_scales_what_another_sampler_drew() -> None:
    inner = Randomized(64, seed=1)
    expected = copy.deepcopy(inner)(Sequences(2, 10, CPU)) * (4 / 10)
    torch.testing.assert_close(Interpolated(4, of=inner)(Sequences(2, 10, CPU)), expected)


LIMITED = [
    case for case in CASES if case.limit is not None and case.name.partition("-")[0] != "rope"
]


@pytest.mark.parametrize("case", LIMITED, ids=lambda case: case.name)
def test_tables_serve_every_longer_sequence_squeezed_into_their_rows(case: Case) -> None:
    """F4: the last position, L - L/T, lies past the last row, L - 1, and was refused."""
    assert case.limit is not None
    model = encoder(case, causal=True, positions=Interpolated(case.limit))
    for length in (case.limit + 1, 2 * case.limit, 5 * case.limit):
        assert model(tokens(length, 1)).isfinite().all()
    with pytest.raises(ValueError, match=r"(was|were) asked for"):
        model(tokens(3, 1), positions=case.place(torch.tensor([[0.0, 1.0, float(case.limit)]])))


def test_past_the_last_row_the_last_row_counts_alone() -> None:
    table = LearnedAbsolute(Dims(32, 4, 1), max_length=4)
    torch.testing.assert_close(table.vectors(torch.tensor([[3.0, 3.9]])), table.table[[3, 3]][None])
