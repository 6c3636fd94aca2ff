"""What is given for a part of an encoder, and makes none, is named in one line (F22's kind)."""

import re
from functools import partial
from typing import Any

import pytest
from torch import nn

from lightning_posenc import Dims, Encoder
from lightning_posenc.masks import Causal, Window
from lightning_posenc.model import MLP, SDPA, Attention, Kernel, Plain
from lightning_posenc.positional import (
    DAPE,
    Absolute,
    Chain,
    Concatenated,
    Droppable,
    FirstLayers,
    PerLayer,
    PositionalEncoding,
    RoPE,
)
from lightning_posenc.positions import Consecutive

DIMS = Dims(16, 2, 2)
MAKERS = {"positional": RoPE, "mixer": Attention, "norm": nn.LayerNorm, "feed_forward": MLP,
          "residual": Plain}  # fmt: skip
COMPOSED = (
    lambda part: Chain(DIMS, [RoPE, part]),
    lambda part: PerLayer(DIMS, [part]),
    lambda part: FirstLayers(DIMS, part),
    lambda part: Droppable(DIMS, part),
    lambda part: DAPE(DIMS, part),
    lambda part: Concatenated(DIMS, part),
)


def nothing(*_: Any) -> None:
    """A function that forgot to return what it made."""


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda right: right.__name__, "names stand in config files"),
        (lambda right: [[right]], "must be a class or a function"),
        (lambda right: Dims, "give a class of that kind"),
        (lambda right: partial(right, nonsense=1), "unexpected keyword argument 'nonsense'"),
        (lambda right: lambda: right, "too many positional arguments"),
        (lambda right: nothing, "and made a NoneType"),
    ],
    ids=["name", "list", "class", "option", "arguments", "nothing"],
)
def test_what_makes_no_part_is_named(name: str, wrong: Any, said: str) -> None:
    given = wrong(MAKERS[name])
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        Encoder(DIMS, **{name: given})
    assert re.match(rf"\w+: {name}=", str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"positional": RoPE(DIMS)}, "not be one: give RoPE, or partial(RoPE, ...)"),
        ({"mixer": partial(Attention, kernel=SDPA())}, "not be one: give SDPA"),
        ({"norm": nn.LayerNorm(16)}, "not be one: give LayerNorm"),
        ({"positional": Chain}, "missing a required argument: 'parts'"),
        ({"positional": Absolute}, "leaves methods to be written"),
        ({"mixer": partial(Attention, kernel=Kernel)}, "leaves methods to be written"),
        ({"positions": Consecutive}, "not its class: give Consecutive(...)"),
        ({"positions": "Consecutive"}, "must be a Positions: names stand in config files"),
        ({"mask": Causal}, "not its class: give Causal(...)"),
        ({"mask": partial(Window, 3)}, "not what makes one: give Window(...)"),
        ({"mask": "causal"}, "mask='causal' must be a Mask or None"),
        ({"mask": (Window(3), "causal")}, "mask='causal' must be a Mask or None"),
    ],
)
def test_what_is_nearly_right_says_what_to_give(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        Encoder(DIMS, **given)
    assert "\n" not in str(caught.value)


def test_arguments_in_another_order() -> None:
    with pytest.raises(ValueError, match="Encoder: dims=RoPE must be a Dims"):
        Encoder(RoPE, DIMS)  # type: ignore[arg-type]


@pytest.mark.parametrize("compose", COMPOSED)
@pytest.mark.parametrize(
    "part", ["RoPE", RoPE(DIMS), MLP, nothing], ids=["name", "object", "class", "function"]
)
def test_what_encodings_are_composed_of(compose: Any, part: Any) -> None:
    with pytest.raises(
        ValueError, match=rf"must (be|make) a .*({PositionalEncoding.__name__}|class)"
    ):
        compose(part)
