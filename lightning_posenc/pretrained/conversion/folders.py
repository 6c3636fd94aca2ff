"""Models of ours in folders: plain ones of Hugging Face, or our own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from lightning_posenc.checks import is_a, one_of
from lightning_posenc.data.text.vocabulary import Vocabulary
from lightning_posenc.modules import EncoderModule
from lightning_posenc.pretrained.conversion import own_folder
from lightning_posenc.pretrained.conversion.families import family_for, to_ours
from lightning_posenc.pretrained.conversion.proof import largest_difference, probe
from lightning_posenc.pretrained.conversion.tokenizers import tokenizer_of
from lightning_posenc.pretrained.conversion.wiring import Wiring
from lightning_posenc.pretrained.reading import read
from lightning_posenc.runs.whole_files import whole_folder

Format: TypeAlias = Literal["huggingface", "safetensors"]

MOST = 1e-3  # by which scores may differ, as a share of the largest, or nothing is written


class Saved(NamedTuple):
    """What was written.

    Args:
        family: The family of Hugging Face; None for a folder of our own.
        differences: The largest difference of scores, by who was compared.
        has_tokenizer: Whether a tokenizer was written too.
    """

    family: str | None
    differences: dict[str, float]
    has_tokenizer: bool


def save_pretrained(
    module: EncoderModule,
    folder: str | Path,
    format: Format = "huggingface",
    *,
    vocabulary: Vocabulary | None = None,
    class_names: Sequence[str] = (),
    trained_length: int = 2048,
) -> Saved:
    """Write a model to a folder, read it again, and compare what the two say.

    Args:
        module: The model.
        folder: Where to; nothing is there yet, or an empty folder.
        format: "huggingface" for a plain folder that `transformers` reads, where a family has such
            a wiring; "safetensors" for one that `from_pretrained` reads, whatever the wiring.
        vocabulary: What its token ids stand for; it becomes the folder's tokenizer.
        class_names: What its classes are called.
        trained_length: Longest sequence of the training, where no part of the model says it.

    Raises:
        ValueError: If no family has such a wiring (which option is in the way, and what to set), an
            option has no spelling, or what is read again is not the same. Nothing is left then.
    """
    is_a("save_pretrained", "module", module, EncoderModule)
    one_of("save_pretrained", "format", format, ("huggingface", "safetensors"))
    place, was = Path(folder), module.training
    try:
        with whole_folder(place) as unfinished:
            if format == "safetensors":
                return _save_own(module.eval(), unfinished, vocabulary, tuple(class_names))
            wiring = Wiring(module.eval(), trained_length, tuple(class_names))
            return _save_plain(wiring, unfinished, vocabulary)
    finally:
        module.train(was)


def from_pretrained(
    source: str | Path, kind: type[EncoderModule] | None = None, **options: Any
) -> EncoderModule:
    """Read a model into a module of ours, in evaluation mode, float32, on the CPU.

    Args:
        source: A folder of `save_pretrained`, ours or Hugging Face's, or a name on the hub.
        kind: The class of ours: `SequenceClassifier`, …; None for that of the model's own head
            (`LanguageModel` for one that scores tokens). With another, the head starts anew.
        options: Arguments of the class, above those that the folder says: `n_classes=3`, …

    Raises:
        ValueError: If there is no whole model, or one of a family that has no counterpart here.
    """
    if (Path(source) / own_folder.DESCRIPTION).is_file():
        return own_folder.read(Path(source), kind, **options)
    pretrained = read(source, head="named")
    model = pretrained.model
    if getattr(model.config, "mask_token_id", None) is None and pretrained.tokenizer is not None:
        model.config.mask_token_id = pretrained.tokenizer.mask_token_id
    try:
        return to_ours(model, kind, **options)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _save_plain(wiring: Wiring, folder: Path, vocabulary: Vocabulary | None) -> Saved:
    family = family_for(wiring)
    model = family.write(wiring)
    with _silent():
        model.save_pretrained(folder)
    longest = getattr(model.config, "max_position_embeddings", wiring.trained_length)
    if vocabulary is not None:
        mask = model.config.mask_token_id if wiring.hides else None
        tokenizer = tokenizer_of(vocabulary, longest, mask, wiring.pad_token_id)
        tokenizer.save_pretrained(folder)
    batch = probe(wiring.module, min(longest, wiring.trained_length))
    there = read(folder, head="named").model
    differences = {
        "read by transformers": largest_difference(wiring.module, there, batch),
        "read back": largest_difference(wiring.module, from_pretrained(folder), batch),
    }
    return _checked(Saved(family.name, differences, vocabulary is not None))


def _save_own(
    module: EncoderModule, folder: Path, vocabulary: Vocabulary | None, names: tuple[str, ...]
) -> Saved:
    own_folder.write(module, folder, vocabulary, names)
    if vocabulary is not None:
        tokenizer_of(vocabulary, 2048).save_pretrained(folder)
    batch = probe(module, 32)
    differences = {"read back": largest_difference(module, own_folder.read(folder), batch)}
    return _checked(Saved(None, differences, vocabulary is not None))


def _checked(saved: Saved) -> Saved:
    for who, difference in saved.differences.items():
        if not difference <= MOST:
            raise ValueError(f"not written: {who}, its scores differ by {difference:.1e}")
    return saved


@contextmanager
def _silent() -> Iterator[None]:
    """Within, transformers shows no progress bars."""
    from transformers import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
