"""Which parameters of a pretrained model are trained."""

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from torch import nn

from lightning_posenc.checks import one_of, several
from lightning_posenc.pretrained.adapting.lora import LoRA, add_adapters, is_adapter

Part = Literal["all", "lora", "norms", "embeddings"]


def train_parts(
    model: nn.Module, trains: Part | Sequence[Part] | None, lora: LoRA | None
) -> list[str]:
    """Let some parts of a model be trained, and freeze the others.

    Args:
        model: The model, which gets adapters if they are asked for.
        trains: "all" parameters; "lora", the adapters; "norms", the scales and shifts of all norms;
            "embeddings", all tables of vectors, a head that is tied to one with it; or several of
            the last three. None for "lora" where there are adapters, else "all".
        lora: The adapters; None for none, or for those of `LoRA()` if "lora" is trained.

    Returns:
        The parts.

    Raises:
        ValueError: If the parts do not go together, or the model has none of them.
    """
    if trains is None:
        trains = "all" if lora is None else "lora"
    parts = [trains] if isinstance(trains, str) else list(several("trains", "trains", trains))
    for part in parts:
        one_of(train_parts, "trains", part, get_args(Part))
    if "all" in parts and (len(parts) > 1 or lora is not None):
        raise ValueError("trains=all leaves nothing to adapters or parts: give it alone, no lora")
    if "all" in parts:
        return parts
    if lora is not None and "lora" not in parts:
        raise ValueError(f"lora is given, and trains={','.join(parts)} does not train it: add lora")
    model.requires_grad_(False)
    if "lora" in parts:
        add_adapters(model, LoRA() if lora is None else lora)
    for part in parts:
        found = list(_of_part(model, part))
        if not found:
            raise ValueError(f"trains={part}: {type(model).__name__} has no {part}")
        for parameter in found:
            parameter.requires_grad_(True)
    return parts


def freeze_layers(
    inputs: Sequence[nn.Parameter], blocks: Sequence[nn.Module], n_layers: int
) -> None:
    """Freeze what is learned of the inputs and the first blocks; none if there are 0 of these.

    Raises:
        ValueError: If nothing would be left of the blocks.
    """
    if n_layers >= len(blocks) and n_layers:
        raise ValueError(
            f"frozen_layers={n_layers} leaves none of {len(blocks)} blocks to train: give fewer"
        )
    frozen = [p for block in blocks[:n_layers] for p in block.parameters()]
    for parameter in [*inputs, *frozen] if n_layers else []:
        parameter.requires_grad_(False)


def _of_part(model: nn.Module, part: Part) -> Iterator[nn.Parameter]:
    if part == "lora":
        yield from (p for name, p in model.named_parameters() if is_adapter(name))
    for module in model.modules():
        is_part = _is_norm(module) if part == "norms" else isinstance(module, nn.Embedding)
        if part != "lora" and is_part:
            yield from module.parameters(recurse=False)


def _is_norm(module: nn.Module) -> bool:
    name = type(module).__name__.lower()
    return isinstance(module, nn.LayerNorm) or name.endswith(("norm", "layernorm"))
