"""The table of a model's layers that a run begins with."""

import logging
from typing import Any

from lightning.pytorch.callbacks import ModelSummary

from lightning_posenc.compat.lightning import table_of_layers


class LayerTable(ModelSummary):
    """Lightning's table of layers, without the operations that Lightning has not counted."""

    @staticmethod
    def summarize(
        summary_data: list[tuple[str, list[str]]],
        total_parameters: int,
        trainable_parameters: int,
        model_size: float,
        total_training_modes: dict[str, int],
        total_flops: int,
        **summarize_kwargs: Any,
    ) -> None:
        totals = total_parameters, trainable_parameters, model_size, total_training_modes
        log.info("\n%s", table_of_layers(total_flops, summary_data, totals))


log = logging.getLogger("lightning.pytorch.callbacks.model_summary")  # as Lightning's own
