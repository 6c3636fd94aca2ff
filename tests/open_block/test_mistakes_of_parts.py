"""What a class of somebody's own gives, takes or says wrongly is one line that names it."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_posenc import Dims, Encoder
from lightning_posenc.model import FeedForward, Inputs, Mixer
from lightning_posenc.model.encoder import EncoderSpec
from lightning_posenc.model.penalties import penalties
from lightning_posenc.modules import SequenceClassifier
from lightning_posenc.positional import Absolute, PositionalEncoding, RelativeBias, Rotary
from lightning_posenc.positional.rotary.scaling import Spectrum
from lightning_posenc.positions import Positions

DIMS = Dims(16, 2, 2)
BASES = {"mixer": Mixer, "feed_forward": FeedForward, "positional": PositionalEncoding,
         "inputs": Inputs, "bias": RelativeBias, "absolute": Absolute, "rotary": Rotary,
         "positions": Positions}  # fmt: skip


def extended(kind: str, **written: Any) -> type:
    """A class of somebody's own, who wrote these methods and attributes."""
    if kind == "mixer":
        written = {"serves": frozenset({"bidirectional"}), **written}
    return type("Mine", (BASES[kind],), written)


def run(kind: str, mine: type) -> None:
    """Make a model of it, and call that."""
    if kind == "inputs":
        model = SequenceClassifier(EncoderSpec(16, 2, 1), 5, n_classes=2, inputs=mine)
        model(torch.zeros(3, 7, dtype=torch.int64))
        return
    name = kind if kind in ("mixer", "feed_forward", "positions") else "positional"
    Encoder(DIMS, **{name: mine() if kind == "positions" else mine})(torch.randn(3, 7, 16))


GIVES: list[tuple[str, str, Any, str]] = [
    ("mixer", "forward", lambda self, x, context: x[:, :1], "(3, 1, 16) of torch.float32"),
    ("mixer", "forward", lambda self, x, context: x.half(), "torch.float16"),
    ("mixer", "forward", lambda self, x, context: x.double(), "torch.float64"),
    ("mixer", "forward", lambda self, x, context: (x, None), "a tuple"),
    ("mixer", "forward", lambda self, x, context: None, "nothing (None)"),
    ("feed_forward", "forward", lambda self, x: x[..., :1], "(3, 7, 1)"),
    ("feed_forward", "forward", lambda self, x: x.detach().numpy(), "a ndarray"),
    ("inputs", "forward", lambda self, tokens: torch.zeros(3, 14, 16), "(3, 14, 16)"),
    ("inputs", "forward", lambda self, tokens: torch.zeros(1, 7, 16), "(1, 7, 16)"),
    ("positional", "embed", lambda self, x, positions, layer: x[:, :1], "(3, 1, 16)"),
    ("positional", "transform", lambda self, site: site.q, "a pair"),
    ("positional", "transform", lambda self, site: (site.q[:, :, :2], site.k), "(3, 2, 2, 8)"),
    ("positional", "transform", lambda self, site: (site.q, site.k[..., :2]), "(3, 2, 7, 2)"),
    ("positional", "bias", lambda self, site: site.delta, "(1, 7, 7) of torch.int64"),
    ("positional", "bias", lambda self, site: torch.zeros(1, 3, 7, 7), "(1, 3, 7, 7)"),
    ("positional", "rescore", lambda self, site: site.q, "a function of the logits"),
    ("positional", "rescore", lambda self, site: lambda logits: logits[:1], "(1, 2, 7, 7)"),
    ("positional", "values", lambda self, site: None, "nothing (None)"),
    ("positional", "output", lambda self, site, mixed: mixed[..., :1], "(3, 2, 7, 1)"),
    ("bias", "bias_at", lambda self, delta: delta, "(1 or 2, 2, 13)"),
    ("bias", "bias_at", lambda self, delta: delta.expand(7, -1), "(7, 13)"),
    ("absolute", "vectors", lambda self, positions: positions.float(), "(1 or 3, 7, 16)"),
    ("rotary", "spectrum", lambda self, positions: torch.ones(4), "a Spectrum"),
    ("rotary", "spectrum", lambda self, positions: Spectrum(torch.ones(3)), "each of 4 pairs"),
]


@pytest.mark.parametrize(("kind", "method", "written", "said"), GIVES)
def test_what_a_method_gives_is_compared(kind: str, method: str, written: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        run(kind, extended(kind, **{method: written}))
    assert str(caught.value).startswith(f"Mine.{method}")
    assert "\n" not in str(caught.value)


def test_autocast_may_change_the_dtype_of_a_branch() -> None:
    model = Encoder(
        DIMS, feed_forward=extended("feed_forward", forward=lambda self, x: x.bfloat16())
    )
    with torch.autocast("cpu", torch.bfloat16):
        assert model(torch.randn(3, 7, 16)).dtype == torch.float32


TAKES: list[tuple[str, dict[str, Any], str]] = [
    ("mixer", {"forward": lambda self, x: x}, "must write forward(self, x, context), and writes"),
    ("mixer", {"forward": lambda self, x, context, mask: x}, "forward(self, x, context, mask)"),
    ("mixer", {"forward": lambda self, x, context: x, "initialise": lambda self, std: None},
     "must write initialise(self, std, depth_scale)"),
    ("mixer", {"forward": lambda self, x, context: x, "__init__": lambda self, dims: None},
     "must make a Mixer of 2 arguments"),
    ("mixer", {"__init__": lambda self, dims, layer: None}, "leaves methods to be"),
    ("mixer", {"forward": lambda self, x, context: x,
               "__init__": lambda self, dims, layer: setattr(self, "out", nn.Linear(3, 3))},
     "call super().__init__ first"),
    ("mixer", {"forward": lambda self, x, context: x, "serves": "causal"}, "serves='causal'"),
    ("mixer", {"forward": lambda self, x, context: x, "serves": frozenset({"bidirectionl"})},
     "must be a set, of some of"),
    ("feed_forward", {"forward": lambda self, x, more: x}, "must write forward(self, x)"),
    ("inputs", {"forward": lambda self, tokens: tokens, "places": lambda self: None},
     "must write places(self, tokens)"),
    ("inputs", {"forward": lambda self, tokens: tokens, "places": lambda self, tokens: "here"},
     "Mine.places gave a str"),
    ("positional", {"bias": lambda self: None}, "must write bias(self, site), and writes bias(sel"),
    ("positional", {"penalty": lambda self, x: x}, "must write penalty(self)"),
    ("positional", {"axes": "two"}, "Mine: axes='two'"),
    ("bias", {"bias_at": lambda self: 0}, "must write bias_at(self, delta)"),
    ("positions", {"forward": lambda self, sequences: 0, "bounds": lambda self: None},
     "must write bounds(self, length)"),
    ("positions", {"forward": lambda self, sequences: torch.zeros(1, 7),
                   "bounds": lambda self, length: (0,)}, "Mine: bounds(length)=(0,)"),
    ("positions", {"forward": lambda self, sequences: torch.zeros(1, 8)}, "Mine: positions must"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "written", "said"), TAKES)
def test_what_a_class_takes_and_says_is_compared(
    kind: str, written: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        run(kind, extended(kind, **written))
    assert "\n" not in str(caught.value)


def test_a_function_that_cannot_make_it_is_told_how_it_is_made() -> None:
    """jsonargparse makes classes by a function, which says nothing of their arguments."""

    class Mine(Mixer):
        def __init__(self, dims: Dims) -> None:
            """Forget the layer."""

        def forward(self, x: Tensor, context: Any) -> Tensor:
            return x

    with pytest.raises(ValueError, match=r"takes 2 positional.*Mixer.__init__\(self, dims, layer"):
        Encoder(DIMS, mixer=lambda *given: Mine(*given))


def old_forward(
    self: Any, n_sequences: int, length: int, device: torch.device, documents: Any = None
) -> Tensor:
    return torch.arange(length, device=device).unsqueeze(0)


@pytest.mark.parametrize(
    ("kind", "written", "said"),
    [
        ("positions", {"forward": old_forward}, "`sequences` has number, length, device"),
        ("positional", {"rescore": lambda self, logits, site: logits}, "since release 0.1"),
        ("positional", {"rescores": lambda self, layer: True}, "must write no rescores"),
        (
            "positional",
            {"check_cache": lambda self, positions: None},
            "`depends_on_length(places)`",
        ),
    ],
)
def test_what_was_written_for_release_0_1_is_told_what_to_write(
    kind: str, written: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        run(kind, extended(kind, **written))


def test_what_takes_more_than_it_is_given_and_does_without_is_taken() -> None:
    run("feed_forward", extended("feed_forward", forward=lambda self, x, *more, scale=2: scale * x))


def test_a_feed_forward_that_reads_places_takes_them() -> None:
    forward = {"forward": lambda self, x, places: x, "reads_places": True}
    run("feed_forward", extended("feed_forward", **forward))


@pytest.mark.parametrize("term", [torch.ones(3), "much", torch.ones(1, 1), lambda self, x: x])
def test_a_penalty_is_a_scalar(term: Any) -> None:
    penalty = term if callable(term) else lambda self: term
    mine = extended("feed_forward", forward=lambda self, x: x, penalty=penalty)
    with pytest.raises(ValueError, match=r"^Mine\.penalty (gave .*, and )?must"):
        penalties(Encoder(DIMS, feed_forward=mine))


def test_a_scalar_and_none_are_summed() -> None:
    give = iter([torch.tensor(-0.5), None])
    mine = extended("feed_forward", forward=lambda self, x: x, penalty=lambda self: next(give))
    assert penalties(Encoder(DIMS, feed_forward=mine)) == -0.5
