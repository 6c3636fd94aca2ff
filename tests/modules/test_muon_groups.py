"""Hidden matrices have a rule of their own, all else AdamW's, by lines of a config."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR

from lightning_posenc.modules import LanguageModel
from lightning_posenc.modules.muon_groups import hidden_matrices_apart
from lightning_posenc.modules.optim import parameter_groups
from tests.distributed.runs import data, trainer
from tests.modules.test_layer_decay import module


def moved(root: Path, of: LanguageModel, steps: int = 1) -> dict[str, Tensor]:
    """What each parameter has moved by, by name."""
    before = {name: p.detach().clone() for name, p in of.named_parameters()}
    trainer(root, max_steps=steps).fit(of, data(train_length=4, eval_lengths=[4]))
    return {name: p.detach() - before[name] for name, p in of.named_parameters()}


def test_matrices_of_the_blocks_are_a_group_of_their_own() -> None:
    of = module()
    whole = parameter_groups(of, of.positional)
    split = {group["name"]: group for group in hidden_matrices_apart(whole, of.blocks)}
    names = {id(p): name for name, p in of.named_parameters()}
    assert {name: group["use_muon"] for name, group in split.items()} == {
        "hidden": True, "decay": False, "no_decay": False, "positional": False,
    }  # fmt: skip
    found = {name: {names[id(p)] for p in group["params"]} for name, group in split.items()}
    assert found["hidden"] == {
        f"encoder.blocks.{layer}.{part}.weight"
        for layer in range(3)
        for part in ("attention.qkv", "attention.out", "feed_forward.up", "feed_forward.out")
    }
    assert found["decay"] == {"embedding.weight", "head.weight"}
    assert found["positional"] == {"encoder.positional.table"}
    assert sum(len(group["params"]) for group in split.values()) == len(names)
    assert all(group["weight_decay"] == 0 for name, group in split.items() if name == "no_decay")


@pytest.mark.slow
def test_hidden_matrices_move_orthogonally_and_the_rest_as_by_adamw(tmp_path: Path) -> None:
    """Muon's update of m×n has singular values of about lr · sqrt(max(1, m / n)), but where the
    gradient has none; the first of AdamW is lr wherever there is a gradient.
    """
    theirs = pytest.importorskip("pytorch_optimizer")
    muon = partial(theirs.Muon, lr=0.02, adamw_lr=1e-3)
    of = module(optimizer=muon, muon_groups=True, positional_lr_multiplier=2.0)
    for name, step in moved(tmp_path, of).items():
        if "blocks" in name and step.dim() == 2:
            sizes = torch.linalg.svdvals(step) / max(1, step.shape[0] / step.shape[1]) ** 0.5
            assert 0.01 < sizes.median() < sizes.max() < 0.03, name
        else:
            rate = 2e-3 if "positional" in name else 1e-3
            assert step.abs().max().item() == pytest.approx(rate, rel=0.01), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"optimizer": "pytorch_optimizer.Muon"}, "`use_muon` must be set"),
        ({"optimizer": "torch.optim.Muon", "muon_groups": True}, "Muon only supports 2D"),
        (
            {"optimizer": "pytorch_optimizer.Muon", "muon_groups": True,
             "schedule": partial(OneCycleLR, max_lr=0.1, cycle_momentum=False)},
            "the schedule sets every rate itself",
        ),
        ({"muon_groups": "yes"}, "muon_groups='yes'"),
    ],
)  # fmt: skip
def test_mistakes_are_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    if path := options.get("optimizer"):
        where, _, name = path.rpartition(".")
        options = {**options, "optimizer": getattr(pytest.importorskip(where), name, None)}
        if options["optimizer"] is None:
            pytest.skip(f"no {path}")
    with pytest.raises(ValueError, match=said):
        moved(tmp_path, module(**options))
