"""Where earlier releases kept the classes and the options that a checkpoint's config names."""

from collections.abc import Collection
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
# Classes of release 0.1 that are none any more, and what to do.
_GONE = {
    "RandomizedDistances": "it is a sampler now: train again with model.positions=RandomDistances "
    "and, as model.positional, the encoding that it held",
}


def instead(name: str) -> str | None:
    """What to do in place of a class that is gone; None if it is not one of those.

    Args:
        name: Of the class, or its dotted path.
    """
    module, _, kind = name.rpartition(".")
    return _GONE.get(kind) if f"{module}.".startswith(_PACKAGE) or not module else None


# Methods that release 0.1 called of a class of one's own, by the class of ours that it extends: of
# those that have their name still, with the argument that tells them.
_METHODS = {
    ("PositionalEncoding", "rescores"): "`rescore(site)` gives a function of the logits, or None",
    ("PositionalEncoding", "check_cache"): "`depends_on_length(places)` says why a cache is "
    "refused, or None",
    ("PositionalEncoding", "rescore", "logits"): "it gives a function of the logits, or None, "
    "since release 0.1",
    ("Positions", "forward", "n_sequences"): "since release 0.1, `sequences` has number, length, "
    "device, documents, lengths and tokens",
}


def instead_of_method(base: str, method: str, *arguments: str) -> str | None:
    """What to write in place of a method of release 0.1; None if it is none of those.

    Args:
        base: The class of ours that is extended.
        method: Its name.
        arguments: Names of what it takes, where it is called still.
    """
    keys = [(base, method), *((base, method, each) for each in arguments)]
    return next((_METHODS[key] for key in keys if key in _METHODS), None)


# Callbacks that a run brought in release 0.1, by the beginning of their key in a checkpoint, and
# what they are now: `RunCheckpoint` was a plain one then.
_CALLBACKS = {"ModelCheckpoint{": "RunCheckpoint{"}


def rename_callbacks(states: dict[str, Any], present: Collection[str]) -> None:
    """Give the states of callbacks the keys that these have now, in place.

    Args:
        states: Of a checkpoint's callbacks, by key.
        present: The keys of the callbacks of the run that goes on; a callback that has its old key
            still is one of the user's own.
    """
    for old, new in _CALLBACKS.items():
        for key in [key for key in states if key.startswith(old)]:
            today = new + key.removeprefix(old)
            if key not in present and today in present and today not in states:
                states[today] = states.pop(key)


# Options of the encoder in release 0.1: whose they are now, and what they are called there.
OF_PARTS = {
    "n_kv_heads": ("mixer", "n_kv_heads"),
    "qk_norm": ("mixer", "qk_norm"),
    "bias": ("mixer", "bias"),
    "attention_dropout": ("mixer", "dropout"),
    "kernel": ("mixer", "kernel"),
    "pre_norm": ("residual", "pre_norm"),
    "drop_path": ("residual", "drop_path"),
}
# Those that the module has now, to which the encoder belongs: they change how it is computed alone.
OF_MODULE = ("checkpoint_activations",)
_DEFAULTS = {"mixer": f"{_PACKAGE}model.Attention", "residual": f"{_PACKAGE}model.Plain"}
_LAYER_NORM = {"class_path": "torch.nn.LayerNorm"}


def today(path: str) -> str:
    """Give the dotted path that a class has now.

    Args:
        path: Of a class, as this release or an earlier one has it.

    Raises:
        ValueError: If it has none, saying what to do.
    """
    if "." in path and (advice := instead(path)) is not None:
        raise ValueError(f"{path}: {advice}")
    module, _, name = path.removeprefix(_PACKAGE).rpartition(".")
    if not path.startswith(_PACKAGE) or module not in _MOVED:
        return path
    return f"{_PACKAGE}{_MOVED[module]}.{name}"


def moved_option(name: str) -> str | None:
    """What became of an option of the encoder, in words; None for one that is where it was.

    Args:
        name: Of the option, without `encoder.`.
    """
    if name in OF_MODULE:
        return f"an option of the model now: --model.{name}=..., or in a file beside `encoder`"
    if name not in OF_PARTS:
        return None
    part, option = OF_PARTS[name]
    kind = _DEFAULTS[part].rpartition(".")[2]
    value = "torch.nn.LayerNorm (or another norm)" if name == "qk_norm" else "..."
    return (
        f"an option of the {part} now: --model.encoder.{part}.{option}={value}, or in a file "
        f"{part}: {{class_path: {kind}, init_args: {{{option}: {value}}}}}"
    )


def encoder_of_today(options: dict[str, Any]) -> dict[str, Any]:
    """Give an encoder's options as the parts have them now that they belong to.

    Args:
        options: By name, as this release or an earlier one has them; values as in a config.
    """
    gone = {*OF_PARTS, *OF_MODULE}
    rest = {name: value for name, value in options.items() if name not in gone}
    if len(rest) == len(options):
        return options
    for name, value in options.items():
        part, option = OF_PARTS.get(name, (None, name))
        if part is None:
            continue
        if name == "qk_norm":
            value = (rest.get("norm") or _LAYER_NORM) if value else None
        found = rest.get(part) or _DEFAULTS[part]
        described: dict[str, Any] = found if isinstance(found, dict) else {"class_path": found}
        if name == "pre_norm" and described["class_path"].endswith(".DeepNorm"):
            continue  # which has no choice
        arguments = {**described.get("init_args", {}), option: value}
        rest[part] = {**described, "init_args": arguments}
    return rest


def of_today(config: Any) -> Any:
    """Give a config in which every class and option stands where it does now.

    Args:
        config: Nested dicts and lists; what else is in them is taken as it is.
    """
    if isinstance(config, str):
        return today(config)
    if isinstance(config, list):
        return [of_today(value) for value in config]
    if not isinstance(config, dict):
        return config
    found = {key: of_today(value) for key, value in config.items()}
    encoder = found.get("encoder")
    if not isinstance(encoder, dict):
        return found
    if "class_path" not in encoder:
        options, found["encoder"] = encoder, encoder_of_today(encoder)
    elif str(encoder["class_path"]).endswith(".EncoderSpec"):
        options = encoder.get("init_args", {})
        found["encoder"] = {**encoder, "init_args": encoder_of_today(options)}
    else:
        return found
    return found | {name: options[name] for name in OF_MODULE if options.get(name)}
