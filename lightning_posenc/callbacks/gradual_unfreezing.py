"""Train the last blocks first."""

from collections.abc import Iterator
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import BaseFinetuning
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.distributed import all_reduce
from torch.optim import Optimizer

from lightning_posenc.checks import whole


class GradualUnfreezing(BaseFinetuning):
    """Trains a model's last blocks first, and one block more every few epochs.

    When all blocks are trained, the inputs follow. What is frozen for other reasons stays so, as
    under adapters, of which those of lower blocks begin later; head, last norm and the positional
    parameters that blocks share are trained from the start. An epoch alone decides what is trained
    in it, so a resumed run goes on as it would have. The optimizer knows all parameters from the
    start: a schedule holds for those that begin later as for the others.

    Source: Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text Classification",
    arXiv:1801.06146, section 3.3, where every epoch unfreezes one more.

    Args:
        every_n_epochs: Epochs from one block to the next, at least 1.
        at_first: Blocks that are trained in the first epoch, at least 1.

    Raises:
        ValueError: If a number is out of range, or the module has no blocks.
    """

    def __init__(self, every_n_epochs: int = 1, at_first: int = 1) -> None:
        super().__init__()
        self.every_n_epochs = whole(self, "every_n_epochs", every_n_epochs)
        self.at_first = whole(self, "at_first", at_first)
        self._stages: list[list[str]] = []  # names of parameters, in the order of unfreezing

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        if not hasattr(pl_module, "blocks") or not hasattr(pl_module, "thawed_later"):
            raise ValueError(
                f"GradualUnfreezing: {type(pl_module).__name__} does not say what its blocks are: "
                "derive it from TrainedModule, or leave the callback out"
            )
        if not self._stages:
            super().setup(trainer, pl_module, stage)

    def freeze_before_training(self, pl_module: Any) -> None:
        """Freeze what is trained later."""
        names = {id(p): name for name, p in pl_module.named_parameters() if p.requires_grad}
        blocks = list(pl_module.blocks)[: -self.at_first or None]
        parts = [list(block.parameters()) for block in reversed(blocks)]
        parts.append(list(pl_module.input_parameters))
        self._stages = [[names[id(p)] for p in part if id(p) in names] for part in parts]
        pl_module.thawed_later = frozenset(name for stage in self._stages for name in stage)
        self._let_train(pl_module, 0)

    def finetune_function(
        self, pl_module: L.LightningModule, epoch: int, optimizer: Optimizer
    ) -> None:
        """Unfreeze what is trained from this epoch on."""
        self._let_train(pl_module, epoch)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Come to where a run goes on, which may be within an epoch."""
        self._let_train(pl_module, trainer.current_epoch)

    def _let_train(self, module: L.LightningModule, epoch: int) -> None:
        trained = epoch // self.every_n_epochs
        for number, stage in enumerate(self._stages):
            for name in stage:
                module.get_parameter(name).requires_grad_(number < trained)

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Average over ranks the gradients of what began later: DDP, which was made when they were
        frozen, leaves them as they are.
        """
        if trainer.world_size == 1 or not isinstance(trainer.strategy, DDPStrategy):
            return
        for grad in self._late_gradients(pl_module):
            all_reduce(grad)
            grad /= trainer.world_size

    def _late_gradients(self, module: L.LightningModule) -> Iterator[Tensor]:
        for stage in self._stages:
            for name in stage:
                if (grad := module.get_parameter(name).grad) is not None:
                    yield grad

    # The groups of the optimizer are those of the module, whatever is frozen: there are none to
    # restore.
    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        pass
