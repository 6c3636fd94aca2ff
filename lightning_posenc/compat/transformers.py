"""What is relied on of the `transformers` library without its promise.

Each function is one reach; tests/compat holds a canary for each, which says what broke.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

_NAME = "inv_freq"
_COPIES = ("original_inv_freq", "long_inv_freq")  # from which a dynamic map is made anew


class RotaryPlace(NamedTuple):
    """Where one map of rotary frequencies is held in a model.

    Args:
        module: The module that makes cosines and sines of positions.
        path: Its name in the model.
        layer_type: Of the layers that the map is for; None where all layers have one map.
    """

    module: nn.Module
    path: str
    layer_type: str | None

    def _named(self, name: str) -> str:
        return f"{self.layer_type}_{name}" if self.layer_type else name

    @property
    def inv_freq(self) -> Tensor:
        """The frequencies (n,) that the next pass starts from."""
        return getattr(self.module, self._named(_NAME))

    @property
    def original(self) -> Tensor:
        """The frequencies (n,) that the config gave when the model was made."""
        return getattr(self.module, self._named(f"original_{_NAME}"), self.inv_freq)

    @property
    def temperature(self) -> float:
        """The factor on cosines and sines."""
        return float(getattr(self.module, self._named("attention_scaling"), 1.0))

    @property
    def rope_type(self) -> str:
        """How the map is made: a key of ROPE_INIT_FUNCTIONS, or "default"."""
        kinds: Any = self.module.rope_type
        return kinds[self.layer_type] if self.layer_type else kinds

    @property
    def parameters(self) -> dict[str, Any]:
        """What the config says of the map now, which may be later than the map."""
        every: Any = getattr(self.module.config, "rope_parameters", None) or {}
        found = every.get(self.layer_type) if self.layer_type else every
        return dict(found or {})

    def recomputed(self) -> tuple[Tensor, float]:
        """The frequencies (n,) and the factor that the config would give a model made now."""
        from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

        kind = self.parameters.get("rope_type", "default")
        module: Any = self.module
        default = kind == "default"
        make = module.compute_default_rope_parameters if default else ROPE_INIT_FUNCTIONS[kind]
        layer_type = {"layer_type": self.layer_type} if self.layer_type else {}
        inv_freq, temperature = make(module.config, device=None, **layer_type)
        return inv_freq.float().cpu(), float(temperature)

    def put(self, inv_freq: Tensor, temperature: float) -> Callable[[], None]:
        """Turn by these frequencies whatever the length; give what undoes it."""
        module, name, scaling = self.module, self._named(_NAME), self._named("attention_scaling")
        held: Any = module._buffers[name], self.temperature, module.rope_type

        def set_to(frequencies: Tensor, factor: float, kinds: Any) -> None:
            module._buffers[name] = frequencies
            setattr(module, scaling, factor)
            module.rope_type = kinds

        # "default" is the one type that no pass makes anew.
        fixed: Any = {**held[2], self.layer_type: "default"} if self.layer_type else "default"
        set_to(inv_freq.to(held[0].device), temperature, fixed)
        return lambda: set_to(*held)


def rotary_places(model: nn.Module) -> Iterator[RotaryPlace]:
    """Find the maps of frequencies that a config decides, in the model's order."""
    for path, module in model.named_modules():
        if not hasattr(module, "rope_type") or not _reads_the_config(module):
            continue
        for name in module._buffers:
            if name.endswith(_NAME) and not name.endswith(_COPIES):
                yield RotaryPlace(module, path, name.removesuffix(_NAME).rstrip("_") or None)


def rotary_layout(model: nn.Module) -> Literal["half", "interleaved"] | None:
    """Which channels of a model turn together, the first 2n of a head; None if nothing says.

    As its family's `rotate_half` does to four channels. Where a part of a head that is joined to
    the rest turns (DeepSeek's latent attention), those are not the first.
    """
    place = next(rotary_places(model), None)
    if place is None or getattr(place.module.config, "qk_rope_head_dim", None):
        return None
    rotate = getattr(sys.modules.get(type(place.module).__module__), "rotate_half", None)
    if rotate is None:
        return None
    turned = rotate(torch.arange(1.0, 5.0)).tolist()
    known: dict[tuple[float, ...], Literal["half", "interleaved"]] = {
        (-3.0, -4.0, 1.0, 2.0): "half",
        (-2.0, 1.0, -4.0, 3.0): "interleaved",
    }
    return known.get(tuple(turned))


def configured_frequencies(place: RotaryPlace) -> Tensor | None:
    """The frequencies (n,) of a model made now; None of a config that none can be made of."""
    try:
        return place.recomputed()[0]
    except Exception:  # of every kind: the config was changed after the model was made
        return None


def hard_coded_rotation(model: nn.Module) -> str | None:
    """The class of the first module whose frequencies no config decides, or None."""
    for module in model.modules():
        if any(name.endswith(_NAME) for name in module._buffers) and not _reads_the_config(module):
            return type(module).__name__
    return None


def _reads_the_config(module: nn.Module) -> bool:
    """Whether its family takes every type of map that the library has."""
    return hasattr(sys.modules[type(module).__module__], "ROPE_INIT_FUNCTIONS")


def supports_sdpa(model_class: type) -> bool:
    """Whether a family's attention can go through PyTorch's fused kernels."""
    return bool(getattr(model_class, "_supports_sdpa", False))


def set_attention(config: Any, name: str) -> None:
    """Decide how attention is computed, in all parts, whatever a folder's config names.

    It may name a kernel of the hub, which is code, and beats the argument of `from_pretrained`.
    """
    config._attn_implementation = name
    config._experts_implementation = None


def attention_of(model: Any) -> str:
    """How a model computes its attention: "eager", "sdpa" and such."""
    return str(model.config._attn_implementation)


@contextmanager
def own_attention(model: Any, attention: Callable[..., Any]) -> Iterator[None]:
    """Within, every layer of a model attends by a function of one's own.

    Args:
        model: Of `transformers`.
        attention: As the library calls one: of a layer, queries (B, H, T, K), keys and values
            (B, G, S, K), a mask, and more by name. Masks are as for SDPA: boolean, or None where
            the plain causal one is meant.

    Raises:
        ValueError: If the family's layers attend in a way of their own.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    name, before = f"own {id(attention)}", attention_of(model)
    AttentionInterface.register(name, attention)
    AttentionMaskInterface.register(name, sdpa_mask)
    try:
        if not model._can_set_attn_implementation():
            raise ValueError(f"{type(model).__name__}: its attention cannot be replaced")
        model.set_attn_implementation(name)
        yield
    finally:
        if attention_of(model) == name:
            model.set_attn_implementation(before)
        AttentionInterface._global_mapping.pop(name)
        AttentionMaskInterface._global_mapping.pop(name)


@contextmanager
def no_longer_gguf(model: Any) -> Iterator[None]:
    """Within, a model that was read from a GGUF file can be written as any other.

    Its weights are plain numbers since then, and the library refuses to write them nevertheless.
    """
    if getattr(model, "hf_quantizer", None) is None:
        yield
        return
    owners = (model, "hf_quantizer"), (model, "_weight_conversions"), (
        model.config, "quantization_config"
    )  # fmt: skip
    held = [(each, name, vars(each).pop(name)) for each, name in owners if name in vars(each)]
    try:
        yield
    finally:
        for each, name, value in held:
            setattr(each, name, value)
