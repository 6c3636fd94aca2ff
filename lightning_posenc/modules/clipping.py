"""Gradients are clipped in mixed precision too, whatever kernel makes the step."""

from typing import Any

from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch.optim import Optimizer

from lightning_posenc.compat.torch import steps_unscaled


def check_clipping(trainer: Any, optimizer: Optimizer) -> None:
    """Refuse to clip what a fused kernel unscales after it was clipped.

    Raises:
        ValueError: In 16-mixed, with clipping and a fused optimizer.
    """
    if (
        getattr(trainer.precision_plugin, "scaler", None) is not None
        and trainer.gradient_clip_val
        and steps_unscaled(optimizer)
    ):
        raise ValueError(
            f"precision=16-mixed: {type(optimizer).__name__}(fused=True) unscales gradients after "
            "they are clipped: set model.optimizer.fused=false, or precision=bf16-mixed, or leave "
            "gradient_clip_val out"
        )


def clipped_unscaled(trainer: Any, optimizer: Optimizer, clip_val: Any, algorithm: Any) -> bool:
    """Clip where Lightning refuses to without need: bf16-mixed scales no gradients.

    Returns:
        Whether this was so, and has been done.
    """
    plugin = trainer.precision_plugin
    if (
        not isinstance(plugin, MixedPrecision)
        or plugin.scaler is not None
        or not steps_unscaled(optimizer)
    ):
        return False
    chosen = GradClipAlgorithmType(algorithm or trainer.gradient_clip_algorithm or "norm")
    Precision.clip_gradients(
        plugin, optimizer, clip_val or trainer.gradient_clip_val or 0.0, chosen
    )
    return True
