"""Where patients come from: a module and its data, or a folder of Hugging Face's."""

import copy
from pathlib import Path
from typing import Any

import torch

from lightning_posenc.data import Batch
from lightning_posenc.modules import EncoderModule
from lightning_posenc.studies.doctor.patient import N_SCORED, N_SEQUENCES, OtherPatient, OwnPatient

LONGER = (2, 4)  # times the trained length, tried even if no config asks for it
HF_LENGTH = 64  # tokens of the sequences that a Hugging Face model is examined on
MOST_TOKENS = 4096  # of a longer sequence


def admit(module: EncoderModule, data: Any, name: str, steps: int | None) -> OwnPatient:
    """Take in a model of this package and the first sequences of its data.

    Args:
        module: The model; put in evaluation mode.
        data: Its datamodule, prepared and set up.
        name: What the page calls it.
        steps: Optimizer steps that it was trained for; None if nobody knows.
    """
    module.eval()
    batches = _taken(data.val_dataloader())
    trained = _trained_length(data, batches)
    asked = tuple(data.eval_lengths)
    wanted = [*asked, *(times * trained for times in LONGER)]
    others: dict[int, list[Batch]] = {}
    for length in sorted(set(wanted) - {trained}):
        if length in asked or length <= MOST_TOKENS:
            found = _of_length(data, length)
            if found:
                others[length] = found
    bounds: dict[int, float] = getattr(data, "bag_of_tokens_bounds", dict)()
    return OwnPatient(module, batches, name, steps, others, asked, trained, bounds.get(trained))


def _taken(loader: Any) -> list[Batch]:
    """At least N_SCORED sequences, if there are so many."""
    batches: list[Batch] = []
    for batch in loader:
        batches.append(batch)
        if sum(len(each.tokens) for each in batches) >= N_SCORED:
            break
    return batches


def _of_length(data: Any, length: int) -> list[Batch]:
    """Test sequences of one length; none if the data cannot make them."""
    other = copy.copy(data)
    other.eval_lengths = [length]
    try:
        (loader,) = other.test_dataloader()
        return _taken(loader)
    except ValueError:
        return []


def _trained_length(data: Any, batches: list[Batch]) -> int:
    lengths = getattr(data, "train_lengths", None)
    if lengths is not None:
        return lengths if isinstance(lengths, int) else lengths.high
    return getattr(data, "train_length", batches[0].tokens.shape[1])


def admit_folder(folder: Path, text: Path | None = None) -> OtherPatient:
    """Take in a Hugging Face model from a local folder; nothing is fetched.

    Args:
        folder: Holds `config.json` and weights.
        text: A file whose first tokens are the sequences, if the folder holds a tokenizer too;
            None for tokens drawn at random.

    Raises:
        ValueError: If the folder holds no model, or the text is too short.
    """
    if not (folder / "config.json").is_file():
        raise ValueError(f"--hf {folder}: no config.json there: name a folder of save_pretrained")
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        model = transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, attn_implementation="eager"
        ).eval()
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"--hf {folder}: not a model that can be loaded ({error})") from error
    model = getattr(model, "encoder", model) if model.config.is_encoder_decoder else model
    limit = getattr(model.config, "max_position_embeddings", None)
    n_tokens = min(HF_LENGTH, limit or HF_LENGTH)
    if text is None:
        generator = torch.Generator().manual_seed(0)
        shape = (N_SEQUENCES, n_tokens)
        tokens = torch.randint(model.config.vocab_size, shape, generator=generator)
    else:
        tokens = _tokenised(folder, text, n_tokens)
    return OtherPatient(model, Batch(tokens, tokens), str(folder), limit)


def _tokenised(folder: Path, text: Path, n_tokens: int) -> torch.Tensor:
    import transformers

    if not text.is_file():
        raise ValueError(f"--text {text}: no such file")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(f"--text: {folder} holds no tokenizer: leave --text out") from error
    ids = tokenizer(text.read_text("utf-8"), add_special_tokens=False)["input_ids"]
    n = min(len(ids) // n_tokens, N_SEQUENCES)
    if n < 2:
        raise ValueError(f"--text {text}: {len(ids)} tokens are too few: give 2 x {n_tokens}")
    return torch.tensor(ids[: n * n_tokens]).view(n, n_tokens)
