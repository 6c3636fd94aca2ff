"""A subject from a Hugging Face folder, which anybody may have made: nothing in it is run.

Of weights only safetensors are read. What the config says of sizes is compared with what the
files hold before memory is taken for it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lightning_posenc.data import Batch
from lightning_posenc.diagnose.subject import N_SEQUENCES, OtherModel
from lightning_posenc.runs.untrusted import read_json, read_text

HF_LENGTH = 64  # tokens of the sequences that a Hugging Face model is examined on

_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_INDEX = f"{_WEIGHTS}.index.json"
_LAYERS = ("layer", "layers", "depth", "depths")  # how the keys end that count blocks
_UNUSED = "pooler"  # often not in a checkpoint, and without part in the hidden states
_SAFE = {"local_files_only": True, "trust_remote_code": False}


def subject_in_folder(folder: Path, text: Path | None = None) -> OtherModel:
    """Take in a Hugging Face model from a local folder; nothing is fetched.

    Args:
        folder: Holds `config.json` and weights.
        text: A file whose first tokens are the sequences, if the folder holds a tokenizer too;
            None for tokens drawn at random.

    Raises:
        ValueError: If the folder holds no whole model of token ids, or the text is too short.
    """
    if not (folder / _CONFIG).is_file():
        raise ValueError(f"--hf {folder}: no {_CONFIG} there: name a folder of save_pretrained")
    try:
        import transformers
    except ImportError:
        raise ValueError("--hf: transformers is not installed: pip install transformers") from None
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    transformers.logging.disable_progress_bar()
    try:
        model = _model(folder)
        limit = _limit(model)
        n_tokens = min(HF_LENGTH, limit or HF_LENGTH)
        tokens = _random(model, n_tokens) if text is None else _tokenised(folder, text, n_tokens)
        subject = OtherModel(model, Batch(tokens, tokens), str(folder), limit)
        with torch.no_grad():  # a config can be accepted that no input goes through
            subject.outputs(Batch(tokens[:1], tokens[:1]))
    except _Refused as error:
        raise ValueError(str(error)) from error
    except MemoryError:
        raise ValueError(f"--hf {folder}: too large for this machine's memory") from None
    except Exception as error:  # the library's errors are of every kind
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"--hf {folder}: not a model that can be examined ({reason})") from error
    return subject


class _Refused(ValueError):
    """A mistake that is already said in one line."""


def _model(folder: Path) -> Any:
    import transformers

    shapes = dict(_shapes(folder))
    _check_sizes(folder, shapes)
    config = transformers.AutoConfig.from_pretrained(folder, **_SAFE)
    with torch.device("meta"):
        planned = transformers.AutoModel.from_config(config, trust_remote_code=False)
    held = sum(torch.Size(shape).numel() for shape in shapes.values())
    # Parameters that several layers share are in the files once.
    if (n := sum(parameter.numel() for parameter in planned.parameters())) > 2 * held:
        raise _Refused(
            f"--hf {folder}: {_CONFIG} describes {n:,} parameters, the files hold {held:,}"
        )
    model, found = transformers.AutoModel.from_pretrained(
        folder, attn_implementation="eager", use_safetensors=True, output_loading_info=True,
        **_SAFE,
    )  # fmt: skip
    missing = sorted(key for key in found["missing_keys"] if _UNUSED not in key)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise _Refused(f"--hf {folder}: weights are missing: {missing[0]}{more}")
    _check_finite(folder, model)
    model.eval()
    return getattr(model, "encoder", model) if model.config.is_encoder_decoder else model


def _shapes(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Names and shapes of all weights in the folder's files."""
    from safetensors import SafetensorError, safe_open

    for name in _files(folder):
        try:
            with safe_open(folder / name, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (no mapping)
                    yield key, file.get_slice(key).get_shape()
        except (SafetensorError, OSError) as error:
            raise _Refused(
                f"--hf {folder}: {name} is no whole safetensors file ({error})"
            ) from error


def _files(folder: Path) -> list[str]:
    if (folder / _WEIGHTS).is_file():
        return [_WEIGHTS]
    if (folder / _INDEX).is_file():
        index = read_json(folder / _INDEX)
        names = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(names, dict) or not all(isinstance(n, str) for n in names.values()):
            raise _Refused(f"--hf {folder}: {_INDEX} names no files")
        files = sorted(set(names.values()))
        for name in files:
            if Path(name).name != name or not (folder / name).is_file():
                raise _Refused(f"--hf {folder}: {_INDEX} names {name}, which is not in the folder")
        return files
    pickled = sorted(path.name for path in folder.glob("*.bin"))
    what = (
        f"its weights are pickled ({pickled[0]}), which can run code" if pickled else "no weights"
    )
    raise _Refused(f"--hf {folder}: {what}: give {_WEIGHTS}")


def _check_sizes(folder: Path, shapes: dict[str, list[int]]) -> None:
    """Check that a config describes no more blocks than there are weights."""
    config = read_json(folder / _CONFIG)
    if not isinstance(config, dict):
        raise _Refused(f"--hf {folder}: {_CONFIG} holds no mapping")
    for key, value in _numbers(config):
        if key.rpartition("_")[2] in _LAYERS and not 0 <= value <= len(shapes):
            raise _Refused(
                f"--hf {folder}: {_CONFIG} says {key}={value}, but there are {len(shapes)} weights"
            )


def _numbers(content: Any, key: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _numbers(value, name)
    elif isinstance(content, list):
        for value in content:
            yield from _numbers(value, key)
    elif isinstance(content, int) and not isinstance(content, bool):
        yield key, content


def _check_finite(folder: Path, model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            raise _Refused(f"--hf {folder}: {name} holds NaN or infinity: the training diverged")


def _limit(model: Any) -> int | None:
    """The longest sequence that the config names."""
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit is not None and (not isinstance(limit, int) or limit < 2):
        raise ValueError(f"max_position_embeddings={limit}")
    return limit


def _random(model: Any, n_tokens: int) -> torch.Tensor:
    size = getattr(model.config, "vocab_size", None)
    if not isinstance(size, int) or size < 1:
        raise ValueError(f"{type(model).__name__} takes no token ids")
    generator = torch.Generator().manual_seed(0)
    return torch.randint(size, (N_SEQUENCES, n_tokens), generator=generator)


def _tokenised(folder: Path, text: Path, n_tokens: int) -> torch.Tensor:
    import transformers

    if not text.is_file():
        raise _Refused(f"--text {text}: no such file")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **_SAFE)
    except Exception as error:  # of every kind, where a tokenizer's files are broken
        raise _Refused(f"--text: {folder} holds no tokenizer: leave --text out") from error
    try:
        said = read_text(text)
    except (OSError, ValueError) as error:
        raise _Refused(f"--text {error}") from error
    ids = tokenizer(said, add_special_tokens=False)["input_ids"]
    n = min(len(ids) // n_tokens, N_SEQUENCES)
    if n < 2:
        raise _Refused(f"--text {text}: {len(ids)} tokens are too few: give 2 x {n_tokens}")
    return torch.tensor(ids[: n * n_tokens]).view(n, n_tokens)
