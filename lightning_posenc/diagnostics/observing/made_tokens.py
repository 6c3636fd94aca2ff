"""Change what the blocks of a model read: the tokens that its inputs make, whatever they make them
of.

Shapes: B sequences, T tokens, D = d_model.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def tokens_changed(inputs: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Run a model on other tokens inside; positions and lengths stay.

    Args:
        inputs: What makes the tokens: an `Inputs`.
        change: Maps tokens (B, T, D) to (B, T, D).
    """
    handle = inputs.register_forward_hook(lambda _, args, out: change(out))
    try:
        yield
    finally:
        handle.remove()


def rearranged(order: Tensor) -> Callable[[Tensor], Tensor]:
    """A change: at place t stands the token that stood at order_t, of (B|1, T)."""

    def change(x: Tensor) -> Tensor:
        index = order.to(x.device).unsqueeze(-1)
        return x.gather(1, index.expand(len(x), -1, x.shape[-1]))

    return change
