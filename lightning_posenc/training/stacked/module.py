"""Several seeds of one model as one LightningModule.

Shapes: S seeds.
"""

from collections.abc import Mapping, Sequence
from inspect import getattr_static
from typing import Any

import lightning as L
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_posenc.diagnostics.metric_keys import Key
from lightning_posenc.modules import sharding
from lightning_posenc.modules.scored import ScoredModule
from lightning_posenc.modules.trained import TrainedModule
from lightning_posenc.training.stacked.clipping import clip
from lightning_posenc.training.stacked.proof import check_elementwise, check_step, why_not_scored
from lightning_posenc.training.stacked.seed_view import SeedView
from lightning_posenc.training.stacked.stack import SeedStack, Unstackable

_OWN = {"forward", "predict_step", "setup"}  # of Lightning's, that a class may have of its own


class StackedModule(L.LightningModule):
    """Trains S modules at once, each on its own batches, as S runs would train them.

    One optimizer steps all weights, and one schedule sets their rates, in the groups that a single
    module would make; gradients are clipped by the norm of each seed. Metrics are logged as
    `<place>/<key>`, with the module's place among the S. The first step is compared with those of
    the modules by themselves, and what differs is refused; later ones may part from a single run's
    as two machines do, by rounding alone.

    A module whose loss is not finite is left behind, and its `alive` is False; the others go on.

    Args:
        modules: S of one class and size, each as its own seed has made it.

    Raises:
        Unstackable: If they cannot be trained as one; some reasons show only when training starts.
    """

    def __init__(self, modules: Sequence[TrainedModule]) -> None:
        super().__init__()
        check_kind(modules[0])
        self.stack = SeedStack(modules)
        self.template = self.stack.template  # a part, which moves and trains with this module
        self.alive = [True] * len(modules)
        self._bad: Tensor | None = None
        self._is_proven = False
        self._alone: str | None = None  # why evaluation is of each module by itself
        self._is_asked = False

    def setup(self, stage: str) -> None:
        if not isinstance(self.trainer.strategy, SingleDeviceStrategy):
            raise Unstackable("several devices train one model: set trainer.devices=1")
        if self.trainer.precision != "32-true":
            raise Unstackable(f"trainer.precision={self.trainer.precision}: only 32-true is proven")
        for place, module in enumerate(self.stack.modules):
            module.trainer = SeedView(self.trainer, place)  # type: ignore[assignment]
            module.setup(stage)
        self.template.trainer = SeedView(self.trainer, 0)  # type: ignore[assignment]
        self.template.setup(stage)

    def configure_optimizers(self) -> Any:
        self.stack.share(self.device)
        parameters = list(self.stack.modules[0].parameters())
        check_elementwise(lambda own: self._configured(own)["optimizer"], parameters)
        made = self._configured(self.stack.of_first())
        if isinstance(made["lr_scheduler"]["scheduler"], ReduceLROnPlateau):
            raise Unstackable("schedule=ReduceLROnPlateau goes by the losses of one run")
        return made

    def _configured(self, own: Mapping[int, nn.Parameter]) -> Any:
        """What the first module configures, with these in the place of its parameters."""
        first = self.stack.modules[0]
        make = first.make_optimizer

        def made(groups: Any) -> Optimizer:
            return make([{**g, "params": [own[id(p)] for p in g["params"]]} for g in groups])

        first.make_optimizer = made
        try:
            return first.configure_optimizers()
        finally:
            first.make_optimizer = make

    def training_step(self, batches: Sequence[Any], batch_idx: int) -> Tensor:
        if not self._is_proven:
            check_step(self.stack, batches, batch_idx)
            self._is_proven = True
        every: int = getattr(self.trainer, "log_every_n_steps")  # noqa: B009 (set at run time)
        logs = every > 0 and (self.trainer.global_step + 1) % every == 0
        if logs:
            losses, *penalty, _, right = self.stack.call("training_scores", batches, batch_idx)
        else:
            losses, *penalty, _ = self.stack.call("training_loss", batches, batch_idx)
        if logs:
            rows = len(batches[0].tokens)
            self._tell("train/loss", losses, rows)
            self._tell("train/lr", losses.new_full(losses.shape, self.template.rate()), rows)
            if not right.isnan().any():
                self._tell("train/acc", right, rows)
            for each in penalty:
                self._tell("train/penalty", each, rows)
        lowered = sum(penalty, start=losses)
        bad = ~lowered.detach().isfinite()
        self._bad = bad if self._bad is None else self._bad | bad
        if logs or self.device.type == "cpu":  # a look makes a GPU wait
            self.leave_behind()
        return lowered.sum()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Leave idle parameters as they are: without a gradient nothing moves, not even decay."""
        stacked = self.stack.of_first()
        for parameter in self.stack.modules[0].idle_parameters():
            stacked[id(parameter)].grad = None

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        gradients = [p.grad for p in self.template.parameters() if p.grad is not None]
        clip(gradients, gradient_clip_val or 0.0, gradient_clip_algorithm or "norm")

    def on_validation_start(self) -> None:
        self.leave_behind()

    def validation_step(self, batches: Sequence[Any], batch_idx: int) -> None:
        of = Key("", "val")
        modules = self.stack.modules
        if not self._is_asked:
            ordinary = type(modules[0])._evaluate is ScoredModule._evaluate
            why = why_not_scored(self.stack, batches, batch_idx) if ordinary else "its own way"
            self._alone, self._is_asked = why, True
        if self._alone is None:
            scored = zip(*self.stack.call("score", batches, batch_idx), strict=True)
            for module, batch, told, alive in zip(
                modules, batches, scored, self.alive, strict=True
            ):
                if alive:
                    module.judged(of, batch, *told)
            return
        for module, batch, alive in zip(modules, batches, self.alive, strict=True):
            if alive:
                module.eval()
                module.validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        for place, module in enumerate(self.stack.modules):
            if self.alive[place]:
                for name, value in module.taken_metrics("val").items():
                    self.log(f"{place}/{name}", value)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Number the optimizer's parameters as each module does."""
        checkpoint["optimizer_states"] = [
            sharding.number_as_the_model_does(state, optimizer, self.template)
            for state, optimizer in zip(
                checkpoint["optimizer_states"], self.trainer.optimizers, strict=True
            )
        ]

    def _tell(self, name: str, values: Tensor, rows: int) -> None:
        for place, value in enumerate(values):
            if self.alive[place]:
                self.log(f"{place}/{name}", value, batch_size=rows)

    def leave_behind(self, by_weights: bool = False) -> None:
        """Take note of those whose loss has not been finite.

        Args:
            by_weights: Whether a weight that is not finite counts too, as it does where a run alone
                would be saved.
        """
        if self._bad is None:
            return
        for weight in self.template.parameters() if by_weights else ():
            self._bad |= ~weight.detach().isfinite().reshape(len(weight), -1).all(dim=1)
        self.alive = [
            alive and not bad for alive, bad in zip(self.alive, self._bad.tolist(), strict=True)
        ]
        if not any(self.alive):
            self.trainer.should_stop = True


def check_kind(module: L.LightningModule) -> None:
    """Refuse a module that does more in training than a stack does for it.

    Raises:
        Unstackable: Saying what.
    """
    name = type(module).__name__
    if not isinstance(module, TrainedModule):
        raise Unstackable(f"{name} is no model of this package")
    hooks = {each for each in dir(L.LightningModule) if not each.startswith("_")} - _OWN
    for hook in sorted(hooks | {"training_loss", "training_scores"}):
        own, ours = (getattr_static(each, hook) for each in (type(module), TrainedModule))
        if own is not ours:
            raise Unstackable(f"{name} has a {hook} of its own, which a stack would not call")
    if module.compile_options is not False:
        raise Unstackable("model.compile: a stack is not compiled")
