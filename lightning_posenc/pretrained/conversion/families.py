"""All families, and which of them a model is of."""

from typing import Any

from lightning_posenc.modules import EncoderModule
from lightning_posenc.pretrained.conversion.bert import BERT
from lightning_posenc.pretrained.conversion.bloom import BLOOM
from lightning_posenc.pretrained.conversion.family import Family
from lightning_posenc.pretrained.conversion.gpt2 import GPT2
from lightning_posenc.pretrained.conversion.gpt_neox import GPTNeoX
from lightning_posenc.pretrained.conversion.llama import Llama
from lightning_posenc.pretrained.conversion.vit import ViT
from lightning_posenc.pretrained.conversion.wiring import Wiring

FAMILIES: tuple[Family, ...] = (Llama(), GPTNeoX(), GPT2(), BERT(), BLOOM(), ViT())


def to_ours(model: Any, kind: type[EncoderModule] | None = None, **options: Any) -> EncoderModule:
    """Make a module of ours, with the same weights, of a model of `transformers`.

    Args:
        model: Of a family in `FAMILIES`.
        kind: The class of ours; None for that of the model's own head.
        options: Arguments of the class, above those that the config says.

    Raises:
        ValueError: If the family, or an option of its config, has no counterpart.
    """
    name = model.config.model_type
    for family in FAMILIES:
        if name in family.reads:
            return family.read(model, kind, **options)
    known = ", ".join(each for family in FAMILIES for each in family.reads)
    raise ValueError(f"model_type={name} has no counterpart here: those that have are {known}")


def to_theirs(
    module: EncoderModule, trained_length: int | None = None, class_names: tuple[str, ...] = ()
) -> Any:
    """Make a model of `transformers`, with the same weights, of a module of ours.

    Args:
        module: Of the wiring of a family in `FAMILIES`.
        trained_length: Longest sequence of the training, where no part of the model says it; None
            for 2048.
        class_names: Names of its classes.

    Raises:
        ValueError: If it is of no family's wiring: which option is in the way of the nearest, and
            what to set.
    """
    wiring = Wiring(module, trained_length or 2048, class_names)
    return family_for(wiring).write(wiring)


def family_for(wiring: Wiring) -> Family:
    """The family whose wiring a model has.

    Raises:
        ValueError: As `to_theirs` says.
    """
    found = {family: family.problems(wiring) for family in FAMILIES}
    nearest = min(found, key=lambda family: len(found[family]))
    if not found[nearest]:
        return nearest
    others = ", ".join(family.name for family in FAMILIES if family is not nearest)
    more = f" (and {len(found[nearest]) - 1} more)" if len(found[nearest]) > 1 else ""
    raise ValueError(
        f"no family of Hugging Face has this wiring; nearest is {nearest.name}, but for "
        f"{found[nearest][0]}{more}; the others are {others}"
    )
