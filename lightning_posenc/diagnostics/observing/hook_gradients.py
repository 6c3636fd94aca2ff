"""Take a gradient wherever a positional hook hands something on, by wrapping the hooks for a while.

Shapes: B sequences, T tokens, D = d_model.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, cast

from torch import Tensor, nn

from lightning_posenc.model.encoder import Encoder
from lightning_posenc.positional.base import Rescore, Site
from lightning_posenc.positional.by_distance import Unwritten, written_out
from lightning_posenc.positional.rotary.base import Layout, Rotary
from lightning_posenc.positions import Places

CHANNELS = ("embed", "transform", "bias", "rescore", "values", "output")


class Tap(NamedTuple):
    """A tensor on its way through the model: what it is, and the layer that it passed in."""

    kind: str
    layer: int
    tensor: Tensor
    pairing: tuple[int, Layout] = (0, "half")  # of a rotation: its planes and their layout


class Taps:
    """What one forward pass hands from hook to hook."""

    def __init__(self) -> None:
        self.taken: list[Tap] = []
        self.places: Places | None = None
        self.layer = 0  # of the model; the parts of a composite count layers of their own

    def __call__(self, kind: str, layer: int, tensor: Tensor, *pairing: Any) -> Tensor:
        """The same values as a tensor of its own, whose gradient is asked for later."""
        needs = tensor.requires_grad
        own = tensor.view_as(tensor) if needs else tensor.detach().requires_grad_()
        self.taken.append(Tap(kind, layer, own, *pairing))
        return own

    def stream(
        self, layer: int, out: Tensor | tuple[Tensor, Tensor]
    ) -> Tensor | tuple[Tensor, Tensor]:
        """What a block gives; of the two streams of a reversible one, that which the next reads."""
        if isinstance(out, Tensor):
            return self("residual", layer, out)
        return self("residual", layer, out[0]), out[1]

    def check(self, original: Callable[..., None]) -> Callable[..., None]:
        def check(places: Places) -> None:
            self.places = places
            original(places)

        return check

    def embed(self, original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def embed(x: Tensor, positions: Tensor, layer: int) -> Tensor:
            out = original(x, positions, layer)
            return x if out is x else self("embed", layer, out)

        return embed

    def transform(self, original: Callable[[Site], Any]) -> Callable[[Site], Any]:
        def transform(site: Site) -> tuple[Tensor, Tensor]:
            self.layer = site.layer
            turned = original(site)
            if turned[0] is site.q and turned[1] is site.k:
                return site.q, site.k
            q, k = (self("transform", site.layer, x) for x in turned)
            return q, k

        return transform

    def rotate(self, original: Callable[[Site], Any]) -> Callable[[Site], Any]:
        def rotate(site: Site) -> tuple[Tensor, Tensor]:
            by = site.prepared.of_queries
            planes = by.n_pairs, by.layout
            q, k = (self("rotation", self.layer, x, planes) for x in original(site))
            return q, k

        return rotate

    def bias(
        self, original: Callable[[Site], Tensor | Unwritten | None]
    ) -> Callable[[Site], Tensor | None]:
        def bias(site: Site) -> Tensor | None:
            out = original(site)
            return None if out is None else self("bias", site.layer, written_out(out))

        return bias

    def rescore(self, original: Callable[[Site], Rescore | None]) -> Callable[[Site], Any]:
        def rescore(site: Site) -> Rescore | None:
            if (inner := original(site)) is None:
                return None
            return lambda logits: self("rescore", site.layer, inner(logits))

        return rescore

    def values(self, original: Callable[[Site], Tensor]) -> Callable[[Site], Tensor]:
        def values(site: Site) -> Tensor:
            out = original(site)
            return out if out is site.v else self("values", site.layer, out)

        return values

    def output(self, original: Callable[[Site, Tensor], Tensor]) -> Callable[[Site, Tensor], Any]:
        def output(site: Site, mixed: Tensor) -> Tensor:
            out = original(site, mixed)
            return out if out is mixed else self("output", site.layer, out)

        return output


@contextmanager
def tapped(encoder: Encoder) -> Iterator[Taps]:
    """Tap the blocks of an encoder, the hooks of its encoding and the rotations within."""
    taps = Taps()
    encoding = encoder.positional
    with ExitStack() as stack:
        for part in encoding.modules():
            if isinstance(part, Rotary):
                stack.enter_context(replaced(part, "transform", taps.rotate))
        for name in ("check", *CHANNELS):
            stack.enter_context(replaced(encoding, name, getattr(taps, name)))
        blocks = cast(Sequence[nn.Module], encoder.blocks)
        for layer, block in enumerate(blocks):
            if layer == 0:
                handle = block.register_forward_pre_hook(
                    lambda _, args: (taps("residual", 0, args[0]), *args[1:])
                )
                stack.callback(handle.remove)
            handle = block.register_forward_hook(
                lambda _, args, out, after=layer + 1: taps.stream(after, out)
            )
            stack.callback(handle.remove)
        yield taps


@contextmanager
def replaced(owner: nn.Module, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Put a method made from the object's own in its place, for a while.

    Args:
        owner: The object.
        name: Of the method.
        make: Makes the new method from the one that is there.
    """
    own = vars(owner).get(name)
    setattr(owner, name, make(getattr(owner, name)))
    try:
        yield
    finally:
        delattr(owner, name)
        if own is not None:
            setattr(owner, name, own)
