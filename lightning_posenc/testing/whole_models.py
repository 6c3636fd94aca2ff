"""What an encoding must do in a model, whatever its formula: one function a promise.

Shapes: B sequences, T tokens, D = d_model, H heads, K channels of a head.
"""

import copy
import io
import re
import warnings
from functools import partial

import torch
from torch import Tensor

from lightning_posenc.masks import Mask, Window
from lightning_posenc.model import Attention, Eager, Encoder
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.kernels import Kernels
from lightning_posenc.positional.compose.base import Composite
from lightning_posenc.positions import PerDocument, Places
from lightning_posenc.testing.case import Case
from lightning_posenc.testing.check import expect, expect_refusal, expect_same
from lightning_posenc.testing.models import (
    assert_same_gradients,
    counted,
    drawn,
    encoder,
    expect_gradients,
    placed,
    tokens,
)
from lightning_posenc.testing.sizes import AFFORDABLE, BATCH, D_MODEL, LENGTH, N_HEADS, dims

DOCUMENTS = torch.tensor([[0] * 3 + [1] * 6 + [2], [0] * LENGTH, [0] * 5 + [1] * 5])
LENGTHS = torch.tensor([LENGTH, 6, 1])
GROUPED = partial(Attention, n_kv_heads=2)
CHUNKS, ONE_BY_ONE = (LENGTH - 4, 1, 1, 2), (1,) * LENGTH


def shape_and_dtype(case: Case, causal: bool) -> None:
    """(B, T, D) and the dtype of the input come out, in bfloat16 too."""
    model = encoder(case, causal)
    out = model(tokens())
    expect(out.shape == (BATCH, LENGTH, D_MODEL), f"outputs of shape {tuple(out.shape)}")
    expect(out.dtype == torch.float32, f"outputs in {out.dtype} of inputs in float32")
    rough = model.to(torch.bfloat16)(tokens().bfloat16()).dtype
    expect(rough == torch.bfloat16, f"outputs in {rough} of a model and inputs in bfloat16")


def future_does_not_reach_the_past(case: Case, causal: bool) -> None:
    """Of a causal model, other tokens from the seventh on change no output before it."""
    model, x, positions = encoder(case, causal), tokens(), placed(case)
    changed = torch.cat([x[:, :6], tokens(LENGTH - 6)], dim=1)
    before, after = model(x, positions=positions), model(changed, positions=positions)
    expect_same(after[:, :6], before[:, :6], 1e-6, "earlier outputs, later tokens being others")
    moved = ((after - before).abs().amax(dim=-1) > 1e-2)[:, 6:]
    expect(moved.all(), "later outputs that their own tokens do not change")


def gradients_reach_every_parameter(case: Case, causal: bool) -> None:
    """Of each parameter some entry has a gradient, and all are finite."""
    model, positions = encoder(case, causal), counted(case)
    parameters = dict(model.positional.named_parameters())
    if not parameters:
        return
    expect_gradients(model(tokens(), positions=positions), parameters)


def state_dict_round_trip(case: Case, causal: bool) -> None:
    """Another model that loads the state_dict computes the same, bit by bit."""
    model, other = encoder(case, causal), encoder(case, causal)
    x, positions = tokens(), placed(case)
    expected = model(x, positions=positions)
    differs = not torch.allclose(other(x, positions=positions), expected, atol=1e-2)
    expect(differs, "two models drawn one after the other that compute the same")
    other.load_state_dict(model.state_dict())
    expect_same(other(x, positions=positions), expected, 0, "outputs after load_state_dict")


def pickle_and_deepcopy(case: Case, causal: bool) -> None:
    """What is saved whole, or copied, computes the same and shares no memory."""
    model, x, positions = encoder(case, causal), tokens(), placed(case)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for copied in (torch.load(file, weights_only=False), copy.deepcopy(model)):
        expected = model(x, positions=positions)
        expect_same(copied(x, positions=positions), expected, 0, "outputs of a copy")
        expect(not _storages(copied) & _storages(model), "a copy that shares parameters")


def _storages(model: Encoder) -> set[int]:
    return {parameter.data_ptr() for parameter in model.parameters()}


def compiled_equals_eager(case: Case, causal: bool) -> None:
    """Outputs and gradients of a compiled model; in one layer if it can be: it takes seconds."""
    torch.compiler.reset()
    n_layers = 2 if isinstance(case.factory(dims(causal)), Composite) else 1
    model, x, positions = encoder(case, causal, n_layers), tokens(), placed(case)
    with warnings.catch_warnings():
        # Dynamo looks at the .grad of what crosses a graph break.
        warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
        compiled = torch.compile(model, backend="aot_eager")(x, positions=positions)
        expected = model(x, positions=positions)
        expect_same(compiled, expected, 1e-5, "outputs of the compiled model")
        assert_same_gradients(compiled, model, expected, model, atol=1e-5)


def bfloat16_autocast_is_near_float32(case: Case, causal: bool) -> None:
    """Under autocast outputs are off by bfloat16's own rounding, at 256 tokens too."""
    length = min(256, case.limit or 256)
    model, x, positions = encoder(case, causal), tokens(length, batch=1), placed(case, length)
    expected = model(x, positions=positions)
    with torch.autocast("cpu", torch.bfloat16):
        out = model(x, positions=positions)
    off = ((out.float() - expected).norm() / expected.norm()).item()
    expect(off < 0.02, f"outputs off by {off:.1%} at {length} tokens")


def sdpa_equals_eager(case: Case, causal: bool, seen: str) -> None:
    """Outputs and gradients of the fused kernel are those of the plain formula.

    Args:
        case: The encoding.
        causal: Of the model.
        seen: What hides keys besides causality: "all" (nothing), "padded", "packed", "window".
    """
    pattern: Mask | None = Window(3) if seen == "window" else None
    model = encoder(case, causal, mask=pattern)
    oracle = _with_eager_kernels(model)
    x, positions = tokens(), placed(case)
    lengths = LENGTHS if seen == "padded" else None
    documents = DOCUMENTS if seen == "packed" else None
    out = model(x, lengths, documents, positions)
    expected = oracle(x, lengths, documents, positions)
    expect_same(out, expected, 1e-5, "outputs by the fused kernel")
    assert_same_gradients(out, model, expected, oracle, atol=1e-4)


def _with_eager_kernels(model: Encoder) -> Encoder:
    oracle = copy.deepcopy(model)
    for module in oracle.modules():
        if isinstance(module, Attention):
            module.kernel = Kernels(Eager())
    return oracle


def padded_batch_equals_each_sequence_alone(case: Case, causal: bool) -> None:
    """Padding behind a sequence changes none of its outputs."""
    model, x, positions = encoder(case, causal), tokens(), drawn(case)
    padded = model(x, lengths=LENGTHS, positions=case.place(positions))
    for row, length in enumerate(LENGTHS.tolist()):
        alone = model(x[row : row + 1, :length], positions=case.place(positions[:, :length]))
        expect_same(padded[row, :length], alone[0], 1e-5, f"the {length} tokens before padding")


def packed_documents_equal_each_document_alone(case: Case, causal: bool) -> None:
    """What stands in the same row before or after a document changes none of its outputs."""
    model, x = encoder(case, causal, positions=PerDocument()), tokens()
    packed = model(x, documents=DOCUMENTS)
    for row, ids in enumerate(DOCUMENTS):
        for document in ids.unique():
            own = ids == document
            alone = model(x[row, own].unsqueeze(0))
            expect_same(packed[row, own], alone[0], 1e-5, f"document {document} of row {row}")


def independent_of_the_rest_of_the_batch(case: Case, causal: bool) -> None:
    """A sequence has the same outputs alone and among others."""
    model, x, positions = encoder(case, causal), tokens(), placed(case)
    together = model(x, positions=positions)
    for row in range(BATCH):
        alone = model(x[row : row + 1], positions=positions)
        expect_same(together[row], alone[0], 1e-5, f"sequence {row} in a batch and alone")


def longer_works_or_names_the_limit(case: Case, causal: bool) -> None:
    """Up to its limit it works; beyond, a ValueError of one line names the limit."""
    model = encoder(case, causal)
    longest = case.limit or AFFORDABLE + 1
    out = model(tokens(longest, batch=1))
    expect(out.isfinite().all(), f"outputs that are not finite at {longest} tokens")
    if case.limit is not None:
        said = expect_refusal(lambda: model(tokens(longest + 1, batch=1)))
        named = re.search(rf"\b{longest}\b", said)
        expect(named is not None, f"a refusal that does not name {longest}: {said}")


def checkpointed_activations_change_nothing(case: Case, causal: bool) -> None:
    """Recomputing blocks in the backward pass gives the same outputs and gradients."""
    model, x, positions = encoder(case, causal).train(), tokens(), placed(case)
    other = copy.deepcopy(model)
    other.checkpoint_activations = True
    outputs = []
    for each in (model, other):
        torch.default_generator.manual_seed(1)  # of what a part draws in training
        outputs.append(each(x, positions=positions))
    expected, out = outputs
    expect_same(out, expected, 0, "outputs with checkpointed activations")
    assert_same_gradients(out, other, expected, model, atol=1e-6)


def grouped_heads_equal_repeated_heads(case: Case, causal: bool) -> None:
    """Keys and values that query heads share serve as if each head had a copy."""
    grouped, full = encoder(case, causal, mixer=GROUPED), encoder(case, causal)
    state = grouped.state_dict()
    for name, value in state.items():
        if "qkv" in name:
            state[name] = _repeated(value)
    full.load_state_dict(state)
    x, positions = tokens(), placed(case)
    got, expected = grouped(x, positions=positions), full(x, positions=positions)
    expect_same(got, expected, 1e-5, "outputs with keys for each two heads")


def _repeated(qkv: Tensor) -> Tensor:
    """Give each query head a copy of its group's key and value projections."""
    q, k, v = qkv.split([D_MODEL, D_MODEL // 2, D_MODEL // 2])
    k, v = (
        part.unflatten(0, (2, -1)).repeat_interleave(N_HEADS // 2, dim=0).flatten(0, 1)
        for part in (k, v)
    )
    return torch.cat([q, k, v])


def reading_with_a_cache_equals_reading_at_once(
    case: Case, causal: bool, steps: tuple[int, ...]
) -> None:
    """Whatever a method does with keys, those that are remembered serve as those computed anew.

    Args:
        case: The encoding.
        causal: Of the model: True.
        steps: How many tokens are read at a time.
    """
    model, x, positions = encoder(case, causal, mixer=GROUPED), tokens(), drawn(case)
    cache, read, outputs = Cache(), 0, []
    for step in steps:
        here = case.place(positions[:, : read + step])
        if model.positional.depends_on_length(Places(here)) is not None:
            read_on = partial(model, x[:, read : read + step], positions=here, cache=cache)
            expect_refusal(read_on)
            return
        outputs.append(model(x[:, read : read + step], positions=here, cache=cache))
        read += step
    expected = model(x, positions=case.place(positions))
    expect_same(torch.cat(outputs, dim=1), expected, 1e-5, f"tokens read {steps} at a time")
