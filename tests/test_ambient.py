"""Nothing depends on what torch takes for granted: its default dtype, its default device.

Faults F2 (spoilt positions under bf16-true), F21 (safetensors) and their kind: every encoding,
scaling, sampler of positions and task gives the same numbers under every default, and every
encoding can be made on the meta device. What is made of a model by torch.func, torch.jit.trace and
torch.export: tests/test_transformed.py. Metrics: tests/modules/test_metrics.py.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins.precision import DoublePrecision, HalfPrecision, Precision
from safetensors.torch import load, save
from torch import Tensor

import lightning_posenc.positions
import lightning_posenc.tasks
from lightning_posenc import Dims
from lightning_posenc.positional.rotary import scaling
from lightning_posenc.positional.rotary.scaling import Scaling
from lightning_posenc.positions import Positions, Sequences
from lightning_posenc.tasks import Task, generate
from lightning_posenc.testing.samples import possible
from tests.cases import CASES, Case
from tests.helpers import each_method, encoder, hooks, placed, site_of, tokens
from tests.tasks.solvers import all_solvers

CPU = torch.device("cpu")
TASKS = {name: task for name, (task, _) in all_solvers().items()}
FACTORS = [1.03 + 0.31 * i for i in range(16)]  # that half precision does not hold


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    given = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(given)


AMBIENTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "bfloat16": partial(default_dtype, torch.bfloat16),
    "float16": partial(default_dtype, torch.float16),
    "float64": partial(default_dtype, torch.float64),
    "meta": lambda: torch.device("meta"),
}


def assert_same_everywhere(compute: Callable[[], Any]) -> None:
    """What is computed from one seed is the same under every ambient, bit by bit, dtypes too."""
    torch.manual_seed(0)
    expected = list(leaves(compute()))
    assert expected
    for name, ambient in AMBIENTS.items():
        torch.manual_seed(0)
        with ambient():
            found = list(leaves(compute()))
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert (type(ours), ours.dtype, ours.device) == (Tensor, theirs.dtype, theirs.device)
            assert torch.equal(ours, theirs), f"{name}: off by {(ours - theirs).abs().max()}"


def leaves(value: Any) -> Iterator[Tensor]:
    """The tensors, and the numbers as tensors, of nested tuples, lists and mappings."""
    if isinstance(value, Tensor):
        yield value.detach()
    elif isinstance(value, bool | int | float):
        yield torch.tensor(value, dtype=torch.float64, device="cpu")
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))
    elif isinstance(value, tuple | list):
        for each in value:
            yield from leaves(each)


def far_apart(case: Case) -> Tensor:
    """Positions at which half precision is coarse, or as far as a table goes."""
    steps = torch.arange(12).unsqueeze(0)
    return case.place(steps * (97 if case.limit is None else (case.limit - 1) // 11))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_encodings_give_the_same_numbers_everywhere(case: Case) -> None:
    """F2: what `prepare` and all hooks give, of a model whose weights are float32."""
    # Twelve heads: slopes that half precision does not hold.
    sizes = Dims(96, 12, 2, causal=bool(case.refused))
    encoding, positions = case.factory(sizes), far_apart(case)
    n_tokens = positions.shape[1]
    x = torch.randn(2, n_tokens, sizes.d_model)
    q, k = torch.randn(2, 2, sizes.n_heads, n_tokens, sizes.d_head)
    logits = torch.randn(2, sizes.n_heads, n_tokens, n_tokens)

    def numbers() -> Any:
        given = []
        for layer in range(sizes.n_layers):
            site = site_of(encoding, layer, x, q, k, positions, positions)
            given.append((site.prepared, hooks(encoding, site, logits), encoding.penalty()))
        return given

    assert_same_everywhere(numbers)


SCALINGS: tuple[Scaling, ...] = (
    scaling.ABF(3.3, 512),
    scaling.Clipped(3.3, 512),
    scaling.LinearScaling(3.3),
    scaling.NTKAware(3.3),
    scaling.DynamicNTK(3.3, 512),
    scaling.NTKByParts(3.3, 512),
    scaling.NTKByParts(3.3, 512, ramp="rotations", truncate=False),
    scaling.YaRN(3.3, 512),
    scaling.Llama3(3.3, 512),
    scaling.LongRoPE(3.3, 512, FACTORS, FACTORS[::-1]),
)


def test_scalings_give_the_same_numbers_everywhere() -> None:
    named = {getattr(scaling, name) for name in scaling.__all__} - {Scaling, scaling.Spectrum}
    assert {type(each) for each in SCALINGS} == {each for each in named if isinstance(each, type)}
    for each in SCALINGS:
        for length in (500, 2048):
            positions = torch.arange(length).unsqueeze(0)
            assert_same_everywhere(partial(each, 10000.0, 32, positions))


SAMPLERS: dict[str, Callable[[], Positions]] = {
    "Abacus": partial(lightning_posenc.positions.Abacus, per_sequence=True),
    "Consecutive": lightning_posenc.positions.Consecutive,
    "Graph": partial(lightning_posenc.positions.Graph, [(0, i) for i in range(1, 300)]),
    "Grid": lightning_posenc.positions.Grid,
    "Interpolated": partial(lightning_posenc.positions.Interpolated, 37),
    "Jittered": partial(lightning_posenc.positions.Jittered, mean_normalize=True),
    "PerDocument": lightning_posenc.positions.PerDocument,
    "PoSE": partial(lightning_posenc.positions.PoSE, 5000),
    "PositionCoupling": partial(lightning_posenc.positions.PositionCoupling, max_position=400),
    "RandomDistances": partial(lightning_posenc.positions.RandomDistances, 5000),
    "Randomized": partial(lightning_posenc.positions.Randomized, per_sequence=True, seed=3),
    "Shifted": partial(lightning_posenc.positions.Shifted, 5000),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_draw_the_same_positions_everywhere(name: str, training: bool) -> None:
    """F2, and a seed means the same positions whatever the default device is."""
    ids = torch.randint(12, (3, 288))
    documents = torch.arange(288).div(50, rounding_mode="floor").expand(3, -1)

    def drawn() -> Tensor:
        sampler = SAMPLERS[name]().train(training)
        positions: Tensor = sampler(Sequences(3, 288, CPU, documents, tokens=ids))
        assert positions.dtype in (torch.int64, torch.float32)
        return positions

    assert_same_everywhere(drawn)


def test_every_sampler_is_tried() -> None:
    named = set(lightning_posenc.positions.__all__) - {
        "Places",
        "Positions",
        "Sequences",
        "shortest_paths",
    }
    assert set(SAMPLERS) == named


@pytest.mark.parametrize("name", TASKS)
def test_tasks_make_the_same_samples_everywhere(name: str) -> None:
    task: Task = TASKS[name]
    length = possible(task, range(6, 60))[0]
    index = torch.arange(5)

    def made() -> Any:
        return generate(task, 1, "train", index, length)

    assert_same_everywhere(made)


PRECISIONS: dict[str, Callable[[], Precision]] = {
    "bf16-true": partial(HalfPrecision, "bf16-true"),
    "16-true": partial(HalfPrecision, "16-true"),
    "64-true": DoublePrecision,
}
ERRORS = {"bf16-true": 0.1, "16-true": 0.02, "64-true": 1e-4}  # of random weights, relative


@pytest.mark.parametrize(
    "precision",
    ["bf16-true", *(pytest.param(name, marks=pytest.mark.slow) for name in ("16-true", "64-true"))],
)
@each_method
def test_half_and_double_precision_stay_near_float32(case: Case, precision: str) -> None:
    """F2: in Lightning's own contexts, at positions where bfloat16 would be off by radians."""
    plugin = PRECISIONS[precision]()
    with plugin.module_init_context():
        model = encoder(case, causal=True)
    dtypes = {parameter.dtype for parameter in model.parameters()}
    assert dtypes <= {plugin.convert_input(torch.ones(1)).dtype}  # as torch's own modules
    model = plugin.convert_module(model)
    exact = encoder(case, causal=True)
    exact.load_state_dict(model.state_dict())
    x, positions = tokens(12), far_apart(case)
    with plugin.forward_context():
        out = model(plugin.convert_input(x), positions=positions)
    expected = exact(x, positions=positions)
    error = (out.double() - expected.double()).norm() / expected.double().norm()
    assert error < ERRORS[precision]


@each_method
def test_every_encoding_can_be_made_on_the_meta_device(case: Case) -> None:
    """Nothing is computed there, and all of it is filled by a checkpoint, one of safetensors too
    (F21)."""
    model, x, positions = encoder(case, causal=True), tokens(), placed(case)
    with torch.device("meta"):
        empty = encoder(case, causal=True)
    state = empty.state_dict()
    assert [name for name, value in state.items() if not value.is_meta] == []
    filled = empty.to_empty(device="cpu")
    filled.load_state_dict(load(save(model.state_dict())))
    assert torch.equal(filled(x, positions=positions), model(x, positions=positions))


def test_a_default_dtype_that_spoils_is_seen() -> None:
    """The comparison itself: numbers made without a dtype are told from those made with one."""
    with pytest.raises(AssertionError):
        assert_same_everywhere(lambda: torch.tensor([0.1]))
    with pytest.raises(AssertionError):
        assert_same_everywhere(lambda: torch.arange(3) / 3)
