"""Weights that do not fit a sharded model are refused before they are loaded."""

from collections.abc import Iterator, Mapping

import lightning as L
from lightning.pytorch.strategies import ModelParallelStrategy

_OLD = "_extra_state"  # where `Droppable` kept what a buffer keeps now


class ShardedLoading(L.Callback):
    """Compares the weights of a checkpoint with a model that is to be sharded.

    Lightning distributes them one after the other: it passes over those that the model has not
    without a word, and where one has another shape some ranks fail, others perhaps wait for them.
    A table of another size is not resized either.

    Args:
        shapes: Of the checkpoint's weights, by name.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = shapes

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Compare.

        Raises:
            RuntimeError: As torch does where a model is whole.
        """
        if not isinstance(trainer.strategy, ModelParallelStrategy):
            return
        now = {name: tuple(value.shape) for name, value in pl_module.state_dict().items()
               if hasattr(value, "shape")}  # fmt: skip
        then = {name: shape for name, shape in self.shapes.items() if not name.endswith(_OLD)}
        if now and (wrong := list(_misfits(now, then))):
            name = type(pl_module).__name__
            raise RuntimeError("\n\t".join([f"Error(s) in loading state_dict for {name}:", *wrong]))


def _misfits(
    now: Mapping[str, tuple[int, ...]], then: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    for name, shape in now.items():
        if name in then and then[name] != shape:
            yield (
                f"size mismatch for {name}: copying a param with shape torch.Size("
                f"{list(then[name])}) from checkpoint, the shape in current model is torch.Size("
                f"{list(shape)})."
            )
    for title, keys in (("Missing", now.keys() - then), ("Unexpected", then.keys() - now)):
        if keys:
            told = ", ".join(f'"{key}"' for key in sorted(keys))
            yield f"{title} key(s) in state_dict: {told}."
