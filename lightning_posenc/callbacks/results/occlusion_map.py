"""Which patches of an image does the model need?

Shapes: B images, c channels, H and W pixels, P x Q pixels of a patch, R x S patches, C classes.
"""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.callbacks.module_fits import fits
from lightning_posenc.callbacks.probing import isolated
from lightning_posenc.checks import whole
from lightning_posenc.data.batch import Batch
from lightning_posenc.model.inputs import Patches
from lightning_posenc.modules.generators import random_state, set_random_state
from lightning_posenc.runs.figures import log_figure, new_figure
from lightning_posenc.runs.main_process import is_writer
from lightning_posenc.runs.run_directory import FIGURES
from lightning_posenc.runs.whole_files import write_whole
from lightning_posenc.tasks import IGNORE

RIGHT, LOSS, COUNT = range(3)
MOST_WRITTEN = 10  # patches on a side of a grid whose cells are large enough for a number
COLUMNS = "pixels,row,column,accuracy_fall,loss_rise\n"


class OcclusionMap(L.Callback):
    """Hides one patch of the test's images after the other, and draws `figures/occlusion`: by how
    much the accuracy falls, and the loss rises, for each.

    A hidden patch is 0, which is the mean of the training images where the data normalises, as
    `ImageData` does. The figure has a pair of heat maps (R, S) for each size of images that is
    tested; `occlusion.csv` has a line for each patch, `occlusion.json` the same as grids. The loss
    is the cross entropy without smoothing. The test's own numbers stay as they are; it takes as
    many more passes over the images as there are patches.

    Source: Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks",
    arXiv:1311.2901, section 4.2 ("occlusion sensitivity"): a grey square moved over one image;
    here patch by patch, and the mean over images.

    Example: `fit --config configs/digits_vit.yaml --trainer.callbacks+=OcclusionMap`

    Args:
        n_images: At most so many images of each size, the first ones of the test, at least 1.

    Raises:
        ValueError: If the number is out of range, or the model reads no patches of images, with
            a class each.
    """

    def __init__(self, n_images: int = 256) -> None:
        self.n_images = whole(self, "n_images", n_images)
        self._sums: dict[tuple[int, int], Tensor] = {}  # (H, W) -> (3, 1 + R·S)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._patches(pl_module)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._sums = {}

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not fits(self, pl_module, batch, "logits"):
            return
        if batch.targets.dim() != 1:
            raise ValueError(
                "OcclusionMap: an image is to have one class, and the data has targets "
                f"{tuple(batch.targets.shape)}: leave the callback out"
            )
        height, width = batch.tokens.shape[2:]
        known = self._sums.get((height, width))
        seen = 0 if known is None else int(known[COUNT, 0])
        of_rank = -(-self.n_images // trainer.world_size)
        if seen >= of_rank:
            return
        with isolated(trainer, pl_module), torch.no_grad():
            found = self._measure(pl_module, batch.first(of_rank - seen))
        self._sums[height, width] = found if known is None else known + found

    def _measure(self, module: Any, batch: Batch) -> Tensor:
        """(3, 1 + R·S) of right answers, losses and images; at first of the images as they are."""
        down, across = self._patches(module).patch_size
        height, width = batch.tokens.shape[2:]
        corners = [(y, x) for y in range(0, height, down) for x in range(0, width, across)]
        scored = batch.targets != IGNORE
        targets = batch.targets.where(scored, 0)
        state = random_state(module)
        sums = []
        for corner in (None, *corners):
            images = batch.tokens
            if corner is not None:
                y, x = corner
                images = images.clone()
                images[:, :, y : y + down, x : x + across] = 0
            set_random_state(module, state)  # what is drawn is drawn as without a hidden patch
            logits = module.logits(batch._replace(tokens=images)).double()  # (B, C)
            losses = F.cross_entropy(logits, targets, reduction="none")
            right = logits.argmax(dim=-1) == targets
            sums.append(torch.stack([x[scored].sum() for x in (right, losses, scored)]).cpu())
        return torch.stack(sums, dim=1)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        down, across = self._patches(pl_module).patch_size
        maps = {}
        for (height, width), sums in sorted(self._sums.items()):
            total = trainer.strategy.reduce(sums.to(pl_module.device), reduce_op="sum").cpu()
            mean = total[:COUNT] / total[COUNT]
            accuracy_fall, loss_rise = (
                (sign * (mean[row, 1:] - mean[row, 0])).reshape(height // down, width // across)
                for row, sign in ((RIGHT, -1), (LOSS, 1))
            )
            maps[f"{height} x {width}"] = {
                "n_images": int(total[COUNT, 0]),
                "accuracy": round(float(mean[RIGHT, 0]), 6),
                "loss": round(float(mean[LOSS, 0]), 6),
                "accuracy_fall": accuracy_fall,
                "loss_rise": loss_rise,
            }
        if maps and is_writer(trainer):
            _write(trainer, maps)

    @staticmethod
    def _patches(module: Any) -> Patches:
        inputs = getattr(module, "embedding", None)
        if isinstance(inputs, Patches):
            return inputs
        made = "no inputs" if inputs is None else f"inputs {type(inputs).__name__}"
        raise ValueError(
            f"OcclusionMap hides patches of images, and {type(module).__name__} has {made}: take "
            "an ImageClassifier, or leave the callback out"
        )


def _write(trainer: L.Trainer, maps: dict[str, dict[str, Any]]) -> None:
    lines = [COLUMNS]
    for size, of in maps.items():
        cells = torch.stack((of["accuracy_fall"], of["loss_rise"]), dim=-1)
        for row, line in enumerate(cells.tolist()):
            lines += [f"{size},{row},{i},{a:.6f},{b:.6f}\n" for i, (a, b) in enumerate(line)]
    write_whole(Path(trainer.default_root_dir, FIGURES, "occlusion.csv"), "".join(lines))
    figure = new_figure(figsize=(max(6.4, 4.2 * len(maps)), 7.6))
    axes = figure.subplots(2, len(maps), squeeze=False)
    kinds = (("accuracy_fall", "accuracy", 3), ("loss_rise", "loss", 2))
    for line, (key, name, digits) in zip(axes, kinds, strict=True):
        # One scale for all sizes, so that what is faint beside the others looks so.
        most = max(10.0**-digits, *(float(of[key].abs().max()) for of in maps.values()))
        for ax, (size, of) in zip(line, maps.items(), strict=True):
            image = _draw(ax, of[key], most, digits)
            verb = key.rpartition("_")[2] + "s"
            title = f"{size} pixels: {name} {of[name]:.{digits}f} {verb} by"
            ax.set_title(title, fontsize=10)
        figure.colorbar(image, ax=line, label=key.replace("_", ": "), shrink=0.8)
        line[0].set_ylabel("row of the hidden patch")
    for ax in axes[-1]:
        ax.set_xlabel("column of the hidden patch")
    n_images = max(of["n_images"] for of in maps.values())
    figure.suptitle(
        f"Which patches does the model need? One of them hidden, {n_images} test images\n"
        "(red: worse without it, white: not missed, blue: better without it)",
        fontsize=10,
    )
    numbers = {
        size: {k: _rounded(v) if isinstance(v, Tensor) else v for k, v in of.items()}
        for size, of in maps.items()
    }
    log_figure(trainer, "occlusion", figure, numbers)


def _draw(ax: Any, grid: Tensor, most: float, digits: int) -> Any:
    """A heat map of (R, S), with its numbers where they have room."""
    image = ax.imshow(grid.numpy(), cmap="RdBu_r", vmin=-most, vmax=most)
    ax.locator_params(integer=True)
    for row, line in enumerate(grid.tolist() if max(grid.shape) <= MOST_WRITTEN else ()):
        for column, value in enumerate(line):
            colour = "white" if abs(value) > 0.6 * most else "black"
            size = 9 if max(grid.shape) <= 6 else 6
            text = f"{round(value, digits) + 0.0:.{digits}f}"  # no -0.00
            ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)
    return image


def _rounded(grid: Tensor) -> list[list[float]]:
    return [[round(value, 6) for value in line] for line in grid.tolist()]
