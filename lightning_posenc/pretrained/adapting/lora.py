"""Adapters of low rank beside frozen projections, by peft.

They are put into the model itself, in place of its projections: whatever observes, runs or saves
the model goes on as before.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from lightning_posenc.checks import number, several, whole

# Which projections make queries and keys, by the families' spellings; where a family makes
# queries, keys and values by one projection, that one.
_QUERIES_AND_KEYS = (
    ("q_proj", "k_proj"), ("query", "key"), ("q_lin", "k_lin"), ("query_key_value",), ("c_attn",),
    ("Wqkv",), ("qkv_proj",), ("qkv",),
)  # fmt: skip
SHOWN = 12  # names that a line gives


@dataclass(frozen=True)
class LoRA:
    """W + alpha / rank · B A in place of a projection W, of which A and B are trained.

    B starts at 0, so that training starts from the model as it was.

    Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685.

    Args:
        rank: Rows of A, at least 1.
        alpha: Scale of what is added, above 0.
        targets: Names of projections, as the model's modules are called in the end (q_proj); None
            for those that make queries and keys.
        dropout: Of what enters A, in [0, 1).

    Raises:
        ValueError: If a number is out of range.
    """

    rank: int = 8
    alpha: float = 16.0
    targets: list[str] | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        whole(self, "rank", self.rank)
        number(self, "alpha", self.alpha, above=0)
        number(self, "dropout", self.dropout, 0, below=1)
        if self.targets is not None:
            several(self, "targets", self.targets)


def add_adapters(model: nn.Module, lora: LoRA) -> None:
    """Put adapters into a model, and freeze all else.

    Raises:
        ValueError: If peft is not installed, or the model has no such projections.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise ValueError("LoRA: peft is not installed: pip install peft") from None
    targets = _targets(model, lora.targets)
    transposed = {_is_transposed(part) for _, part in projections(model, targets)}
    if len(transposed) > 1:
        raise ValueError(f"LoRA: targets={list(targets)} are of two kinds: name those of one")
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=list(targets),
        fan_in_fan_out=transposed.pop(),
    )
    inject_adapter_in_model(config, model)


def merge_adapters(model: nn.Module) -> None:
    """Add what the adapters have learned to the weights, and take the adapters out.

    Raises:
        ValueError: If a sum is not finite.
    """
    if not any(is_adapter(name) for name, _ in model.named_parameters()):
        return
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapted = [(n, part) for n, part in model.named_modules() if isinstance(part, BaseTunerLayer)]
    for _, part in adapted:  # all or none
        part.merge(safe_merge=True)
    for name, part in adapted:
        path, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(path), leaf, part.get_base_layer())
    vars(model).pop("peft_config", None)  # where peft has put it


def is_adapter(name: str) -> bool:
    """Whether a parameter of that name belongs to an adapter."""
    return ".lora_" in name


def projections(model: nn.Module, targets: Sequence[str]) -> Iterator[tuple[str, nn.Module]]:
    """The projections whose names end in one of some words, with their names."""
    for name, part in model.named_modules():
        if _is_projection(part) and any(
            name == target or name.endswith(f".{target}") for target in targets
        ):
            yield name, part


def _targets(model: nn.Module, named: Sequence[str] | None) -> Sequence[str]:
    """The names that are adapted, each of which the model has.

    Raises:
        ValueError: Saying which there are.
    """
    if named is None:
        for names in _QUERIES_AND_KEYS:
            if all(any(projections(model, [name])) for name in names):
                return names
    missing = [name for name in named or () if not any(projections(model, [name]))]
    if named and not missing:
        return named
    counted = Counter(
        name.rpartition(".")[2] for name, part in model.named_modules() if _is_projection(part)
    )
    there = ", ".join(f"{name} ({n})" for name, n in counted.most_common(SHOWN)) or "none"
    what = (
        f"targets={list(named)}: {missing[0]} is no projection of {type(model).__name__}"
        if named
        else f"which projections of {type(model).__name__} make queries and keys is not known"
    )
    raise ValueError(f"LoRA: {what}: name some of lora.targets: {there}")


def _is_projection(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear) or _is_transposed(part)


def _is_transposed(part: nn.Module) -> bool:
    """Whether a projection keeps its weights (inputs, outputs), as GPT-2's do."""
    return type(part).__name__ == "Conv1D" and hasattr(part, "nf")


def adapters(model: nn.Module) -> list[Any]:
    """The adapted projections of a model, in order."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [part for part in model.modules() if isinstance(part, BaseTunerLayer)]
