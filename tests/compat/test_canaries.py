"""What is relied on of other libraries without their promise is still so: one canary a reach.

When one of these fails after an upgrade, mend the function of `lightning_posenc.compat` that it
names; nothing else of the package reaches there (`test_no_other_file_reaches_into_privates`).
"""

import ast
import inspect
import signal
from argparse import ArgumentError
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.utilities.model_summary import ModelSummary
from torch import nn
from torch.nn import functional as F

import lightning_posenc
from lightning_posenc.compat import datasets, jsonargparse, lightning, wandb
from lightning_posenc.compat import torch as of_torch

ROOT = Path(lightning_posenc.__file__).parent
OURS = "lightning_posenc"
ALLOWED = {"_replace", "_asdict", "_fields", "_make", "_exit"}  # documented by Python


class Seen(L.Callback):
    """What compat says of a fit while it runs."""

    def __init__(self) -> None:
        self.said: list[tuple[bool, bool, int]] = []
        self.metrics: list[dict[str, float] | None] = []

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        counts = lightning.batches_trained(trainer)
        self.said.append((lightning.accumulates(trainer), lightning.validates_now(trainer), counts))
        self.metrics.append(lightning.metrics_due(trainer))


class Logging(BoringModel):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.log("seen", float(batch_idx))
        return super().training_step(batch, batch_idx)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[L.Trainer, Seen, dict[str, Any]]:
    """A fit of four batches, two to a step, with a validation after each second batch."""
    seen, folder = Seen(), tmp_path_factory.mktemp("fit")
    trainer = L.Trainer(
        default_root_dir=folder, max_epochs=1, limit_train_batches=4, limit_val_batches=1,
        accumulate_grad_batches=2, val_check_interval=2, log_every_n_steps=1, callbacks=[seen],
        logger=L.pytorch.loggers.CSVLogger(folder), enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu",
    )  # fmt: skip
    trainer.fit(Logging())
    trainer.save_checkpoint(folder / "a.ckpt")
    return trainer, seen, torch.load(folder / "a.ckpt", weights_only=True)


def test_lightning_counts_batches_and_says_what_follows(fitted: Any) -> None:
    _, seen, _ = fitted
    assert [accumulates for accumulates, _, _ in seen.said] == [True, False, True, False]
    assert [validates for _, validates, _ in seen.said] == [False, True, False, True]
    assert [count for _, _, count in seen.said] == [1, 2, 3, 4]


def test_lightning_tells_what_it_is_about_to_log(fitted: Any) -> None:
    _, seen, _ = fitted
    assert seen.metrics[1] is not None
    assert seen.metrics[1]["seen"] == 1.0


def test_a_checkpoint_says_how_far_its_loops_were(fitted: Any) -> None:
    loop = fitted[2]["loops"][lightning.FIT_LOOP]
    assert loop[lightning.BATCHES]["total"]["processed"] == 4
    assert {"ready", "started", "processed", "completed"} <= loop[lightning.VALIDATION][
        "total"
    ].keys()
    assert "is_last_batch" in loop[lightning.VALIDATION]
    assert {"ready", "processed"} <= loop["epoch_progress"]["current"].keys()


def test_lightning_has_the_trainer_and_hyperparameters_of_a_module() -> None:
    module = BoringModel()
    assert lightning.trainer_of(module) is None
    module.save_hyperparameters({"a": 1})
    lightning.set_hparams(module, {"b": 2})
    assert dict(module.hparams) == {"b": 2}
    assert module._log_hyperparams is True
    lightning.leave_out_hparams(module)
    assert module._log_hyperparams is False


def test_lightning_keeps_the_seed_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    assert lightning.seed_of_run() is None
    state = torch.get_rng_state()
    L.seed_everything(17, verbose=False)
    torch.set_rng_state(state)
    assert lightning.seed_of_run() == 17
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")  # so that it is put back at the end


def test_torch_has_the_store_of_a_group(tmp_path: Path) -> None:
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        of_torch.store_of_group().set("key", "value")
        assert of_torch.store_of_group().get("key") == b"value"
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("flops", [0, 10**9])
def test_lightning_lays_a_summary_out(flops: int) -> None:
    summary = ModelSummary(BoringModel())
    columns, modes = summary._get_summary_data(), summary.total_training_modes
    table = lightning.table_of_layers(flops, columns, (66, 66, 0.1, modes))
    assert "Linear" in table
    assert "66" in table
    assert ("FLOPs" in table) == ("Total Flops" in table) == bool(flops)


def test_lightning_takes_a_handler_of_a_signal(fitted: Any) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    handler = lambda *_: None  # noqa: E731
    lightning.handle_signal(fitted[0], signal.SIGUSR1, handler)
    try:
        assert signal.getsignal(signal.SIGUSR1) is handler
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_lightning_says_whether_it_divides_the_data() -> None:
    for divides in (True, False):
        trainer = L.Trainer(use_distributed_sampler=divides, logger=False, accelerator="cpu")
        assert lightning.divides_data(trainer) is divides


def test_lightning_flattens_and_knows_local_paths(tmp_path: Path) -> None:
    assert lightning.flat({"a": {"b": 1}, "c": None}) == {"a/b": 1, "c": "None"}
    assert lightning.is_local(tmp_path)
    assert not lightning.is_local("s3://bucket/file")


@pytest.mark.parametrize(
    "name",
    [
        "_run_subcommand",
        "_get",
        "_parser",
        "_parse_ckpt_path",
        "_add_configure_optimizers_method_to_model",
        "_prepare_subcommand_parser",
    ],
)
def test_lightnings_command_line_has_the_step(name: str) -> None:
    assert f"self.{name}(" in inspect.getsource(LightningCLI)


def test_lightnings_table_is_written_by_these_steps(tmp_path: Path) -> None:
    writer = lightning.TableWriter(str(tmp_path))
    writer.log_metrics({"a": 1.0}, 0)
    writer.save()
    again = lightning.TableWriter(str(tmp_path))  # Lightning's own would delete the file
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["a,step", "1.0,0"]
    rewritten: list[list[str]] = []
    again.rewrite = rewritten.append  # type: ignore[method-assign]
    again.metrics_keys = ["a", "step"]
    again.log_metrics({"a": 1.0, "b": 2.0}, 1)
    again.save()
    assert rewritten == [["a", "b", "step"]]


def test_torch_says_whether_a_backward_pass_runs() -> None:
    seen: list[bool] = []
    x = torch.ones(2, requires_grad=True)
    x.register_hook(lambda _: seen.append(of_torch.in_backward()))
    x.sum().backward()
    assert seen == [True]
    assert not of_torch.in_backward()


def test_torch_says_what_is_compiled() -> None:
    plain, in_place = nn.Linear(2, 2), nn.Linear(2, 2)
    assert not of_torch.is_compiled(plain)
    assert of_torch.is_compiled(torch.compile(plain, backend="eager"))  # type: ignore[arg-type]
    in_place.compile(backend="eager")
    assert of_torch.is_compiled(in_place)


def test_torch_says_what_is_transformed() -> None:
    seen: list[bool] = []

    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append(of_torch.is_transformed(x))
        return x

    torch.func.vmap(look)(torch.ones(3))
    look(torch.ones(3))
    assert seen == [True, False]


def test_torch_says_what_is_mapped() -> None:
    seen: list[bool] = []

    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append(of_torch.is_mapped(x))
        return x.sum()

    torch.func.vmap(look)(torch.ones(3, 2))
    torch.func.vmap(torch.func.grad(look))(torch.ones(3, 2))
    look(torch.ones(3))
    assert seen == [True, False, False]


def test_torch_tells_what_becomes_of_saved_tensors() -> None:
    outer: tuple[Any, Any] = (lambda x: x, lambda x: x)
    assert of_torch.saving() == (of_torch._unchanged, of_torch._unchanged)
    with torch.autograd.graph.saved_tensors_hooks(*outer):
        assert of_torch.saving() == outer
        inner: tuple[Any, Any] = (lambda x: x + 1, lambda x: x - 1)
        with torch.autograd.graph.saved_tensors_hooks(*inner):
            assert of_torch.saving() == inner
    with torch.autograd.graph.disable_saved_tensors_hooks("not here"):
        assert of_torch.saving() is None


def test_torch_says_whether_it_is_overridden_and_how_it_compiles() -> None:
    assert not of_torch.is_overridden()
    with torch.device("cpu"):
        assert of_torch.is_overridden()
    assert {"default", "max-autotune", "reduce-overhead"} <= set(of_torch.modes_of_compile())
    assert {"inductor", "aot_eager"} <= set(torch.compiler.list_backends(exclude_tags=None))


def test_torch_flushes_denormals_and_python_tells() -> None:
    def product() -> float:
        return (torch.tensor(2.0**-126) * torch.tensor(0.5)).item()

    with of_torch.denormals_flushed():
        assert product() == 0
        with of_torch.denormals_flushed():
            pass
        assert product() == 0
    assert product() == 2.0**-127


def test_torch_counts_changes_in_place() -> None:
    x = torch.ones(2)
    before = of_torch.changes(x)
    x.add_(1)
    assert of_torch.changes(x) > before


def test_torch_says_which_step_unscales() -> None:
    weights = [nn.Parameter(torch.ones(2))]
    assert of_torch.steps_unscaled(torch.optim.AdamW(weights, fused=True))
    assert not of_torch.steps_unscaled(torch.optim.AdamW(weights))


def test_fsdp_forgets_a_failed_pass_by_this_name() -> None:
    from torch.distributed.fsdp import FSDPModule

    if torch.__version__ >= "2.13":
        assert hasattr(FSDPModule, "reset_iter_state")
    of_torch.start_afresh(nn.Linear(2, 2))  # which has nothing to forget


@pytest.mark.parametrize("is_causal", [False, True])
def test_torchs_flash_kernel_tells_its_lse(is_causal: bool) -> None:
    q, k, v = torch.randn(3, 2, 4, 8, 16).unbind(0)
    found = of_torch.flash_with_lse(q, k, v, is_causal, scale=0.25)
    logits = 0.25 * q @ k.transpose(-2, -1)
    if is_causal:
        logits = logits.masked_fill(~torch.ones(8, 8).tril().bool(), -torch.inf)
    torch.testing.assert_close(found[1], logits.logsumexp(-1))
    want = F.scaled_dot_product_attention(q, k, v, is_causal=is_causal, scale=0.25)
    torch.testing.assert_close(found[0], want)


def test_torchs_flash_kernel_takes_a_bias_of_keys_beside_the_causal_mask() -> None:
    q, k, v = (x.requires_grad_() for x in torch.randn(3, 2, 4, 8, 16).unbind(0))
    bias, gradient = torch.randn(1, 4, 1, 8), torch.randn(2, 4, 8, 16)
    hidden = torch.zeros(8, 8).masked_fill(~torch.ones(8, 8).tril().bool(), -torch.inf)
    want = F.scaled_dot_product_attention(q, k, v, attn_mask=bias + hidden, scale=0.25)
    wanted = torch.autograd.grad(want, (q, k, v), gradient)
    with torch.no_grad():
        found = of_torch.flash_with_lse(q, k, v, True, 0.25, bias)
        torch.testing.assert_close(found[0], want)
        given = gradient, q, k, v, *found
        torch.testing.assert_close(of_torch.flash_backward(*given, True, 0.25, bias), wanted)


def test_torch_has_dictionaries_of_weak_identities() -> None:
    kept: Any = of_torch.WeakIdKeyDictionary()
    key = torch.ones(2)
    kept[key] = 1
    assert kept[key] == 1
    del key
    assert len(kept) == 0


def test_jsonargparses_settings_come_back() -> None:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--module", type=type[nn.Module])
    with jsonargparse.imports_only(["json"]), pytest.raises(ArgumentError) as refused:
        parser.parse_args(["--module=torch.nn.Linear"])
    found = jsonargparse.DENIED.search(str(refused.value))
    assert found is not None
    assert found["name"] == "torch.nn.Linear"
    assert parser.parse_args(["--module=torch.nn.Linear"]).module is nn.Linear


def test_jsonargparse_words_its_errors_so() -> None:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False, prog="x")
    parser.add_argument("--loss", type=nn.Module)
    parser.add_argument("--steps", type=int)

    def said(*args: str) -> str:
        with pytest.raises(ArgumentError) as error:
            parser.parse_args(list(args))
        return str(error.value)

    assert jsonargparse.KEY.search(said("--steps=x"))
    assert jsonargparse.UNKNOWN.search(said("--nonsense=1"))
    assert jsonargparse.CLASS.search(said("--loss=Nonsense"))
    assert jsonargparse.REFUSED.search(
        said("--loss=torch.nn.GELU", "--loss.nonsense=1").splitlines()[-1].strip()
    )


def test_datasets_tell_contents_apart_and_read_their_settings() -> None:
    import datasets as library

    one, other = (library.Dataset.from_dict({"a": [n]}) for n in (1, 2))
    assert datasets.fingerprint(one) != datasets.fingerprint(other)
    assert datasets.hashed(("a", 1)) == datasets.hashed(("a", 1)) != datasets.hashed(("a", 2))
    for name in ("HF_HUB_OFFLINE", "HF_UPDATE_DOWNLOAD_COUNTS"):
        before = getattr(library.config, name)
        with datasets.setting(name, not before):
            assert getattr(library.config, name) is not before
        assert getattr(library.config, name) is before


def test_wandb_updates_what_an_agent_has_locked(tmp_path: Path) -> None:
    from wandb.sdk.wandb_config import Config

    config = Config()
    config.update_locked({"model": {"a": 1}}, user="sweep")
    wandb.update_beside_agent(config, {"model": {"b": 2}})
    assert dict(config)["model"] == {"a": 1, "b": 2}
    assert wandb.earlier_id(tmp_path) is None
    (tmp_path / "wandb" / "offline-run-20260101_000000-abcd1234").mkdir(parents=True)
    assert wandb.earlier_id(tmp_path) == "abcd1234"


def made_here(tree: ast.Module) -> set[str]:
    """Names of a file's own classes, functions and attributes."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def privates(tree: ast.Module) -> set[str]:
    """Private names that a file reads of any object, or imports from another library."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith(OURS):
            found |= {*node.module.split("."), *(alias.name for alias in node.names)}
    return {name for name in found if is_private(name)} - ALLOWED


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_no_other_file_reaches_into_privates() -> None:
    trees = {
        str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8"))
        for path in ROOT.rglob("*.py")
        if "compat" not in path.parts
    }
    ours = set().union(*(made_here(tree) for tree in trees.values()))
    reaching = {name: left for name, tree in trees.items() if (left := privates(tree) - ours)}
    assert not reaching


def test_a_reach_into_privates_is_seen() -> None:
    text = "from lightning.x import _y\nclass A:\n    def __init__(self):\n        self._a = b._c\n"
    tree = ast.parse(text)
    assert privates(tree) - made_here(tree) == {"_y", "_c"}
