"""How a loaded model of Hugging Face knows the order of its tokens.

What a family does is read from the modules that it has made, not from its name, but for ALiBi,
which no module holds, and for families that hard-code what others let a config decide.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lightning_posenc.compat.transformers import hard_coded_rotation
from lightning_posenc.pretrained.frequencies import ALL, FrequencyMap, frequency_maps

_TABLES = (
    "wpe", "position_embeddings", "position_embedding", "embed_positions", "pos_embed",
    "positions_embed", "position_embeds_layer", "position_embedding_table",
)  # fmt: skip
_BUCKETS = "relative_attention_bias"
_HARD_CODED = {  # by `model_type`: where no module shows it
    "gptj": "its rotary angles are a table that the family makes at base 10000",
    "codegen": "its rotary angles are a table that the family makes at base 10000",
    "roformer": "its rotary angles are a fixed table of sines",
    "deberta": "its attention reads vectors of distances (disentangled attention)",
    "deberta-v2": "its attention reads vectors of distances (disentangled attention)",
    "xlnet": "its attention reads sines of distances (Transformer-XL)",
    "mpnet": "it adds a table of positions and buckets of distances",
}


@dataclass(frozen=True)
class WherePositions:
    """How a model knows order, and how far it was trained to.

    Args:
        trained_length: Longest sequence of the training, in tokens; None if nothing says.
        inferred_from: How that was found out, in words.
    """

    trained_length: int | None
    inferred_from: str


@dataclass(frozen=True)
class InRotation(WherePositions):
    """Queries and keys are turned by angles that grow with the position.

    Args:
        maps: Frequencies, by layer type (`frequencies.ALL` where there is one).
        lengths: The trained length of each layer type, which may differ.
        without: Numbers of the layers that are not turned at all.
    """

    maps: Mapping[str, FrequencyMap]
    lengths: Mapping[str, int | None] = field(default_factory=dict)
    without: tuple[int, ...] = ()


@dataclass(frozen=True)
class InTable(WherePositions):
    """A learned vector for each position is added to the embeddings.

    Args:
        names: Of the parameters (rows, D) or (1, rows, D).
        rows: Of the shortest of them.
        offset: Rows before that of the first position (or of the first patch).
        first: What `position_ids` begin with: some families count the offset in, some add it.
        grid: Rows and columns of patches, where positions are those of an image.
    """

    names: tuple[str, ...]
    rows: int
    offset: int = 0
    first: int = 0
    grid: tuple[int, int] | None = None


@dataclass(frozen=True)
class Slopes(WherePositions):
    """ALiBi: the logit falls by a slope for each step between query and key.

    Args:
        slopes: Of each head, float32 (H,).
    """

    slopes: Tensor


@dataclass(frozen=True)
class Buckets(WherePositions):
    """T5: a learned bias for each head and each bucket of distances.

    Args:
        tables: By the parameter's name (n_buckets, H): the distance at which the last bucket
            begins, and whether it tells keys behind from keys ahead.
    """

    tables: Mapping[str, tuple[int, bool]]


@dataclass(frozen=True)
class Unknown(WherePositions):
    """Nothing that can be changed from outside.

    Args:
        reason: Why, in words that follow the family's name.
    """

    reason: str


def what_positions(model: nn.Module) -> InRotation | InTable | Slopes | Buckets | Unknown:
    """Find out how a loaded model knows order.

    Args:
        model: Of `transformers`, with or without a head.
    """
    config = text_config(model)
    kind = config.model_type
    if reason := _HARD_CODED.get(kind):
        return Unknown(*_named_length(config), reason=reason)
    if slopes := _slopes(config):  # Falcon makes a rotary map too, and does not turn by it
        return slopes
    if maps := frequency_maps(model):
        return _rotary(config, maps)
    if hard_coded := hard_coded_rotation(model):
        why = f"its frequencies are hard-coded in {hard_coded}: no config changes them"
        return Unknown(*_named_length(config), reason=why)
    if buckets := _buckets(model, config):
        return buckets
    return _table(model, config)


def text_config(model: Any) -> Any:
    """The config of the part that reads tokens, or of a model that reads none."""
    return model.config.get_text_config()


def trained_length(config: Any, parameters: Mapping[str, Any]) -> tuple[int | None, str]:
    """Infer the length before any scaling from what a config says of one map.

    Args:
        config: Of the model.
        parameters: `rope_parameters` of the map.

    Returns:
        The length, and how it was found out.
    """
    longest, said = _named_length(config)
    kind = parameters.get("rope_type", "default")
    outside = getattr(config, "original_max_position_embeddings", None)
    original = outside or parameters.get("original_max_position_embeddings")
    if kind in ("yarn", "llama3", "longrope") and original:
        place = " beside rope_parameters, which wins" if outside else f" of {kind}"
        return int(original), f"original_max_position_embeddings={original}{place}"
    factor = parameters.get("factor")
    if kind == "linear" and longest and factor and factor > 1:
        return round(longest / factor), f"{said} divided by factor={factor:g} of linear"
    return longest, said


def _named_length(config: Any) -> tuple[int | None, str]:
    for name in ("max_position_embeddings", "max_seq_len", "n_positions", "seq_length"):
        if isinstance(length := getattr(config, name, None), int) and length > 0:
            return length, f"{name}={length}"
    return None, "the config names no length"


def _rotary(config: Any, maps: Mapping[str, FrequencyMap]) -> InRotation | Unknown:
    if any(each.kind == "axial" or each.inv_freq.ndim != 1 for each in maps.values()):
        return Unknown(
            *_named_length(config),
            reason="it turns by rows and columns of an image, in its own way",
        )
    found = {key: trained_length(config, each.spelling) for key, each in maps.items()}
    lengths = {key: length for key, (length, _) in found.items()}
    longest = max(found, key=lambda key: lengths[key] or 0)
    said = found[longest][1] if len(found) == 1 else f"{found[longest][1]}, of {longest}"
    return InRotation(lengths[longest], said, maps, lengths, _unturned(config, maps))


def _unturned(config: Any, maps: Mapping[str, FrequencyMap]) -> tuple[int, ...]:
    if flags := getattr(config, "no_rope_layers", None):  # 1 where a layer *is* turned
        return tuple(i for i, turned in enumerate(flags) if not turned)
    if bases := getattr(config, "layer_rope_theta", None):
        return tuple(i for i, base in enumerate(bases) if not base)
    types = getattr(config, "layer_types", None)
    if types and not any(key == ALL or "." in key for key in maps):
        return tuple(i for i, each in enumerate(types) if each not in maps)
    return ()


def _slopes(config: Any) -> Slopes | None:
    kind = config.model_type
    if kind == "mpt" and config.attn_config.alibi:
        highest, n_heads = config.attn_config.alibi_bias_max, config.n_heads
        n = 2 ** math.ceil(math.log2(n_heads))
        slopes = 2.0 ** (-torch.arange(1, n + 1) * highest / n)
        if n != n_heads:
            slopes = torch.cat([slopes[1::2], slopes[::2]])[:n_heads]
    elif kind == "bloom" or (kind == "falcon" and config.alibi):
        n_heads = config.num_attention_heads
        n = 2 ** math.floor(math.log2(n_heads))
        slopes = 2.0 ** (-torch.arange(1, n + 1) * 8 / n)
        between = 2.0 ** (-torch.arange(1, 2 * (n_heads - n) + 1, 2) * 4 / n)
        slopes = torch.cat([slopes, between])
    else:
        return None
    return Slopes(*_named_length(config), slopes=slopes.float())


def _buckets(model: nn.Module, config: Any) -> Buckets | None:
    tables = {}
    for name, module in model.named_modules():
        table = getattr(module, _BUCKETS, None)
        if isinstance(table, nn.Embedding):
            farthest = int(getattr(module, "relative_attention_max_distance", 128))
            both_ways = not getattr(module, "is_decoder", False)
            tables[f"{name}.{_BUCKETS}.weight"] = farthest, both_ways
    return Buckets(*_named_length(config), tables=tables) if tables else None


def _table(model: nn.Module, config: Any) -> InTable | Unknown:
    found: dict[str, Tensor] = {}
    offset = first = 0
    for name, parameter in model.named_parameters():
        path, _, leaf = name.rpartition(".")
        module = model.get_submodule(path)
        if leaf in _TABLES:  # a parameter of its own, (1, rows, D)
            found[name] = parameter
        elif path.rpartition(".")[2] in _TABLES and isinstance(module, nn.Embedding):
            if "Sinusoidal" in type(module).__name__:
                why = "its table of positions is fixed sines"
                return Unknown(*_named_length(config), reason=why)
            found[name] = parameter
            first = 0 if module.padding_idx is None else module.padding_idx + 1  # RoBERTa
            offset = getattr(module, "offset", first)  # OPT, BART
    if not found:
        what = "it has no rotary map, no learned table, no ALiBi and no buckets of distances"
        return Unknown(*_named_length(config), reason=what)
    rows = min(parameter.shape[-2] for parameter in found.values())
    names = tuple(found)
    if (grid := _grid(config)) is not None:
        n = grid[0] * grid[1]
        said = f"{grid[0]} x {grid[1]} patches of image_size={config.image_size}"
        return InTable(n, said, names, rows, rows - n, grid=grid)
    said = f"{rows} rows of the table" + (f", {offset} of no position" if offset else "")
    return InTable(rows - offset, said, names, rows, offset, first)


def _grid(config: Any) -> tuple[int, int] | None:
    image, patch = getattr(config, "image_size", None), getattr(config, "patch_size", None)
    if image is None or patch is None:
        return None
    height, width = (image, image) if isinstance(image, int) else image
    rows, columns = (patch, patch) if isinstance(patch, int) else patch
    return height // rows, width // columns
