"""What a score is to be compared with: what is reached without order."""

import lightning as L


def bag_of_tokens_bounds(trainer: L.Trainer) -> dict[int, float]:
    """Best accuracy without order at each test length; empty if the data knows of none."""
    data = getattr(trainer, "datamodule", None)
    bounds: dict[int, float] = getattr(data, "bag_of_tokens_bounds", dict)()
    return bounds
