"""Small Hugging Face models of Python's documentation, and faults of position planted in them.

For `pretrained_faults.py`. A model is given to the doctor as `read` gives one: with a tokenizer
(bytes), a text, and what its folder says.
"""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.pretrained.reading import Pretrained, read
from lightning_posenc.pretrained.where_positions import InTable, what_positions

WIDTH, HEADS, LAYERS = 64, 4, 2
LENGTH = 128  # tokens that models are trained on
STEPS, BATCH, RATE = 250, 16, 3e-3
MASK = 258  # id of the mask token; 0 to 255 are bytes, 256 pads, 257 ends
MARKS = 8  # symbols that mark positions, from 259 on
EVERY = 4  # one token of so many is such a mark
VOCABULARY = 259 + MARKS
MASKED = 0.15  # of the tokens, in training
HELD_OUT = 8  # one part of the text of so many is for the doctor

Change = Callable[[Pretrained], Pretrained]
Positions = Callable[[Tensor], Tensor]


class Family(NamedTuple):
    """A family of Hugging Face's.

    Args:
        head: The auto class.
        options: Of its config, besides the sizes.
        first: What `position_ids` begin with.
        rows: More of its table than positions.
    """

    head: str
    options: dict[str, Any]
    first: int = 0
    rows: int = 0


_WIDE = {"intermediate_size": 4 * WIDTH}
CAUSAL, HIDDEN = "AutoModelForCausalLM", "AutoModelForMaskedLM"
KEPT: Path | None = None  # where trained weights are kept, so that another doctor can look at them
_MADE: dict[str, Any] = {}
FAMILIES = {
    "llama": Family(CAUSAL, _WIDE),
    "gpt_neox": Family(CAUSAL, {**_WIDE, "rotary_pct": 0.5}),
    "gpt2": Family(CAUSAL, {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}),
    "opt": Family(CAUSAL, {"ffn_dim": 4 * WIDTH, "word_embed_proj_dim": WIDTH, "dropout": 0.0}),
    "bert": Family(
        HIDDEN, {**_WIDE, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    ),
    "bloom": Family(CAUSAL, {"hidden_dropout": 0.0, "attention_dropout": 0.0}),
}
ROTARY = ("llama", "gpt_neox")
TABLES = ("gpt2", "opt", "bert")


def text() -> Tensor:
    """Python's documentation, in bytes."""
    joined = "\n".join(topics[name] for name in sorted(topics))
    return torch.tensor(list(joined.encode()), dtype=torch.long)


def parts() -> tuple[Tensor, Tensor]:
    """For training, and for the doctor."""
    ids = text()
    cut = len(ids) - len(ids) // HELD_OUT
    return ids[:cut], ids[cut:]


def marked(ids: Tensor) -> Tensor:
    """Text (B, T) laid out as a form is: at some positions always the same symbol.

    So that a position means something to a small model in seconds, as it does to a large one.
    """
    places = torch.arange(0, ids.shape[1], EVERY)
    generator = torch.Generator().manual_seed(0)
    marks = 259 + torch.randint(MARKS, (1024,), generator=generator)
    ids = ids.clone()
    ids[:, places] = marks[: len(places)]
    return ids


def fresh(family: str, seed: int, length: int = LENGTH, **options: Any) -> Any:
    """An untrained model."""
    import transformers

    kind = FAMILIES[family]
    config = transformers.AutoConfig.for_model(
        family,
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_attention_heads=HEADS,
        num_hidden_layers=LAYERS, max_position_embeddings=length + kind.rows,
        bos_token_id=257, eos_token_id=257, pad_token_id=256,
        **{**kind.options, **options},
    )  # fmt: skip
    torch.manual_seed(seed)
    return getattr(transformers, kind.head).from_config(config)


def trained(family: str, seed: int, **options: Any) -> Any:
    """A copy of a model that `_trained` makes once, or that lies in KEPT."""
    named = {key: getattr(value, "__name__", value) for key, value in options.items()}
    key = "_".join([family, str(seed), *(f"{name}={named[name]}" for name in sorted(named))])
    if key not in _MADE:
        path = KEPT and KEPT / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.pt"
        if path and path.is_file():
            model = fresh(family, seed, **_of_config(options))
            model.load_state_dict(torch.load(path, weights_only=True))
            _MADE[key] = model.eval().requires_grad_(False)
        else:
            _MADE[key] = _trained(family, seed, **options)
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.save(_MADE[key].state_dict(), path)
    return copy.deepcopy(_MADE[key])


def _of_config(options: dict[str, Any]) -> dict[str, Any]:
    """Without what is of the training alone."""
    return {
        name: value
        for name, value in options.items()
        if name not in ("positions", "tokens", "steps")
    }


def _trained(
    family: str, seed: int, *, length: int = LENGTH, positions: Positions | None = None,
    tokens: int = LENGTH, steps: int = STEPS, **options: Any,
) -> Any:  # fmt: skip
    """A model trained to go on with the text, or to fill it in.

    Args:
        family: One of FAMILIES.
        seed: Of weights and data.
        length: Of its table, or what its config says.
        positions: Changes the positions (1, T) of training.
        tokens: Of a training sequence.
        steps: Of training.
        options: Of the config.
    """
    model = fresh(family, seed, length, **options).train()
    corpus, _ = parts()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    own = torch.arange(tokens)[None] + FAMILIES[family].first
    given = {} if positions is None else {"position_ids": positions(own)}
    for _ in range(steps):
        starts = torch.randint(len(corpus) - tokens, (BATCH, 1), generator=generator)
        ids = marked(corpus[starts + torch.arange(tokens)])
        loss = _loss(model, ids, FAMILIES[family].head == HIDDEN, generator, given)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval().requires_grad_(False)


def _loss(
    model: Any, ids: Tensor, hidden: bool, generator: torch.Generator, given: dict[str, Tensor]
) -> Tensor:
    inputs, targets = ids, ids
    if hidden:
        covered = torch.rand(ids.shape, generator=generator) < MASKED
        inputs, targets = ids.masked_fill(covered, MASK), ids.masked_fill(~covered, -100)
    logits = model(input_ids=inputs, **given).logits
    if not hidden:
        logits, targets = logits[:, :-1], targets[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)


def tokenizer(side: str = "right") -> Any:
    """Bytes, each a token."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    words = {character: byte for byte, character in bytes_to_unicode().items()}
    words |= {"<pad>": 256, "<end>": 257, "<mask>": MASK}
    inner = Tokenizer(models.WordLevel(words, unk_token="<end>"))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            pre_tokenizers.Split(Regex("."), "isolated"),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<end>", mask_token="<mask>",
        padding_side=side,
    )  # fmt: skip


def folder_of(model: Any, path: Path, side: str = "right", **written: Any) -> Path:
    """Save a model as people do, and change what its config says."""
    model.save_pretrained(path)
    tokenizer(side).save_pretrained(path)
    config = json.loads((path / "config.json").read_text("utf-8"))
    (path / "config.json").write_text(json.dumps({**config, **written}), "utf-8")
    return path


def as_read(model: Any, side: str = "right", **written: Any) -> Pretrained:
    """Saved, and read again."""
    with TemporaryDirectory() as folder:
        return read(folder_of(model, Path(folder), side, **written))


# Faults: each gives a model as the doctor meets it.


def low_base(family: str, seed: int) -> Pretrained:
    """`rope_theta` 10, in training and now."""
    return as_read(trained(family, seed, **_base(10.0)))


def base_mistyped(family: str, seed: int) -> Pretrained:
    """`rope_theta` 10 in the config of a model trained at 10000."""
    model = trained(family, seed)
    told = {**model.config.rope_parameters, "rope_theta": 10.0}
    return as_read(model, rope_parameters=told)


def _base(theta: float) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": theta}}


def all_zero(family: str, seed: int) -> Pretrained:
    """Every token is told position 0, whatever is given."""
    found = as_read(trained(family, seed))
    _forced(found, lambda positions: torch.zeros_like(positions) + FAMILIES[family].first)
    return found


def late_by_one(family: str, seed: int) -> Pretrained:
    """Positions 1, 2, 3 … now, and 0, 1, 2 … in training: the table's first row is not read."""
    found = as_read(trained(family, seed, length=LENGTH + 1))
    _forced(found, _later, given=False)
    return found


def early_by_one(family: str, seed: int) -> Pretrained:
    """Positions 1, 2, 3 … in training, and 0, 1, 2 … now."""
    return as_read(trained(family, seed, length=LENGTH + 1, positions=_later))


def _later(positions: Tensor) -> Tensor:
    return positions + 1


def _forced(found: Pretrained, change: Positions, given: bool = True) -> None:
    """Change the positions that the model's body counts, and those that it is given, if `given`."""

    def hook(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        ids = kwargs.get("input_ids", args[0] if args else None)
        own = kwargs.get("position_ids")
        if own is not None and not given:
            return args, kwargs
        if own is None:
            first = what_positions(found.model)
            start = first.first if isinstance(first, InTable) else 0
            own = torch.arange(ids.shape[1], device=ids.device)[None] + start
        return args, {**kwargs, "position_ids": change(own).expand(ids.shape[0], -1)}

    body = found.model.base_model
    inner = getattr(body, "decoder", body)
    inner.register_forward_pre_hook(hook, with_kwargs=True)


def untrained_rows(family: str, seed: int) -> Pretrained:
    """A table twice as long as any sequence of the training."""
    return as_read(trained(family, seed, length=2 * LENGTH))


def pads_left(family: str, seed: int) -> Pretrained:
    """A tokenizer that pads on the left, before a model which counts padding as positions."""
    return as_read(trained(family, seed), side="left")


def mask_dropped(family: str, seed: int) -> Pretrained:
    """Left padding whose mask never reaches the model."""
    found = as_read(trained(family, seed), side="left")
    body = found.model.base_model
    inner = getattr(body, "decoder", body)

    def hook(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        return args, {**kwargs, "attention_mask": None}

    inner.register_forward_pre_hook(hook, with_kwargs=True)
    return found


def not_applied(family: str, seed: int) -> Pretrained:
    """A scaling under a name that the library does not read."""
    scaling = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": LENGTH}
    return as_read(
        trained(family, seed), rope_scaling_config=scaling, max_position_embeddings=4 * LENGTH
    )


def set_after_loading(family: str, seed: int) -> Pretrained:
    """A scaling that is written into the config of a loaded model."""
    found = as_read(trained(family, seed))
    told = {**found.config.rope_parameters, "rope_type": "linear", "factor": 4.0}
    found.model.config.rope_parameters = told
    return found


def half(family: str, seed: int) -> Pretrained:
    """Cast by `.to(bfloat16)`, frequencies and all."""
    found = as_read(trained(family, seed))
    found.model = found.model.to(torch.bfloat16)
    return found


Plant = Callable[[str, int], Pretrained]


class Fault(NamedTuple):
    """What is planted.

    Args:
        plant: Makes an ill model of a family, from a seed.
        families: In which it can be planted.
        words: One of them is in the doctor's sentence where it names the fault.
        ailments: One of these is then ill.
        harmless: Whether to watch is enough: it costs nothing at LENGTH tokens.
    """

    plant: Plant
    families: tuple[str, ...]
    words: tuple[str, ...]
    ailments: tuple[int, ...] = (17,)
    harmless: bool = False


FAULTS = {
    "rope_theta 10": Fault(low_base, ROTARY, ("the base is too low",)),
    "rope_theta 10, trained at 10000": Fault(
        base_mistyped, ROTARY, ("the base is too low", "unscaled frequencies of base")
    ),
    "positions all zero": Fault(
        all_zero, (*ROTARY, "gpt2", "bert"), ("all tokens have one position",)
    ),
    "positions late by one": Fault(
        late_by_one, ("gpt2", "bert"), ("counted otherwise", "the table read from row -1")
    ),
    "positions early by one": Fault(early_by_one, TABLES, ("the table read from row",)),
    "table with untrained rows": Fault(untrained_rows, TABLES, ("untrained",), (4,)),
    "left padding, counted": Fault(pads_left, ("gpt2", "bert"), ("count the padding",)),
    "left padding, seen": Fault(mask_dropped, (*ROTARY, "gpt2", "bert"), ("reads its padding",)),
    "scaling not applied": Fault(not_applied, ROTARY, ("scaling configured, and not applied",)),
    "scaling set after loading": Fault(set_after_loading, ROTARY, ("config and map differ",)),
    "inv_freq in half precision": Fault(
        half, ROTARY, ("frequencies in half precision",), harmless=True
    ),
}
