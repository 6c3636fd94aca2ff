"""Lower blocks learn more slowly, by the factors that are asked for."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from lightning_posenc.model import EncoderSpec
from lightning_posenc.modules import LanguageModel
from lightning_posenc.positional import LearnedAbsolute
from lightning_posenc.tasks import Reverse
from tests.distributed.runs import data, trainer


def module(**options: Any) -> LanguageModel:
    torch.manual_seed(0)
    spec = EncoderSpec(d_model=16, n_heads=2, n_layers=3)
    defaults: dict[str, Any] = {
        "positional": partial(LearnedAbsolute, max_length=16),
        "optimizer": partial(AdamW, lr=0.1),
        "schedule": None,
        "tie_weights": False,
    }
    return LanguageModel(spec, Reverse().vocab_size, **{**defaults, **options})


def rates(root: Path, of: LanguageModel) -> dict[str, float]:
    """The rate of each parameter, by name."""
    runner = trainer(root, max_steps=1)
    runner.fit(of, data(train_length=4, eval_lengths=[4]))
    names = {id(parameter): name for name, parameter in of.named_parameters()}
    groups = runner.optimizers[0].param_groups
    return {names[id(p)]: group["lr"] for group in groups for p in group["params"]}


def test_each_layer_has_its_factor(tmp_path: Path) -> None:
    found = rates(tmp_path, module(layer_decay=0.5, positional_lr_multiplier=3.0))
    # L = 3: inputs at 0.5^4, blocks at 0.5^3, 0.5^2, 0.5, head and last norm at 1.
    wanted = {"embedding.": 0.00625, "head.": 0.1, "encoder.norm.": 0.1, "encoder.positional.": 0.3}
    wanted |= {f"encoder.blocks.{layer}.": 0.1 * 0.5 ** (3 - layer) for layer in range(3)}
    for name, rate in found.items():
        (want,) = (value for start, value in wanted.items() if name.startswith(start))
        assert rate == pytest.approx(want), name
    assert len(found) == len(list(module().parameters()))


def test_a_decay_of_one_changes_no_group(tmp_path: Path) -> None:
    assert set(rates(tmp_path, module()).values()) == {0.1}


def test_a_slower_block_moves_less(tmp_path: Path) -> None:
    moved = {}
    for decay in (1.0, 0.1):
        of = module(layer_decay=decay, optimizer=partial(torch.optim.SGD, lr=0.1))
        before = {name: p.detach().clone() for name, p in of.named_parameters()}
        rates(tmp_path, of)
        moved[decay] = {name: p.detach() - before[name] for name, p in of.named_parameters()}
    name = next(n for n in moved[1.0] if n.startswith("encoder.blocks.0.") and n.endswith("weight"))
    assert float(moved[0.1][name].norm() / moved[1.0][name].norm()) == pytest.approx(1e-3, rel=0.01)
    torch.testing.assert_close(moved[0.1]["head.weight"], moved[1.0]["head.weight"])


def test_mistakes_are_refused(tmp_path: Path) -> None:
    for wrong in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="layer_decay="):
            module(layer_decay=wrong)
    of = module(layer_decay=0.5, schedule=partial(OneCycleLR, max_lr=0.1))
    with pytest.raises(ValueError, match=r"layer_decay=0.5 does nothing: the schedule sets every"):
        rates(tmp_path, of)
