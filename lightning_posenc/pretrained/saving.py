"""Saves an extended model as a plain checkpoint of Hugging Face, proved before it is there."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch

from lightning_posenc.compat.transformers import attention_of, no_longer_gguf
from lightning_posenc.pretrained import proof as proofs
from lightning_posenc.pretrained.card import card
from lightning_posenc.pretrained.frequencies import FrequencyMap, frequency_maps
from lightning_posenc.pretrained.methods.base import Method
from lightning_posenc.pretrained.proof import Proof
from lightning_posenc.pretrained.reading import Attention, Pretrained, read
from lightning_posenc.runs.whole_files import whole_folder


def save(
    pretrained: Pretrained, method: Method, to: int, out: Path, *, table: str = "", notes: str = ""
) -> Proof:
    """Write a folder that `from_pretrained` reads as the model changed by a method, without code.

    It holds the config, safetensors, the tokenizer with its new longest length, and a model card.
    The folder is written beside its place, read again and compared, and only then renamed.

    Args:
        pretrained: As it was read; it is not changed.
        method: By which it is extended.
        to: In tokens; of models of images, the side in pixels.
        out: Of the folder; must not be there, or be empty.
        table: What was measured, in Markdown, for the model card.
        notes: What else the card says, such as how the model was trained on.

    Returns:
        How the saved model compares with the one in memory.

    Raises:
        ValueError: If the method refuses, or cannot be saved; if the place is taken; or if the
            model that is read again is not the one that was meant. Nothing is left then.
    """
    changes = method.spelling(pretrained, to)
    with whole_folder(out) as unfinished, _silent():
        before = _Measured(pretrained, to, before=True)
        frequencies = method.frequencies(pretrained, to)
        with method.applied(pretrained, to):
            meant = _Measured(pretrained, to)
            _write_model(pretrained, changes, unfinished)
        _write_tokenizer(pretrained, to, unfinished)
        proof = _prove(pretrained, before, meant, frequencies, unfinished)
        fault = proof.fault(torch.finfo(pretrained.model.dtype).eps)
        if fault is not None:
            raise ValueError(f"{method.name}: not saved, a checkpoint would be wrong: {fault}")
        said = card(pretrained, method, to, changes, proof, table, notes)
        (unfinished / "README.md").write_text(said, "utf-8")
    return proof


class _Measured:
    """What a model, as it is now, gives on the trials."""

    def __init__(self, pretrained: Pretrained, to: int, before: bool = False) -> None:
        self.trials = proofs.trials(pretrained, to, before)
        self.first = proofs.outputs(pretrained, self.trials.first)
        self.last = proofs.outputs(pretrained, self.trials.last)


def _prove(
    pretrained: Pretrained,
    before: _Measured,
    meant: _Measured,
    frequencies: dict[str, FrequencyMap],
    folder: Path,
) -> Proof:
    model = pretrained.model
    again = read(
        folder,
        device=str(pretrained.device),
        dtype=str(model.dtype).removeprefix("torch."),  # type: ignore[arg-type]
        attention=cast(Attention, attention_of(model)),
        head=pretrained.has_head,
    )
    # In this order: a pass may make a map anew, and longer sequences may leave their traces.
    after = frequency_maps(again.model)
    first = proofs.outputs(again, meant.trials.first)
    cached = proofs.token_by_token(again, meant.trials)
    batch = proofs.in_a_batch(again, meant.trials, first)
    last = proofs.outputs(again, meant.trials.last)
    same_size = first.shape == before.first.shape  # an image of another size has other patches
    return Proof(
        before=frequency_maps(model),
        after=after,
        frequencies=proofs.frequencies_differ(after, frequencies),
        short=proofs.differ(meant.first, before.first) if same_size else float("nan"),
        reloaded=max(proofs.differ(first, meant.first), proofs.differ(last, meant.last)),
        batch=batch,
        cached=cached,
    )


def _write_model(pretrained: Pretrained, changes: dict[str, Any], folder: Path) -> None:
    """Write the weights as they are now, and the config with its changes."""
    model = pretrained.model
    before = {name: getattr(model.config, name) for name in ("dtype", "architectures")}
    try:
        with no_longer_gguf(model):
            # Which also notes in the model's own config what it wrote.
            model.save_pretrained(folder)
            changed = copy.deepcopy(model.config)
    finally:
        for name, value in before.items():
            setattr(model.config, name, value)
    text = changed.get_text_config()
    for name, value in changes.items():
        setattr(text, name, value)
    # It names code, which is neither run nor copied here.
    vars(changed).pop("auto_map", None)
    changed.save_pretrained(folder)


def _write_tokenizer(pretrained: Pretrained, to: int, folder: Path) -> None:
    tokenizer = pretrained.tokenizer
    if tokenizer is None:
        return
    before = tokenizer.model_max_length
    tokenizer.model_max_length = to
    try:
        tokenizer.save_pretrained(folder)
    finally:
        tokenizer.model_max_length = before


@contextmanager
def _silent() -> Iterator[None]:
    """Within, the library says nothing: what matters of it is an error, or in the proof."""
    from transformers import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
