"""Go on after a forward pass that the model refused."""

from torch import nn


def forget(encoder: nn.Module) -> None:
    """Let an encoder whose forward pass raised an error start the next one afresh.

    Only one whose parameters are sharded (FSDP2) remembers. Call it on every rank.
    """
    reset = getattr(encoder, "reset_iter_state", None)  # torch < 2.13 knows no such thing
    if reset is not None:
        reset()
