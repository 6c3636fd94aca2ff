"""What the lengths of a test are called."""

import lightning as L


def length_axis(trainer: L.Trainer) -> str:
    """As the data calls what it is tested at: "length" or "size in pixels"."""
    return str(getattr(getattr(trainer, "datamodule", None), "length_axis", "length"))
