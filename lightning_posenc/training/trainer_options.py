"""Options of a run that mean nothing, refused before anything is made."""

import math
from typing import Any

# The least and the most that an option may be; null is Lightning's own choice.
_RANGES: dict[str, tuple[float, float]] = {
    "max_epochs": (-1, math.inf),
    "min_epochs": (0, math.inf),
    "max_steps": (-1, math.inf),
    "min_steps": (0, math.inf),
    "num_nodes": (1, math.inf),
    "log_every_n_steps": (1, math.inf),
    "check_val_every_n_epoch": (1, math.inf),
    "accumulate_grad_batches": (1, math.inf),
    "num_sanity_val_steps": (-1, math.inf),
    "reload_dataloaders_every_n_epochs": (0, math.inf),
    "gradient_clip_val": (0, math.inf),
}
# A share of the batches as a fraction, or a number of them as a whole number.
_SHARES = (
    "overfit_batches", "limit_train_batches", "limit_val_batches", "limit_test_batches",
    "limit_predict_batches", "val_check_interval",
)  # fmt: skip
LINKED = ("vocab_size", "n_classes")  # arguments of a model that its data knows


def check_trainer(options: Any) -> None:
    """Check the options of the Trainer.

    Args:
        options: By name (`get`), callbacks as their configs.

    Raises:
        ValueError: If one is out of range, or the commands do not heed it.
    """
    for name, (least, most) in _RANGES.items():
        value = options.get(name)
        if value is not None and not least <= value <= most:
            raise ValueError(f"trainer.{name} must be at least {least:g}, got {value}")
        if isinstance(value, float) and math.isinf(value):
            raise ValueError(f"trainer.{name} must be finite, got {value}")
    for name in _SHARES:
        _check_share(name, options.get(name))
    if options.get("default_root_dir") is not None:
        raise ValueError(
            "trainer.default_root_dir has no effect here: --run_dir says where a run is kept"
        )
    if options.get("barebones"):
        raise ValueError(
            "trainer.barebones keeps no results, which is what these commands are for: use "
            "lightning.Trainer in a program of your own"
        )
    for callback in as_list(options.get("callbacks")):
        if str(_get(callback, "class_path")).endswith(".BatchSizeFinder"):
            # Once it had tried, Lightning 2.6 trained no step, and said that it was finished.
            raise ValueError(
                "trainer.callbacks: BatchSizeFinder changes data.batch_size, which is part of the "
                "experiment and counts all ranks: try sizes with --trainer.max_steps=20"
            )


def check_linked(model: Any) -> None:
    """Check that nobody gives a model what it is told by its data.

    Args:
        model: Its config: `class_path` and `init_args`.

    Raises:
        ValueError: If somebody does, to no effect.
    """
    arguments = _get(model, "init_args")
    for name in LINKED:
        if arguments is not None and _get(arguments, name) is not None:
            raise ValueError(f"model.{name} is what the data says it is: leave it out")


def _check_share(name: str, value: Any) -> None:
    if value is None or isinstance(value, str):
        return
    what = f"trainer.{name} must be a whole number of batches or a share from 0 to 1, got {value}"
    if isinstance(value, float) and not 0 <= value <= 1:
        raise ValueError(what)
    if not isinstance(value, float) and value < 0:
        raise ValueError(what)
    if name == "val_check_interval" and value == 0:
        raise ValueError(
            "trainer.val_check_interval=0 would never be due: --trainer.limit_val_batches=0 trains "
            "without validation"
        )


def as_list(value: Any) -> list[Any]:
    """A Trainer argument that takes one object, several, or a switch (None, True, False)."""
    if value is None or isinstance(value, bool):
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _get(config: Any, name: str) -> Any:
    return config.get(name) if hasattr(config, "get") else getattr(config, name, None)
