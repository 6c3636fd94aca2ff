"""What a model that is blind to order can reach on a run's data."""

import lightning as L


def bag_of_tokens_bounds(trainer: L.Trainer) -> dict[int, float]:
    """Best accuracy without order at each test length; empty if the data knows of none."""
    data = getattr(trainer, "datamodule", None)
    bounds: dict[int, float] = getattr(data, "bag_of_tokens_bounds", dict)()
    return bounds
