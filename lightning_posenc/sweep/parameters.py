"""The parameters of a sweep: what each of them can be."""

import math
import re
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from sys import float_info
from typing import Any

from lightning_posenc.sweep.distributions import DISTRIBUTIONS, REQUIRED, index_at
from lightning_posenc.sweep.names import known, mapping, nearest

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")  # W&B's rule
_NUMBER = re.compile(r"[-+]?[0-9.]+[eE][-+]?[0-9]+")
LARGEST = 2**62  # of whole numbers, and of steps from one end of a range to the other
_CHOSEN = {"categorical", "categorical_w_probabilities"}
Path = tuple[str, ...]


class Parameter(ABC):
    """One thing that a sweep varies, or holds.

    Args:
        path: Its name, below those of the blocks that it is nested in.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The path in one word; names have dots of their own."""
        return "/".join(self.path)

    @property
    @abstractmethod
    def choices(self) -> Sequence[Any] | None:
        """All its values, or None if a grid cannot hold them. There can be billions."""

    @abstractmethod
    def quantile(self, u: float) -> Any:
        """Value at u in 0..1."""


class Choice(Parameter):
    """One of several values; of one value, a constant.

    Args:
        path: Its name.
        values: At least one.
        probabilities: Of each value, summing to 1; None if they are equal.
    """

    def __init__(self, path: Path, values: list[Any], probabilities: list[float] | None) -> None:
        super().__init__(path)
        self.values = values
        self.probabilities = probabilities

    @property
    def choices(self) -> Sequence[Any] | None:
        return self.values if self.probabilities is None else None

    def quantile(self, u: float) -> Any:
        if self.probabilities is None:
            return self.values[index_at(u, len(self.values))]
        index = bisect_right(list(accumulate(self.probabilities)), u)
        # Rounded sums may end below 1.
        return self.values[min(index, len(self.values) - 1)]


class Drawn(Parameter):
    """A number from a distribution.

    Args:
        path: Its name.
        distribution: Name of the distribution.
        fields: What it takes.
    """

    def __init__(self, path: Path, distribution: str, fields: dict[str, float]) -> None:
        super().__init__(path)
        self.distribution = distribution
        self.fields = fields

    @property
    def choices(self) -> Sequence[Any] | None:
        if self.distribution == "int_uniform":
            first, last = int(self.fields["min"]), int(self.fields["max"])
            return Steps(first, 1, last - first + 1)
        if self.distribution == "q_uniform":  # max is left out, as W&B's grid does
            low, high, q = (self.fields[key] for key in ("min", "max", "q"))
            return Steps(low, q, math.ceil((high - low) / q))
        return None

    def quantile(self, u: float) -> Any:
        return DISTRIBUTIONS[self.distribution].quantile(u, **self.fields)


class Steps(Sequence[float]):
    """n numbers at equal distances, none of which is kept.

    Args:
        low: The first.
        step: From one to the next.
        n: How many there are.
    """

    def __init__(self, low: float, step: float, n: int) -> None:
        self.low = low
        self.step = step
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: Any) -> Any:
        which = range(self.n)[index]
        if isinstance(which, range):
            return [self.low + i * self.step for i in which]
        return self.low + which * self.step

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


def parse(block: Any, where: str = "parameters", path: Path = ()) -> list[Parameter]:
    """The parameters of a `parameters` block, in its order, those of nested blocks in place.

    Raises:
        ValueError: If one is not as W&B has it.
    """
    if not mapping(where, block):
        raise ValueError(f"{where} is empty: name at least one parameter with its values")
    found: list[Parameter] = []
    for name, given in block.items():
        here = f"{where}.{name}"
        if not _NAME.fullmatch(name):
            raise ValueError(f"{here}: a name is letters, digits, _ . and -: rename it")
        spec = mapping(here, given)
        if "parameters" in spec:
            known(here, spec, ["parameters"])
            found += parse(spec["parameters"], f"{here}.parameters", (*path, name))
        else:
            found.append(_parameter(here, (*path, name), spec))
    return found


def nested(values: Mapping[Path, Any]) -> dict[str, Any]:
    """Values by path as W&B hands them on: a parameter's block as one dictionary."""
    result: dict[str, Any] = {}
    for path, value in values.items():
        block = result
        for name in path[:-1]:
            block = block.setdefault(name, {})
        block[path[-1]] = value
    return result


def _parameter(where: str, path: Path, spec: Mapping[str, Any]) -> Parameter:
    distribution = spec.get("distribution")
    if "value" in spec:
        known(where, spec, ["value", "distribution"])
        _same(where, distribution, {"constant"})
        return Choice(path, [spec["value"]], None)
    if "values" in spec:
        known(where, spec, ["values", "probabilities", "distribution"])
        _same(where, distribution, _CHOSEN)
        return Choice(path, *_choice(where, spec))
    if distribution is None:
        known(where, spec, ["min", "max", "value", "values", "distribution", "parameters"])
        if not {"min", "max"} <= spec.keys():
            raise ValueError(f"{where}: give value, values, min and max, or a distribution")
        whole = all(isinstance(_number(where, key, spec[key]), int) for key in ("min", "max"))
        distribution = "int_uniform" if whole else "uniform"
    if distribution not in DISTRIBUTIONS:
        raise ValueError(
            f"{where}: unknown distribution {distribution!r}: "
            f"{nearest(str(distribution), DISTRIBUTIONS)}"
        )
    return Drawn(path, distribution, _fields(where, distribution, spec))


def _same(where: str, distribution: Any, names: set[str]) -> None:
    if distribution is not None and distribution not in names:
        raise ValueError(f"{where}: distribution {distribution} takes no value or values")


def _choice(where: str, spec: Mapping[str, Any]) -> tuple[list[Any], list[float] | None]:
    values, probabilities = spec["values"], spec.get("probabilities")
    if not isinstance(values, list) or not values:
        raise ValueError(f"{where}.values: give a list with at least one value, got {values!r}")
    if probabilities is None:
        return values, None
    given = isinstance(probabilities, list) and len(probabilities) == len(values)
    shares = [_number(where, "probabilities", p) for p in probabilities] if given else [-1.0]
    if min(shares) < 0 or not math.isclose(sum(shares), 1, rel_tol=1e-5):
        raise ValueError(
            f"{where}.probabilities: give one number for each of the {len(values)} values, none "
            f"negative, that sum to 1, got {probabilities!r}"
        )
    return values, shares


def _fields(where: str, distribution: str, spec: Mapping[str, Any]) -> dict[str, float]:
    family = DISTRIBUTIONS[distribution]
    known(where, spec, [*family.fields, "distribution"])
    fields = {}
    for key, default in family.fields.items():
        if key not in spec and default is REQUIRED:
            raise ValueError(f"{where}: distribution {distribution} needs {key}")
        fields[key] = _number(where, key, spec.get(key, default))
    if distribution == "int_uniform" and not all(isinstance(v, int) for v in fields.values()):
        raise ValueError(f"{where}: int_uniform needs whole numbers as min and max")
    if "min" in fields and fields["min"] >= fields["max"]:
        raise ValueError(f"{where}: min {fields['min']} is not below max {fields['max']}")
    for key in family.positive:
        if fields[key] <= 0:
            raise ValueError(f"{where}: {key} of {distribution} must be above 0")
    if fields.get("sigma", 0) < 0:
        raise ValueError(f"{where}: sigma of {distribution} must not be negative")
    if (
        "q" in fields
        and "min" in fields
        and (fields["max"] - fields["min"]) / fields["q"] > LARGEST
    ):
        raise ValueError(f"{where}: q of {distribution} is too small for the way from min to max")
    _check_ends(where, distribution, fields)
    return fields


def _check_ends(where: str, distribution: str, fields: dict[str, float]) -> None:
    """Check that everything that may be drawn is a number that a float can hold."""
    for u in (0.0, 0.5, 1.0):
        try:
            fits = math.isfinite(DISTRIBUTIONS[distribution].quantile(u, **fields))
        except (ArithmeticError, ValueError):
            fits = False
        if not fits:
            given = ", ".join(f"{key}={value}" for key, value in fields.items())
            raise ValueError(
                f"{where}: {distribution} with {given} draws numbers that no float holds (1.8e308 "
                "is the largest): choose others"
            )


def _number(where: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = ""
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            mantissa, exponent = re.split("[eE]", value)
            mantissa += "" if "." in mantissa else ".0"
            sign = "" if exponent[0] in "+-" else "+"
            hint = f": YAML reads it as text; write {mantissa}e{sign}{exponent}"
        raise ValueError(f"{where}.{key}={value!r} is not a number{hint}")
    if not abs(value) <= (LARGEST if isinstance(value, int) else float_info.max):
        raise ValueError(f"{where}.{key}={value!r} is not finite, or beyond 64 bits")
    return value
