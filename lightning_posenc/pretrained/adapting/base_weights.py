"""What a checkpoint says of the weights that it does not hold, since training leaves them alone."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def frozen(module: nn.Module, later: Iterable[str] = ()) -> dict[str, Tensor]:
    """The parameters that stay as they are, by name.

    Args:
        module: The model.
        later: Names of those that are frozen for the moment only.
    """
    # By identity: a head that is tied to the embeddings is one parameter under two names.
    thawed = {id(module.get_parameter(name)) for name in later}
    return {
        name: parameter
        for name, parameter in module.named_parameters(remove_duplicate=False)
        if not parameter.requires_grad and id(parameter) not in thawed
    }


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """A short name of what weights hold, their names, shapes and types of number included."""
    found = hashlib.blake2b(digest_size=16)
    for name in sorted(weights):
        weight = weights[name].detach()
        found.update(f"{name} {weight.dtype} {tuple(weight.shape)};".encode())
        found.update(weight.cpu().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def base_record(path: str, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """What a checkpoint keeps: where the weights came from, and what they were."""
    return {
        "path": path,
        "fingerprint": fingerprint(weights),
        "parameters": sum(weight.numel() for weight in weights.values()),
    }


def check_base(record: Any, path: str, weights: Mapping[str, Tensor]) -> None:
    """Compare the weights of now with those that the adapters were trained beside.

    Args:
        record: As a checkpoint keeps it.
        path: Where the weights of now come from.
        weights: Those that the checkpoint does not hold.

    Raises:
        ValueError: If they are others.
    """
    if not isinstance(record, Mapping) or not isinstance(record.get("fingerprint"), str):
        raise ValueError("the checkpoint does not say what its base weights were: take another")
    if fingerprint(weights) != record["fingerprint"]:
        raise ValueError(
            f"model.path={path} does not hold the weights that the checkpoint was trained beside "
            f"(those of {record.get('path')} as it was then): give the unchanged model, in the "
            "same dtype"
        )
