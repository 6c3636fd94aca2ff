"""Where earlier releases kept the classes that a checkpoint's config names."""

from typing import Any

_PACKAGE = "lightning_posenc."
# Modules of release 0.1, and where their classes are now.
_MOVED = {
    "callbacks.accuracy_by_position": "callbacks.results.accuracy_by_position",
    "callbacks.attention_maps": "callbacks.results.attention_maps",
    "callbacks.best_score": "training.best_score",
    "callbacks.divergence": "training.divergence",
    "callbacks.length_generalization": "callbacks.results.length_generalization",
    "callbacks.moved_run": "training.resuming.moved_run",
    "callbacks.predictions": "callbacks.results.predictions",
    "callbacks.preemption": "training.resuming.preemption",
    "callbacks.random_state": "training.resuming.random_state",
    "callbacks.results_table": "callbacks.results.results_table",
    "callbacks.run_checkpoint": "training.run_checkpoint",
    "callbacks.run_summary": "training.summary",
    "callbacks.same_checkpoint": "training.resuming.same_checkpoint",
    "callbacks.stays_stopped": "training.resuming.stays_stopped",
    "callbacks.step_time": "training.step_time",
    "callbacks.unfinished_step": "training.resuming.unfinished_step",
    "data.tagging": "data.text.tagging",
    "data.text": "data.text.language",
    "data.text_classification": "data.text.classification",
    "positional.scaling": "positional.rotary.scaling",
    "positional.scaling.base": "positional.rotary.scaling.base",
    "positional.scaling.by_parts": "positional.rotary.scaling.by_parts",
    "positional.scaling.linear": "positional.rotary.scaling.linear",
    "positional.scaling.longrope": "positional.rotary.scaling.longrope",
    "positional.scaling.ntk": "positional.rotary.scaling.ntk",
}


def today(path: str) -> str:
    """Give the dotted path that a class has now.

    Args:
        path: Of a class, as this release or an earlier one has it.
    """
    module, _, name = path.removeprefix(_PACKAGE).rpartition(".")
    if not path.startswith(_PACKAGE) or module not in _MOVED:
        return path
    return f"{_PACKAGE}{_MOVED[module]}.{name}"


def of_today(config: Any) -> Any:
    """Give a config in which every class stands under the path that it has now.

    Args:
        config: Nested dicts and lists; what else is in them is taken as it is.
    """
    if isinstance(config, str):
        return today(config)
    if isinstance(config, dict):
        return {key: of_today(value) for key, value in config.items()}
    if isinstance(config, list):
        return [of_today(value) for value in config]
    return config
