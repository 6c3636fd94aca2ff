"""What a study asks: everything that its figures depend on, but for the methods compared.

Two records may stand in one table if their questions are equal. The methods are left out, so that
a study can be taken up with more of them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

SAMPLED = 64  # entries of each parameter that tell one model's weights from another's


@dataclass(frozen=True)
class Question:
    """What is asked of every method alike.

    Args:
        model: Where the model was read from.
        weights: Digest of its config and weights.
        texts: Digest of the evaluated tokens of each text, by its name.
        training: Digest of the tokens that methods are searched or trained on.
        trained_length: Tokens of the longest sequence of the training.
        to: Tokens that the model is extended to.
        lengths: At which losses are taken, ascending; the last is `to`.
        sequences: Evaluated sequences of each text, of `to` tokens each.
        last: The last tokens of a context, whose loss has a column of its own.
        task_lengths: At which tasks are set, ascending.
        depths: Where in the context a passkey is hidden, as shares of it, in [0, 1].
        passkeys: Prompts for each length and depth; 0 for no such task.
        orders: Prompts of the order task for each length; 0 for no such task.
        seed: Of the prompts.
        device: On which it is measured.
        dtype: In which the model computes.
        attention: Which implementation does, as Hugging Face names it.
    """

    model: str
    weights: str
    texts: dict[str, str]
    training: str
    trained_length: int
    to: int
    lengths: tuple[int, ...]
    sequences: int
    last: int
    task_lengths: tuple[int, ...]
    depths: tuple[float, ...]
    passkeys: int
    orders: int
    seed: int
    device: str
    dtype: str
    attention: str

    def as_record(self) -> dict[str, Any]:
        """As JSON gives it back."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def differs_in(self, other: Mapping[str, Any]) -> str | None:
        """How another question, as a record has it, is not this one; None if it is."""
        for name, mine in self.as_record().items():
            theirs = other.get(name)
            if mine != theirs:
                return f"its {name} is {_short(theirs)}, here it is {_short(mine)}"
        return None


def digest(*parts: bytes) -> str:
    """A name that nothing else has."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()[:16]


def weights_digest(model: nn.Module, config: str) -> str:
    """Digest of a model: its config, and of each parameter name, shape, and entries spread over it.

    Args:
        model: With its weights.
        config: As JSON.
    """
    parts = [config.encode()]
    for name, parameter in model.named_parameters():
        flat = parameter.detach().flatten()
        some = flat[:: max(1, flat.numel() // SAMPLED)]
        parts += [
            f"{name} {tuple(parameter.shape)}".encode(),
            some.to("cpu", torch.float32).contiguous().numpy().tobytes(),
        ]
    return digest(*parts)


def _short(value: Any) -> str:
    said = " ".join(str(value).split())
    return said if len(said) <= 60 else f"{said[:59]}…"
