"""Reads a model of Hugging Face: from a folder, a GGUF file, or the hub; no code of theirs runs."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import nn

from lightning_posenc.checks import is_a, one_of, wrong
from lightning_posenc.compat.transformers import set_attention, supports_sdpa
from lightning_posenc.mistakes.one_line import reason
from lightning_posenc.pretrained.folder import (
    Contents,
    Refused,
    check_planned,
    check_sizes,
    look_into,
)
from lightning_posenc.pretrained.hub import folder_of
from lightning_posenc.pretrained.where_positions import text_config

Kind = Literal["causal", "masked", "encoder", "seq2seq", "image"]
Dtype = Literal["float32", "bfloat16", "float16", "float64", "auto"]
Attention = Literal["sdpa", "eager"]
Head = bool | Literal["named"] | None

_HEADS = {
    "causal": "AutoModelForCausalLM",
    "masked": "AutoModelForMaskedLM",
    "seq2seq": "AutoModelForSeq2SeqLM",
    "image": "AutoModelForImageClassification",
    "encoder": "AutoModel",
}
_UNUSED = "pooler"  # often not in a checkpoint, and without part in the hidden states
_SAFE = {"local_files_only": True, "trust_remote_code": False}


@dataclass
class Pretrained:
    """A loaded model, in evaluation mode, and what it came with.

    Args:
        model: Of `transformers`.
        tokenizer: Of the same folder; None if that holds none that can be read.
        name: The source, as it was named.
        kind: What the model does: "causal" (predicts the next token), "masked" (a hidden one),
            "seq2seq", "image" (reads pixels), or "encoder" (has no head that scores tokens).
        has_head: Whether the model scores tokens (or classes of images), rather than ending in
            hidden states.
        contents: What the folder held; None of a model that was made in memory.
        no_tokenizer: Why there is none.
    """

    model: Any
    tokenizer: Any
    name: str
    kind: Kind
    has_head: bool = True
    contents: Contents | None = None
    no_tokenizer: str = ""

    @property
    def config(self) -> Any:
        """The config of the part that reads tokens."""
        return text_config(self.model)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.model.parameters()).device


def read(
    source: str | Path,
    *,
    gguf_file: str | None = None,
    device: str = "cpu",
    dtype: Dtype = "float32",
    head: Head = True,
    attention: Attention = "sdpa",
) -> Pretrained:
    """Read a model, and run nothing that came with it.

    Args:
        source: A folder of `save_pretrained`, a GGUF file, or owner/name on the hub.
        gguf_file: The name of a GGUF file in the folder.
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" for CUDA where there is one.
        dtype: Of the weights; "auto" is the files' own. Rotary frequencies are float32 always.
        head: True wants the head that scores tokens (or classes of images), None takes one if the
            files hold it, False leaves it out, and "named" takes whichever class the config names.
        attention: "sdpa" where the family has it, else "eager", which can show its weights.

    Raises:
        ValueError: In one line, if there is no whole model that can be read.
    """
    is_a("read", "gguf_file", gguf_file, str | None)
    one_of("read", "dtype", dtype, get_args(Dtype))
    one_of("read", "attention", attention, get_args(Attention))
    place = _device(device)
    try:
        import transformers  # noqa: F401
    except ImportError:
        raise ValueError("transformers is not installed: pip install transformers") from None
    try:
        contents = look_into(*folder_of(source, gguf_file))
        with quiet():
            return _loaded(str(source), contents, place, dtype, head, attention)
    except Refused as error:
        raise Refused(f"{source}: {error}") from error
    except MemoryError:
        raise Refused(f"{source}: too large for this machine's memory") from None
    except Exception as error:  # the library's errors are of every kind
        raise Refused(f"{source}: not a model that can be read ({reason(error)})") from error


def _loaded(
    name: str, contents: Contents, device: torch.device, dtype: Dtype, head: Head,
    attention: Attention,
) -> Pretrained:  # fmt: skip
    import transformers

    where: dict[str, Any] = dict(_SAFE)
    if contents.gguf_file:
        where["gguf_file"] = contents.gguf_file
    check_sizes(contents, contents.written)
    config = transformers.AutoConfig.from_pretrained(contents.path, **where)
    check_sizes(contents, config.to_dict())
    set_attention(config, "eager")
    kind = _kind(config)
    with torch.device("meta"):
        planned = transformers.AutoModel.from_config(config, trust_remote_code=False)
    check_planned(contents, planned)
    set_attention(config, attention if supports_sdpa(type(planned)) else "eager")
    options = {"config": config, "dtype": dtype if dtype == "auto" else getattr(torch, dtype)}
    has_head = head is not False and kind != "encoder"
    named = _named(config) if head == "named" else None
    auto = named or (_HEADS[kind] if has_head else "AutoModel")
    model, missing = _weights(contents, auto, **options, **where)
    if missing and head is None and has_head:
        has_head = False
        model, missing = _weights(contents, "AutoModel", **options, **where)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise Refused(f"weights are missing: {missing[0]}{more}")
    _check_finite(model)
    tokenizer, no_tokenizer = _tokenizer(contents, where)
    model = model.eval().to(device)  # and not to another type: that would round frequencies
    return Pretrained(model, tokenizer, name, kind, has_head, contents, no_tokenizer)


def _weights(contents: Contents, auto: str, **options: Any) -> tuple[Any, list[str]]:
    """A model with its weights, and the names of those that the files do not hold."""
    import transformers

    model, found = getattr(transformers, auto).from_pretrained(
        contents.path, use_safetensors=True, output_loading_info=True, **options
    )
    return model, sorted(key for key in found["missing_keys"] if _UNUSED not in key)


def _named(config: Any) -> str | None:
    """The class that a config names, if it is one of its own family."""
    import transformers

    name = (getattr(config, "architectures", None) or [""])[0]
    found = getattr(transformers, name, None) if name else None
    return name if getattr(found, "config_class", None) is type(config) else None


def _kind(config: Any) -> Kind:
    """What a model of this config is for, by the class that it names, or by its family."""
    from transformers.models.auto import modeling_auto as families

    named = (getattr(config, "architectures", None) or [""])[0]
    kind = type(config)
    if getattr(config, "is_encoder_decoder", False):
        return "seq2seq" if kind in families.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING else "encoder"
    if not hasattr(config.get_text_config(), "vocab_size"):
        return "image" if kind in families.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING else "encoder"
    causal = kind in families.MODEL_FOR_CAUSAL_LM_MAPPING
    masked = kind in families.MODEL_FOR_MASKED_LM_MAPPING
    if causal and (not masked or named.endswith(("ForCausalLM", "LMHeadModel"))):
        return "causal"
    return "masked" if masked else "encoder"


def _check_finite(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            raise Refused(f"{name} holds NaN or infinity: the training diverged")


def _tokenizer(contents: Contents, where: dict[str, Any]) -> tuple[Any, str]:
    """The folder's tokenizer, or None and why."""
    import transformers

    names = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt")
    if contents.gguf_file is None and not any((contents.path / name).is_file() for name in names):
        return None, "the folder holds no tokenizer"
    try:
        return transformers.AutoTokenizer.from_pretrained(contents.path, **where), ""
    except Exception as error:  # of every kind, where a tokenizer's files are broken
        return None, f"the folder's tokenizer cannot be read ({reason(error)})"


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except Exception as error:  # an unknown word, or a device that is not there
        raise wrong("read", "device", name, "be a device of this machine, or auto") from error
    return device


@contextmanager
def quiet() -> Iterator[None]:
    """Within, the library says nothing: what matters of it is an error, or is asked for."""
    from transformers import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
