"""What does a position do? The interface of an encoding.

Shapes: B sequences, T queries, S keys, H heads, K channels of a head, D = H·K, L layers.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias

from torch import Tensor, nn

from lightning_posenc.checks import is_a, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.by_distance import Unwritten
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places, offsets

HOOKS = frozenset({"transform", "bias", "rescore", "values", "output"})
"""The hooks that change what a mixer computes."""


class Site(NamedTuple):
    """All that a positional term may look at in one layer. The queries are the last of the keys,
    or else of another sequence than these, which only an encoding sees that `crosses`.

    Args:
        layer: Index of the layer, from 0.
        x: (B, T, D) input of the attention at the queries, normalised if the block is pre-norm.
        inputs: (B, S, D) the same at the keys, read as `k_x`; None where a cache keeps none.
        q: (B, H, T, K) queries, before any hook changed them.
        k: (B, H, S, K) keys, likewise; fewer heads when queries are grouped. Where an encoding says
            `keys_stay` and there is a cache, keys as `transform` leaves them.
        v: (B, H, S, K) values, likewise.
        q_places: Where the queries are.
        k_places: Where the keys are.
        prepared: What the encoding's own `prepare` returned for this forward.
        read_weights: In `output` alone, and where the mixer has attention weights: calls a function
            with those (B, H, t, S') of t queries at a time, before any dropout, over the first S'
            keys, which are all that these queries see, and with the slice of the queries; puts
            what it gives (B, H, t, K) together to (B, H, T, K). So weights of T × S never exist
            at once, and every kernel serves.
    """

    layer: int
    x: Tensor
    inputs: Tensor | None
    q: Tensor
    k: Tensor
    v: Tensor
    q_places: Places
    k_places: Places
    prepared: Any
    read_weights: "ReadWeights | None" = None

    @property
    def k_x(self) -> Tensor:
        """(B, S, D) input of the attention at the keys.

        Raises:
            ValueError: If a cache has kept none, for the encoding does not say that it reads them.
        """
        if self.inputs is None:
            raise ValueError(
                "site.k_x: the cache keeps no inputs of the layers: an encoding that reads them "
                "says so by reads_inputs = True"
            )
        return self.inputs

    @property
    def q_pos(self) -> Tensor:
        """(B|1, T) positions of the queries, or (B|1, T, A) on A axes."""
        return self.q_places.values

    @property
    def k_pos(self) -> Tensor:
        """(B|1, S) positions of the keys, likewise."""
        return self.k_places.values

    @property
    def delta(self) -> Tensor:
        """(B|1, T, S), or (B|1, T, S, A): query position minus key position, positive when the key
        lies in the past.
        """
        return offsets(self.q_places, self.k_places)


Read: TypeAlias = Callable[[Tensor, slice], Tensor]
ReadWeights: TypeAlias = Callable[[Read], Tensor]
Rescore: TypeAlias = Callable[[Tensor], Tensor]


class PositionalEncoding(nn.Module):
    """How a model learns where its tokens are. Every hook defaults to "nothing".

    One object serves all layers of a model and owns all its positional parameters. Override the
    hooks that the method needs. `check` and `prepare` run once per forward, in that order, in
    float32 with autocast off.

    Args:
        dims: Sizes of the model.
    """

    reads_distances: bool = False
    """Whether it reads positions by their differences alone, as `counted` has them."""

    completes_products: bool = False
    """Whether its bias takes the place of a part of q·k: beside what scales queries it then sees
    them scaled."""
    shift_invariant: bool = False
    """Whether it says that a constant added to all positions changes no output."""

    reads_inputs: bool = False
    """Whether it reads `site.k_x`: a cache then keeps the inputs of all layers."""

    reads_places: bool = False
    """Whether `embed` is told `Places` (documents, lengths, the grid) in place of positions."""

    source: ClassVar[Paper | None] = None
    """What it transcribes; None for what no paper describes."""

    equation: ClassVar[str] = ""
    """What it computes, in TeX, for its page."""

    mixes_keys: ClassVar[bool] = False
    """Whether `transform` mixes what several tokens hold: before others turn it, in a `Chain`."""

    axes: int | tuple[int, ...] | None = 1
    """A, how many numbers it reads for each position, or those that it may; None: any, or none."""

    shows_with: ClassVar[Mapping[str, Any]] = {}
    """Options with which it does something to a dozen tokens; none where it always does."""

    _overridden: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Once, for it is asked for several times a token in decoding.
        cls._overridden = frozenset(overridden(cls, HOOKS))

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.dims = is_a(self, "dims", dims, Dims)

    def forward(self, *_: Any, **__: Any) -> Any:
        """Refuse to be called as a layer: an encoder calls the hooks."""
        name = type(self).__name__
        raise ValueError(f"{name} is no layer to call: Encoder(dims, {name}) calls its hooks")

    @property
    def crosses(self) -> bool:
        """Whether it makes sense where queries are of one sequence and keys of another, which a
        decoder reads. What acts on the stream does not, and what looks for the queries among the
        keys says so.
        """
        return type(self).embed is PositionalEncoding.embed

    @property
    def reads_all_keys(self) -> bool:
        """Whether what it does to a query and a key depends on other keys too, or on where the key
        stands among them: a cache then forgets none, not even those that nobody will see again.
        """
        rescores = any("rescore" in self.hooks(layer) for layer in range(self.dims.n_layers))
        return self.reads_inputs or rescores

    def check(self, places: Places) -> None:
        """Refuse positions that the encoding cannot serve: those on other than `axes` axes, and
        random distances if it reads not distances alone.

        Args:
            places: Where all S tokens are.

        Raises:
            ValueError: Naming the limit and a remedy.
        """
        if places.stretch is not None and self.axes is not None and not self.reads_distances:
            raise ValueError(
                f"{type(self).__name__} computes nothing from distances alone, which "
                "RandomDistances draws: take an encoding of distance (ALiBi, T5Bias, ShawRelative, "
                "TransformerXL, …) or the positions Randomized"
            )
        given = places.axes
        plain = places.values.dim() == 2
        served = (self.axes,) if isinstance(self.axes, int) else self.axes
        if served is not None and not isinstance(served, tuple):
            raise wrong(self, "axes", served, "be a whole number, a tuple of such, or None")
        if served is None or (given in served and (given > 1 or plain)):
            return
        remedy = (
            "choose an encoding with axes (AxialRoPE, MRoPE, LearnableFourier, LearnedGrid) or "
            "positions without (Consecutive)"
            if served == (1,)
            else "set axes or choose other positions (Consecutive has one number, Grid two or more)"
        )
        wanted = " or ".join("one" if n == 1 else f"{n}" for n in served)
        wanted += " number" if served == (1,) else " numbers"
        got = "one on an axis of its own" if given == 1 and not plain else given
        raise ValueError(
            f"{type(self).__name__}: wants {wanted} for each position, got {got}: {remedy}"
        )

    def depends_on_length(self, places: Places) -> str | None:
        """Why states of earlier tokens change as the sequence grows, so that nothing may go on
        from remembered keys: `Owner: reason`. None if they do not.

        Args:
            places: Where all S tokens are.
        """
        return None

    def prepare(self, q_places: Places, k_places: Places) -> Any:
        """Compute what depends on positions alone, once per forward.

        Args:
            q_places: Where the queries are; whole numbers, or float ones off the lattice.
            k_places: Where the keys are, likewise; the same object if all of them ask.

        Returns:
            Anything; it comes back as `site.prepared`.
        """
        return None

    def embed(self, x: Tensor, positions: Tensor, layer: int) -> Tensor:
        """Change the residual stream (B, T, D) before block `layer`.

        Args:
            x: The stream.
            positions: (B|1, T) or (B|1, T, A); or their `Places`, if the encoding `reads_places`.
            layer: Index of the layer, from 0.
        """
        return x

    def told(self, places: Tensor | Places) -> Any:
        """What `embed` is given of places: all of it if it `reads_places`, else their values."""
        return places.values if isinstance(places, Places) and not self.reads_places else places

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        """Change queries and keys; the dtypes stay.

        Both may become wider: logits are scaled by the root of the head's size all the same.
        Grouped keys (B, G, S, K) may become (B, H, S, K), where heads are treated differently.
        """
        return site.q, site.k

    def hooks(self, layer: int) -> frozenset[str]:
        """Which of `HOOKS` do anything in a layer: those that a class overrides."""
        return self._overridden

    def planes(self, layer: int) -> Hashable | None:
        """Which channels `transform` turns together in a layer; None if it turns none.

        Two encodings whose planes are equal commute, so that the product of a query and a key
        depends on their distance still. The default of a class with a `transform` is equal to no
        other's; one that only scales says None.
        """
        return None if type(self).transform is PositionalEncoding.transform else self

    def keys_stay(self, layer: int) -> bool:
        """Whether a key that `transform` has turned stays as it is: it depends on nothing but its
        own token and place, and no other hook reads `site.k`.

        A cache then keeps keys as they are turned, once. Else it keeps them as they were, and
        `transform` gets all of them at every step.
        """
        return False

    def bias(self, site: Site) -> Tensor | Unwritten | None:
        """Add (B|1, H|1, T, S) to the scaled logits. None if the encoding adds nothing.

        For very many pairs it may stay what it is made of, a table of distances (`ByDistance`) or
        queries and keys (`Branched`), which kernels write out for some queries at a time.
        """
        return None

    def rescore(self, site: Site) -> Rescore | None:
        """Give what maps logits (B, H, T, S), bias and mask included (-inf where hidden), to new
        ones: they are then materialised. None if the encoding leaves them as they are.
        """
        return None

    def values(self, site: Site) -> Tensor:
        """Change values (B, G, S, K) before they are mixed; the dtype and the width stay.

        Grouped values may become (B, H, S, K), where query heads are treated differently.
        """
        return site.v

    def output(self, site: Site, mixed: Tensor) -> Tensor:
        """Change what attention made of the values, (B, H, T, K), before heads are projected.

        The weights that it was mixed with are to be had from `site.read_weights`.
        """
        return mixed

    def penalty(self) -> Tensor | None:
        """A scalar that training adds to the loss; None if the encoding asks for nothing."""
        return None


Factory: TypeAlias = Callable[[Dims], PositionalEncoding]


def overridden(kind: type[PositionalEncoding], hooks: Iterable[str]) -> tuple[str, ...]:
    """Those of some hooks that a class writes anew, in their order."""
    return tuple(
        hook for hook in hooks if getattr(kind, hook) is not getattr(PositionalEncoding, hook)
    )
