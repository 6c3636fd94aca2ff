"""Several processes train the model that one would."""

from pathlib import Path

import pytest
import torch

from lightning_posenc.pretrained.adapting import LoRA, PretrainedLanguageModel
from tests.distributed.ranks import on_ranks
from tests.distributed.runs import Losses, strategy, trainer
from tests.pretrained.adapting.worlds import llama_folder, text_data

pytest.importorskip("peft")

VARIANTS = {
    "lora": {"lora": LoRA(rank=2)},
    "all": {"layer_decay": 0.5},
}


def curves(root: Path, folder: Path, name: str, n_ranks: int) -> dict[str, list[float]]:
    """The losses of three steps, and of three more after a checkpoint."""
    found = {}
    for variant, options in VARIANTS.items():
        noted = Losses()
        ckpt = None
        for steps in (3, 6):
            torch.manual_seed(0)
            module = PretrainedLanguageModel(str(folder), schedule=None, **options)  # type: ignore[arg-type]
            runner = trainer(
                root,
                strategy(name, n_ranks),
                n_ranks,
                [noted],
                max_steps=steps,
                max_epochs=10,
                limit_val_batches=0,
            )
            runner.fit(module, text_data(folder), ckpt_path=ckpt, weights_only=False)
            ckpt = root / f"{name}-{variant}.ckpt"
            runner.save_checkpoint(ckpt)
        found[variant] = noted.losses
    return found


@pytest.mark.slow
def test_ddp_and_fsdp2_train_as_one_process(tmp_path: Path) -> None:
    folder = llama_folder(tmp_path)
    alone = curves(tmp_path, folder, "auto", 1)
    for name in ("ddp", "fsdp2"):
        for found in on_ranks(curves, tmp_path, folder, name, 2):
            for variant, losses in found.items():
                assert losses == pytest.approx(alone[variant], abs=1e-5), (name, variant)
                assert len(losses) == 6
