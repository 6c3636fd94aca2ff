"""An encoding as the suite sees it: whatever a case does not deny is claimed."""

from dataclasses import dataclass, field

from lightning_posenc.testing.case import Case as Judged
from lightning_posenc.testing.case import on_axes, unplaced
from lightning_posenc.testing.oracle import Oracle


@dataclass(frozen=True)
class Case(Judged):
    """As it is judged, with what is true of most of ours."""

    oracle: Oracle = field()
    shift_invariant: bool | None = True
    order_aware_bidirectional: bool = True
    content_dependent: bool = False
    sees_no_order: bool = False  # where no causal mask tells it
    differentiable: bool | None = True


__all__ = ["Case", "on_axes", "unplaced"]
