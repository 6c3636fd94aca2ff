"""What another run takes from the config that a checkpoint carries: what is learned, and how.

Model and data, and of the trainer only what is plain and says how to train: never where files go,
what is started, or on which machine. A resumed run in its own directory is no exception, since a
directory is as easily somebody else's as a file is; its own `config.yaml` is taken whole if the
user names it with `--config`, as any program that one decides to run.
"""

import sys
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lightning_posenc.runs import run_directory
from lightning_posenc.runs.run_directory import CONFIG

_OF_A_RUN = ("seed_everything", "test_after_fit", "test_best")
_OF_THE_TRAINER = (
    "accelerator", "precision", "max_epochs", "min_epochs", "max_steps", "min_steps", "max_time",
    "limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches",
    "overfit_batches", "val_check_interval", "check_val_every_n_epoch", "num_sanity_val_steps",
    "log_every_n_steps", "enable_progress_bar", "enable_model_summary", "accumulate_grad_batches",
    "gradient_clip_val", "gradient_clip_algorithm", "deterministic", "benchmark",
    "inference_mode", "use_distributed_sampler", "detect_anomaly", "sync_batchnorm",
    "reload_dataloaders_every_n_epochs",
)  # fmt: skip
_LIGHTNINGS = (
    "EarlyStopping", "GradientAccumulationScheduler", "LearningRateMonitor",
    "StochasticWeightAveraging",
)  # fmt: skip
_COMPILES = ("fullgraph", "dynamic", "backend", "mode")  # not `options`: they name compilers


def taken_over(config: dict[str, Any], path: Path, says: bool) -> dict[str, Any]:
    """What another run takes from a checkpoint's config.

    Args:
        config: As the checkpoint has it, with a model.
        path: The checkpoint.
        says: Whether a line on stderr names what is left of the trainer.
    """
    taken: dict[str, Any] = {key: config[key] for key in ("model", "data") if key in config}
    taken |= {key: config[key] for key in _OF_A_RUN if key in config and _is_plain(config[key])}
    trainer = config.get("trainer")
    trainer = trainer if isinstance(trainer, dict) else {}
    taken["trainer"] = {
        key: trainer[key] for key in _OF_THE_TRAINER if key in trainer and _is_plain(trainer[key])
    }
    callbacks = trainer.get("callbacks")
    callbacks = callbacks if isinstance(callbacks, list) else [callbacks]
    if kept := [each for each in callbacks if _is_known_callback(each)]:
        taken["trainer"]["callbacks"] = kept
    taken["model"] = _not_compiled_by_names(taken["model"])
    if says:
        left = [_shown("callbacks", each) for each in callbacks if each and each not in kept]
        left += [
            _shown(key, value)
            for key, value in trainer.items()
            if key not in taken["trainer"] and key != "callbacks"
            if value not in (None, "auto", True, 1, False, [])
        ]
        if left:
            _say_left(left, path)
    return taken


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _is_known_callback(each: Any) -> bool:
    """Whether a callback is this package's, or one of Lightning's that writes nowhere else."""
    path = each.get("class_path") if isinstance(each, dict) else None
    package, _, name = str(path).rpartition(".")
    if package.startswith("lightning_posenc.callbacks"):
        return True
    if package != "lightning.pytorch.callbacks":
        return False
    arguments = each.get("init_args") or {}
    if name == "ModelCheckpoint":
        filename = str(arguments.get("filename") or "")
        return arguments.get("dirpath") is None and Path(filename).name == filename
    return name in _LIGHTNINGS


def _not_compiled_by_names(model: dict[str, Any]) -> dict[str, Any]:
    """A model without what could name a compiler: `compile` with plain options, or none."""
    arguments = model.get("init_args")
    if not isinstance(arguments, dict) or not isinstance(options := arguments.get("compile"), dict):
        return model
    plain = {key: options[key] for key in _COMPILES if key in options and _is_plain(options[key])}
    return {**model, "init_args": {**arguments, "compile": plain}}


def _shown(key: str, value: Any) -> str:
    if isinstance(value, list):
        return _shown(key, value[0]) if value else key
    if isinstance(value, dict):
        value = value.get("class_path", "…")
    return f"trainer.{key}={str(value)[:60]}"


@rank_zero_only
def _say_left(left: list[str], path: Path) -> None:
    directory = run_directory.resume_directory(path)
    do = f"add --config {directory / CONFIG}" if directory else "give them anew"
    print(
        f"warning: --ckpt_path {path}: not taken from a checkpoint: {', '.join(left)}; "
        f"to go on with that, {do}",
        file=sys.stderr,
    )
