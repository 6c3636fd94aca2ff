"""How each class is made and used: the code that its page shows, which a test runs."""

from collections.abc import Mapping
from typing import Any

import torch

from lightning_posenc.catalogue.described import example_positions, needs_only_dims
from lightning_posenc.catalogue.tasks import example_length
from lightning_posenc.dims import Dims
from lightning_posenc.model import Mixer
from lightning_posenc.positional import PositionalEncoding
from lightning_posenc.positional.rotary.scaling import Scaling
from lightning_posenc.positions import Positions
from lightning_posenc.tasks import Task

# How something is made whose arguments have no defaults, or whose defaults do nothing to the few
# tokens of an example; and what else that wants to import.
MADE = {
    "Abacus": "Abacus(max_offset=20)",
    "Chain": "Chain.of(RoPE, ALiBi)",
    "Droppable": "partial(Droppable, encoding=RoPE)",
    "FirstLayers": "partial(FirstLayers, encoding=RoPE, n=1)",
    "Graph": "Graph([[0, 1], [1, 2], [2, 3], [3, 0], [3, 4], [4, 5]])",
    "Grid": "Grid((3, 4))",
    "Interpolated": "Interpolated(trained_length=8)",
    "Mixture": "Mixture([EvenPairs(), ParityCheck()])",
    "PerLayer": "PerLayer.of(RoPE, NoPE)",
    "PoSE": "PoSE(target_length=48)",
    "RandomDistances": "RandomDistances(max_distance=48)",
    "Randomized": "Randomized(max_position=48)",
    "Shifted": "Shifted(max_shift=36)",
    "SpatialReductionAttention": "partial(SpatialReductionAttention, ratio=2)",
}
BESIDE = {
    "Chain": ("ALiBi", "RoPE"), "PerLayer": ("NoPE", "RoPE"), "FirstLayers": ("RoPE",),
    "Droppable": ("RoPE",), "Mixture": ("EvenPairs", "ParityCheck"),
}  # fmt: skip
OF_FILES = {"SCAN": 'SCAN("tasks.txt")'}
"""Tasks whose data are somebody's files: their code is shown and cannot run here."""
FIT = "python -m lightning_posenc fit --config quickstart"
CAUSAL = " --model.causal=true"
ON_A_GRID = " --model.positions=Grid --model.positions.shape=[4,8]"  # quickstart reads 32 tokens
WITH = {"Grid": "AxialRoPE", "RandomDistances": "T5Bias"}
"""Encodings that serve samplers which RoPE does not."""
CHAIN_OF_NODES = "Graph([[node, node + 1] for node in range(15)])"
SIZES = "Dims(64, 4, 2, causal=True)"


def code_of(kind: type) -> str:
    """Lines that make a thing of a class and use it."""
    for base, written in _WRITTEN.items():
        if issubclass(kind, base):
            return written(kind)
    raise ValueError(f"{kind.__name__}: no page shows how such a class is used")


def _code(imports: Mapping[str, set[str]], body: str) -> str:
    """A program: what it imports is sorted, the rest stands as it is."""
    lines = [
        f"from {home} import {', '.join(sorted(names))}"
        for home, names in sorted(imports.items(), key=lambda each: (each[0] != "functools", each))
        if names
    ]
    if "torch." in body:
        lines.insert(1 if "functools" in imports else 0, "import torch")
    return "\n".join([*lines, "", body])


def _made(kind: type) -> tuple[str, set[str]]:
    name = kind.__name__
    return MADE.get(name, name), {name, *BESIDE.get(name, ())}


def _partial(how: str) -> dict[str, set[str]]:
    return {"functools": {"partial"}} if how.startswith("partial") else {}


def encoding(kind: type[PositionalEncoding]) -> str:
    """An encoder with it."""
    how, names = _made(kind)
    imports = {
        **_partial(how), "lightning_posenc": {"Dims", "Encoder"},
        "lightning_posenc.positional": names,
    }  # fmt: skip
    where = places_of(kind)
    if where:
        imports["lightning_posenc.positions"] = {where.partition("(")[0]}
    given = f"positional={how}" + (f", positions={where}" if where else "")
    body = f"encoder = Encoder({SIZES}, {given})\n"
    return _code(imports, body + "states = encoder(torch.randn(3, 16, 64))  # (3, 16, 64)")


def places_of(kind: type[PositionalEncoding]) -> str:
    """The sampler that 16 tokens want of an encoding, as code; "" for one that counts them."""
    if not needs_only_dims(kind):
        return ""
    with torch.random.fork_rng(devices=()):
        shape = example_positions(kind(Dims(64, 4, 2, causal=True)), 16).shape
    if len(shape) == 2:
        return ""
    return CHAIN_OF_NODES if shape[2] == shape[1] else "Grid((4, 4))"


def command_of(kind: type[PositionalEncoding] | type[Positions]) -> str:
    """A command that trains quickstart with it; "" if that takes more than options."""
    name = kind.__name__
    if issubclass(kind, Positions):  # RoPE has no table, which would end
        wants = ON_A_GRID if name == "Grid" else f" --model.positions={name}"
        line = f"{FIT} --model.positional={WITH.get(name, 'RoPE')}{wants}"
        return "" if name == "Graph" else line
    where = places_of(kind)
    if not needs_only_dims(kind) or where == CHAIN_OF_NODES:
        return ""
    wants = "" if _sees_both_sides(kind) else CAUSAL  # quickstart does
    return f"{FIT} --model.positional={name}{wants}{ON_A_GRID if where else ''}"


def _sees_both_sides(kind: Any) -> bool:
    try:
        kind(Dims(64, 4, 2))
    except ValueError:
        return False
    return True


def mixer(kind: type[Mixer]) -> str:
    """An encoder of it, without an encoding."""
    how, names = _made(kind)
    imports = {
        **_partial(how), "lightning_posenc": {"Dims", "Encoder"},
        "lightning_posenc.model.mixers": names, "lightning_posenc.positional": {"NoPE"},
    }  # fmt: skip
    sizes = SIZES if "causal" in kind.serves else "Dims(64, 4, 2)"
    given = f"positional=NoPE, mixer={how}"
    if kind.on_grid:
        imports["lightning_posenc.positions"] = {"Grid"}
        given += ", positions=Grid((4, 4))"
    body = f"encoder = Encoder({sizes}, {given})\n"
    return _code(imports, body + "states = encoder(torch.randn(3, 16, 64))  # (3, 16, 64)")


def scaling(kind: type[Scaling]) -> str:
    """An encoder that reads four times its trained length."""
    imports = {
        "functools": {"partial"}, "lightning_posenc": {"Dims", "Encoder"},
        "lightning_posenc.positional": {"RoPE"},
        "lightning_posenc.positional.rotary.scaling": {kind.__name__},
    }  # fmt: skip
    made = f"{kind.__name__}(factor=4, trained_length=512)"
    body = f"longer = partial(RoPE, scaling={made})\nencoder = Encoder({SIZES}, positional=longer)"
    return _code(imports, body + "\nstates = encoder(torch.randn(1, 2048, 64))  # (1, 2048, 64)")


def sampler(kind: type[Positions]) -> str:
    """The positions of two sequences."""
    how, names = _made(kind)
    how = how if "(" in how else f"{how}()"
    length = 6 if kind.__name__ == "Graph" else 12
    told = f"number=2, length={length}, device=torch.device('cpu')"
    if kind.reads_tokens:
        told += ", tokens=torch.randint(12, (2, 12))"
    body = f"positions = {how}\nwhere = positions(Sequences({told}))"
    return _code({"lightning_posenc.positions": {*names, "Sequences"}}, body)


def task(kind: type[Task]) -> str:
    """Four samples of it."""
    how, names = _made(kind)
    how = OF_FILES.get(kind.__name__, how)
    how = how if "(" in how else f"{how}()"
    length = 22 if kind.__name__ in OF_FILES else example_length(ran_task(how, names))
    drawn = f'seed=0, split="train", index=torch.arange(4), length={length}'
    body = f"task = {how}\nsample = generate(task, {drawn})\n"
    body += "sample.tokens, sample.targets  # (4, T), and (4,) or (4, T)"
    return _code({"lightning_posenc.tasks": {*names, "generate"}}, body)


def ran_task(how: str, names: set[str]) -> Task:
    """A task as its code makes it."""
    made = ran(f"from lightning_posenc.tasks import {', '.join(names)}\ntask = {how}")["task"]
    assert isinstance(made, Task)
    return made


def ran(code: str) -> dict[str, Any]:
    """What the lines of an example define."""
    names: dict[str, Any] = {}
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        exec(compile(code, "<example>", "exec"), names)
    return names


_WRITTEN: dict[type, Any] = {
    PositionalEncoding: encoding,
    Mixer: mixer,
    Scaling: scaling,
    Positions: sampler,
    Task: task,
}
