"""What a loaded model is, for a person to read: in a terminal, and in a notebook."""

from html import escape
from typing import Any

from lightning_posenc.data.meaning import listed
from lightning_posenc.mistakes.escaping import plain

SHOWN = (
    "acc",
    "f1_macro",
    "ece",
    "entity_f1",
    "error_rate",
    "exact",
    "bits_per_byte",
    "perplexity",
    "loss",
)


def facts(model: Any) -> dict[str, str]:
    """What there is to say, by name."""
    n = sum(parameter.numel() for parameter in model.module.parameters())
    encoding = getattr(model.module, "positional", None)
    what = type(model.module).__name__
    what += "" if encoding is None else f" with {type(encoding).__name__}"
    found = {"model": f"{what}, {n:,} parameters"}
    if model.path is not None:
        found["from"] = f"{model.path}, step {model.step:,}"
    if model.data is not None:
        found["trained on"] = _data(model.data)
    found["takes"] = model.takes
    if model.labels:
        found["labels"] = f"{len(model.labels)}: {listed(model.labels)}"
    scores = {name: model.metrics.get(f"val/{name}") for name in SHOWN}
    told = [f"{name} {value:.4g}" for name, value in scores.items() if isinstance(value, float)]
    if told:
        found["validation"] = ", ".join(told)
    found["runs on"] = f"{model.device}, {model.precision}"
    found["try"] = _example(model)
    return {name: plain(value) for name, value in found.items()}


def as_text(model: Any) -> str:
    """A line for each fact."""
    lines = facts(model)
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines.items())


def as_html(model: Any) -> str:
    """A table of the facts."""
    cells = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{_marked(name, value)}</td></tr>'
        for name, value in facts(model).items()
    )
    return f"<table>{cells}</table>"


def _marked(name: str, value: str) -> str:
    return f"<code>{escape(value)}</code>" if name in ("try", "from") else escape(value)


def _data(data: Any) -> str:
    task = getattr(data, "task", None)
    name = (
        type(data).__name__ if task is None else f"{type(data).__name__} of {type(task).__name__}"
    )
    path = getattr(data, "path", None)
    lengths = getattr(data, "trained_lengths", None)
    name += f", {path}" if path else ""
    if not lengths:
        return name
    low, high = lengths
    return f"{name}, length {high if low == high else f'{low} to {high}'}"


def _example(model: Any) -> str:
    if model.reader is None:
        return "model(batch)"
    objective = getattr(model.module, "objective", None)
    if objective == "causal":
        return 'model.generate("Once", temperature=0.8); model.score("…")'
    if objective == "masked":
        return 'model("… [MASK] …")'
    return f"model({model.reader.example})"
