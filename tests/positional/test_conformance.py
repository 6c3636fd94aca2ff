"""What every encoding must do in a model, whatever its formula: one suite over the table of cases.

Shapes: B sequences, T tokens, D = d_model, H heads, K channels of a head.
"""

import copy
import io
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_posenc import Encoder
from lightning_posenc.masks import Mask, Window
from lightning_posenc.model import Attention, Eager
from lightning_posenc.model.cache import Cache
from lightning_posenc.positional import PositionalEncoding
from lightning_posenc.positions import PerDocument
from tests.cases import CASES, Case, compose
from tests.helpers import (
    BATCH,
    D_MODEL,
    LENGTH,
    N_HEADS,
    assert_same_gradients,
    completed,
    counted,
    dims,
    drawn,
    each_case_both_ways,
    each_method,
    each_method_both_ways,
    encoder,
    hooks,
    oracle_view,
    placed,
    site_of,
    tokens,
)
from tests.oracles.base import Array

DOCUMENTS = torch.tensor([[0] * 3 + [1] * 6 + [2], [0] * LENGTH, [0] * 5 + [1] * 5])
LENGTHS = torch.tensor([LENGTH, 6, 1])
ONE_OF_EACH_CLASS = list(
    {type(case.factory(dims(True))): case for case in reversed(CASES)}.values()
)


@each_method_both_ways
def test_shape_and_dtype(case: Case, causal: bool) -> None:
    model = encoder(case, causal)
    out = model(tokens())
    assert out.shape == (BATCH, LENGTH, D_MODEL)
    assert out.dtype == torch.float32
    assert model.to(torch.bfloat16)(tokens().bfloat16()).dtype == torch.bfloat16


@each_method
def test_future_does_not_reach_the_past(case: Case) -> None:
    model, x, positions = encoder(case, causal=True), tokens(), placed(case)
    changed = torch.cat([x[:, :6], tokens(LENGTH - 6)], dim=1)
    before, after = model(x, positions=positions), model(changed, positions=positions)
    torch.testing.assert_close(after[:, :6], before[:, :6], rtol=0, atol=1e-6)
    assert ((after - before).abs().amax(dim=-1) > 1e-2)[:, 6:].all()


@each_case_both_ways
def test_gradients_reach_what_the_oracle_depends_on(case: Case, causal: bool) -> None:
    """An entry of a parameter has a gradient just where moving it moves the oracle's result."""
    model, positions = encoder(case, causal), counted(case)
    out = model(tokens(), positions=positions)
    parameters = dict(model.positional.named_parameters())
    if not parameters:
        return
    grads = torch.autograd.grad((out * torch.randn_like(out)).sum(), list(parameters.values()))
    oracle = Reach(case, model.positional, causal)
    for (name, parameter), grad in zip(parameters.items(), grads, strict=True):
        assert grad.isfinite().all()
        entries = np.unique(np.linspace(0, parameter.numel() - 1, 10).astype(int))
        reached = grad.flatten()[torch.from_numpy(entries)].abs() > 1e-6 * grad.abs().amax()
        expected = [oracle.uses(name, entry) for entry in entries]
        assert any(expected), f"{name}: the oracle does not use it"
        assert reached.tolist() == expected, name


class Reach:
    """What the oracle's result depends on, in any layer."""

    def __init__(self, case: Case, encoding: PositionalEncoding, causal: bool) -> None:
        generator = torch.Generator().manual_seed(0)
        positions = counted(case)
        visible = np.tri(LENGTH, dtype=bool) if causal else np.ones((LENGTH, LENGTH), dtype=bool)
        q, k = torch.randn(2, 1, N_HEADS, LENGTH, D_MODEL // N_HEADS, generator=generator)
        x = torch.randn(1, LENGTH, D_MODEL, generator=generator)
        logits = torch.randn(1, N_HEADS, LENGTH, LENGTH, generator=generator)
        logits = logits.masked_fill(~torch.from_numpy(visible), -torch.inf)
        self.oracle = case.oracle
        self.visible = visible
        views = (
            oracle_view(encoding, site_of(encoding, layer, x, q, k, positions, positions), logits)
            for layer in range(encoding.dims.n_layers)
        )
        self.layers = [(given, completed(case.oracle(given), given)) for given in views]

    def uses(self, name: str, entry: int) -> bool:
        """Whether moving one entry of a parameter moves what a softmax does not cancel."""
        for given, before in self.layers:
            moved = given.parameters[name].copy()
            moved.flat[entry] += 1e-3
            other = given._replace(parameters=given.parameters | {name: moved})
            after = completed(self.oracle(other), other)
            if any(self._differ(what, value, after[what]) for what, value in before.items()):
                return True
        return False

    def _differ(self, what: str, before: Array | None, after: Array | None) -> bool:
        if before is None or after is None:
            return False
        change = np.zeros_like(before)
        np.subtract(after, before, out=change, where=np.isfinite(before))
        if what in ("bias", "logits"):  # a constant along the visible keys changes nothing
            visible = self.visible
            change = np.where(visible, change, 0)
            change -= visible * change.sum(-1, keepdims=True) / visible.sum(-1)[:, None]
        return bool(np.abs(change).max() > 1e-9)


@each_method_both_ways
def test_state_dict_round_trip(case: Case, causal: bool) -> None:
    model, other = encoder(case, causal), encoder(case, causal)
    x, positions = tokens(), placed(case)
    expected = model(x, positions=positions)
    assert not torch.allclose(other(x, positions=positions), expected, atol=1e-2)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(x, positions=positions), expected)


@each_method
def test_pickle_and_deepcopy(case: Case) -> None:
    model, x, positions = encoder(case, causal=True), tokens(), placed(case)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for copied in (torch.load(file, weights_only=False), copy.deepcopy(model)):
        assert torch.equal(copied(x, positions=positions), model(x, positions=positions))
        assert not _storages(copied) & _storages(model)


def _storages(model: Encoder) -> set[int]:
    return {parameter.data_ptr() for parameter in model.parameters()}


# Dynamo looks at the .grad of what crosses a graph break.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("case", ONE_OF_EACH_CLASS, ids=lambda case: case.name)
def test_compiled_equals_eager(case: Case) -> None:
    """One case of each class, causal, in one layer if it can be: compiling takes seconds."""
    torch.compiler.reset()
    n_layers = 2 if case in compose.CASES else 1
    model, x, positions = encoder(case, True, n_layers), tokens(), placed(case)
    compiled = torch.compile(model, backend="aot_eager")(x, positions=positions)
    expected = model(x, positions=positions)
    torch.testing.assert_close(compiled, expected, rtol=0, atol=1e-5)
    assert_same_gradients(compiled, model, expected, model, atol=1e-5)


@each_method_both_ways
def test_bfloat16_autocast_is_near_float32(case: Case, causal: bool) -> None:
    length = min(256, case.limit or 256)
    model, x, positions = encoder(case, causal), tokens(length, batch=1), placed(case, length)
    expected = model(x, positions=positions)
    with torch.autocast("cpu", torch.bfloat16):
        out = model(x, positions=positions)
    assert _relative_error(out, expected) < 0.02


@each_method_both_ways
def test_bfloat16_model_keeps_positions_apart(case: Case, causal: bool) -> None:
    """What a bfloat16 encoding adds is off by bfloat16's rounding of the result, never of a
    position: at 512 such positions the neighbours would coincide."""
    length = min(512, case.limit or 512)
    rough = case.factory(dims(causal)).to(torch.bfloat16)
    exact = copy.deepcopy(rough).float()
    positions = counted(case, length)
    x = torch.randn(1, length, D_MODEL).bfloat16()
    q, k = torch.randn(2, 1, N_HEADS, length, D_MODEL // N_HEADS).bfloat16()
    logits = torch.zeros(1, N_HEADS, length, length)
    at = (positions, positions)
    for layer in range(2):
        ours = hooks(rough, site_of(rough, layer, x, q, k, *at), logits)
        wide = site_of(exact, layer, x.float(), q.float(), k.float(), *at)
        for name, expected in hooks(exact, wide, logits).items():
            value = ours[name]
            if value is None or expected is None:
                assert value is expected, name
                continue
            torch.testing.assert_close(value.float(), expected, rtol=2**-6, atol=0.02)


@each_method_both_ways
@pytest.mark.parametrize("seen", ["all", "padded", "packed", "window"])
def test_sdpa_equals_eager(case: Case, causal: bool, seen: str) -> None:
    pattern: Mask | None = Window(3) if seen == "window" else None
    model = encoder(case, causal, mask=pattern)
    oracle = with_eager_kernels(model)
    x, positions = tokens(), placed(case)
    lengths = LENGTHS if seen == "padded" else None
    documents = DOCUMENTS if seen == "packed" else None
    out = model(x, lengths, documents, positions)
    expected = oracle(x, lengths, documents, positions)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
    assert_same_gradients(out, model, expected, oracle, atol=1e-4)


def with_eager_kernels(model: Encoder) -> Encoder:
    oracle = copy.deepcopy(model)
    for module in oracle.modules():
        if isinstance(module, Attention):
            module.kernel = Eager()
    return oracle


@each_method_both_ways
def test_padded_batch_equals_each_sequence_alone(case: Case, causal: bool) -> None:
    model, x, positions = encoder(case, causal), tokens(), drawn(case)
    padded = model(x, lengths=LENGTHS, positions=case.place(positions))
    for row, length in enumerate(LENGTHS.tolist()):
        alone = model(x[row : row + 1, :length], positions=case.place(positions[:, :length]))
        torch.testing.assert_close(padded[row, :length], alone[0], rtol=0, atol=1e-5)


@each_method_both_ways
def test_packed_documents_equal_each_document_alone(case: Case, causal: bool) -> None:
    model, x = encoder(case, causal, positions=PerDocument()), tokens()
    packed = model(x, documents=DOCUMENTS)
    for row, ids in enumerate(DOCUMENTS):
        for document in ids.unique():
            own = ids == document
            alone = model(x[row, own].unsqueeze(0))
            torch.testing.assert_close(packed[row, own], alone[0], rtol=0, atol=1e-5)


@each_method_both_ways
def test_independent_of_the_rest_of_the_batch(case: Case, causal: bool) -> None:
    model, x, positions = encoder(case, causal), tokens(), placed(case)
    together = model(x, positions=positions)
    for row in range(BATCH):
        alone = model(x[row : row + 1], positions=positions)
        torch.testing.assert_close(together[row], alone[0], rtol=0, atol=1e-5)


@each_method
def test_longer_works_or_names_the_limit(case: Case) -> None:
    model = encoder(case, causal=True)
    if case.limit is None:
        assert model(tokens(600, batch=1)).isfinite().all()
        return
    assert case.limit is not None
    assert model(tokens(case.limit, batch=1)).isfinite().all()
    with pytest.raises(ValueError, match=rf"\b{case.limit}\b"):
        model(tokens(case.limit + 1, batch=1))


@each_method_both_ways
def test_checkpointed_activations_change_nothing(case: Case, causal: bool) -> None:
    model, x, positions = encoder(case, causal).train(), tokens(), placed(case)
    other = copy.deepcopy(model)
    other.checkpoint_activations = True
    expected, out = model(x, positions=positions), other(x, positions=positions)
    assert torch.equal(out, expected)
    assert_same_gradients(out, other, expected, model, atol=1e-6)


GROUPED = partial(Attention, n_kv_heads=2)


@each_method_both_ways
def test_grouped_heads_equal_repeated_heads(case: Case, causal: bool) -> None:
    grouped, full = encoder(case, causal, mixer=GROUPED), encoder(case, causal)
    state = grouped.state_dict()
    for name, value in state.items():
        if "qkv" in name:
            state[name] = _repeated(value)
    full.load_state_dict(state)
    x, positions = tokens(), placed(case)
    torch.testing.assert_close(
        grouped(x, positions=positions), full(x, positions=positions), rtol=0, atol=1e-5
    )


def _repeated(qkv: Tensor) -> Tensor:
    """Give each query head a copy of its group's key and value projections."""
    q, k, v = qkv.split([D_MODEL, D_MODEL // 2, D_MODEL // 2])
    k, v = (
        part.unflatten(0, (2, -1)).repeat_interleave(N_HEADS // 2, dim=0).flatten(0, 1)
        for part in (k, v)
    )
    return torch.cat([q, k, v])


@each_method
@pytest.mark.parametrize("steps", [(LENGTH - 4, 1, 1, 2), (1,) * LENGTH], ids=["chunks", "one"])
def test_reading_with_a_cache_equals_reading_at_once(case: Case, steps: tuple[int, ...]) -> None:
    """Whatever a method does with keys, those that are remembered serve as those computed anew."""
    model, x, positions = encoder(case, causal=True, mixer=GROUPED), tokens(), drawn(case)
    cache, read, outputs = Cache(), 0, []
    for step in steps:
        here = case.place(positions[:, : read + step])
        outputs.append(model(x[:, read : read + step], positions=here, cache=cache))
        read += step
    expected = model(x, positions=case.place(positions))
    torch.testing.assert_close(torch.cat(outputs, dim=1), expected, rtol=0, atol=1e-5)


@each_method_both_ways
def test_gradient_of_positions(case: Case, causal: bool) -> None:
    model = encoder(case, causal)
    positions = (torch.rand(BATCH, LENGTH) * 20).sort(dim=1).values.requires_grad_()
    out = model(tokens().requires_grad_(), positions=case.place(positions))
    (out * torch.randn_like(out)).sum().backward()
    if not case.differentiable:
        assert positions.grad is None
        return
    assert positions.grad is not None
    assert positions.grad.isfinite().all()
    assert positions.grad.abs().amax() > 1e-3


@each_method
def test_content_dependence(case: Case) -> None:
    """A bias that does not read the tokens can be computed once for all sequences."""
    encoding, positions = case.factory(dims(causal=True)), placed(case)
    biases: list[Tensor | None] = []
    reads = False
    for layer in range(2):
        for x in (tokens(), tokens()):
            q, k = torch.randn(2, BATCH, N_HEADS, LENGTH, D_MODEL // N_HEADS)
            site = site_of(encoding, layer, x, q, k, positions, positions)
            biases.append(encoding.bias(site))
            reads = reads or encoding.rescore(site) is not None
    for first, second in zip(biases[::2], biases[1::2], strict=True):
        if first is not None and second is not None:
            reads = reads or not torch.equal(first, second)
    assert reads == case.content_dependent


def _relative_error(value: Tensor, expected: Tensor) -> float:
    return ((value.float() - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.refused], ids=lambda case: case.name
)
def test_refusal_of_a_bidirectional_model_says_why(case: Case) -> None:
    with pytest.raises(ValueError, match=case.refused):
        case.factory(dims(causal=False))
