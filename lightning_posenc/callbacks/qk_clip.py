"""Heads whose logits grow beyond a bound get smaller projections, after every optimizer step.

Shapes: B sequences, H heads, G key-value heads, T queries, S keys, K channels of a head.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import parametrize

from lightning_posenc.checks import number
from lightning_posenc.compat.torch import in_backward, is_compiled
from lightning_posenc.diagnostics.observing.row_blocks import row_blocks
from lightning_posenc.model.kernels import Operands, logits
from lightning_posenc.model.mixers.multi_head import MultiHead


class QKClip(L.Callback):
    """After an optimizer step, W_q and W_k of a head whose largest logit was S > τ are multiplied
    by sqrt(τ / S) each: logits cannot explode, and heads that do not need it are left alone.

    S is the largest scale·q·k that the head had in any training batch of the step, of all ranks and
    all accumulated batches, at keys that may be seen; a bias is no part of it. Where query heads
    share a key head, W_q alone is multiplied, by τ / S, so that other heads keep their logits; what
    biases the projections have shrink with them. Logits that are not linear in the projections (of
    `PoPE`, `PaTH`) become smaller, by no known factor. It adds a bound by norms to every step, and
    the logits themselves where that does not clear a layer: on a GPU the step waits for the bound.

    Source: Kimi Team 2025, "Kimi K2: Open Agentic Intelligence", arXiv:2507.20534, algorithm 1
    (MuonClip, τ = 100). Deviation: grouped queries, as there the rotary part that heads share.

    Args:
        threshold: τ, above 0.

    Raises:
        ValueError: If no layer makes logits of queries and keys; if a norm of theirs, or of their
            weights, bounds the logits already; if the model runs compiled or its weights are
            sharded.
    """

    def __init__(self, threshold: float = 100.0) -> None:
        self.threshold = number(self, "threshold", threshold, above=0)
        self._largest: dict[int, Tensor] = {}  # by number of the mixer, (H,) since the last step
        self._step = 0
        self._handles: list[Any] = []

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        mixers = _mixers(pl_module)
        if not mixers:
            raise ValueError(
                "QKClip: no layer makes logits of queries and keys: set "
                "model.encoder.mixer=Attention, or leave it out"
            )
        if any(mixer.qk_norm is not None for mixer in mixers):
            raise ValueError(
                "QKClip: a norm of queries and keys undoes what it does to their weights, and "
                "bounds the logits: leave it out, or model.encoder.mixer.qk_norm"
            )
        if any(parametrize.is_parametrized(mixer.qkv, "weight") for mixer in mixers):
            raise ValueError(
                "QKClip: weights of a learned spectral norm are not its own to scale: leave it "
                "out, or model.encoder.sigma_reparam"
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if any(is_compiled(part) for part in pl_module.modules()):
            raise ValueError(
                "QKClip: reads queries and keys as they are computed, which a compiled model does "
                "not show: set model.compile=false, or leave it out"
            )
        mixers = _mixers(pl_module)
        if any(isinstance(mixer.qkv.weight, DTensor) for mixer in mixers):
            raise ValueError("QKClip: weights are sharded: use DDP, or leave it out")
        self._step = trainer.global_step
        self._largest.clear()
        self._handles = [
            mixer.kernel.register_forward_hook(partial(self._see, number))
            for number, mixer in enumerate(mixers)
        ]

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any, **__: Any
    ) -> None:
        if trainer.global_step <= self._step:  # batches are accumulated
            return
        self._step = trainer.global_step
        mixers = _mixers(pl_module)
        least = torch.tensor(0.0, device=pl_module.device)
        seen = [
            self._largest.get(number, least.expand(mixer.dims.n_heads))
            for number, mixer in enumerate(mixers)
        ]
        self._largest.clear()
        whole: Any = trainer.strategy.reduce(torch.cat(seen), reduce_op="max")
        for mixer, largest in zip(mixers, whole.split([len(each) for each in seen]), strict=True):
            clip(mixer, self.threshold / largest.clamp(min=self.threshold))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._forget()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._forget()

    def _forget(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._largest.clear()

    def _see(self, number: int, kernel: nn.Module, args: tuple[Any, ...], out: Tensor) -> None:
        if not kernel.training or in_backward():  # looked at, or computed once more
            return
        largest = largest_products(args[0], self.threshold)
        before = self._largest.get(number)
        self._largest[number] = largest if before is None else torch.maximum(before, largest)


@torch.no_grad()
def largest_products(operands: Operands, threshold: float) -> Tensor:
    """(H,) float32, the largest scale·q·k of each head at keys that may be seen.

    Args:
        operands: One layer's attention.
        threshold: Where no head can be above, a bound of theirs is given, not above it either.
    """
    sizes = [x.float().norm(dim=-1).amax(dim=-1) for x in (operands.q, operands.k)]  # (B, H|G)
    n_heads, n_groups = operands.q.shape[1], operands.k.shape[1]
    of_keys = sizes[1].repeat_interleave(n_heads // n_groups, dim=1)
    bound = (abs(operands.scale) * sizes[0] * of_keys).amax(dim=0)
    if bool((bound <= threshold).all()):
        return bound
    plain = operands._replace(bias=None, rescore=None)
    found = [logits(plain, rows).amax(dim=(0, 2, 3)) for rows in row_blocks(plain)]
    return torch.stack(found).amax(dim=0).float()


@torch.no_grad()
def clip(mixer: MultiHead, gamma: Tensor) -> None:
    """Multiply the logits of each head by γ, by its projections.

    Args:
        mixer: Whose weights are changed in place.
        gamma: (H,) above 0; 1 leaves a head as it is.
    """
    widths = mixer.qkv.widths
    grouped = widths["q"] != widths["k"]
    of_queries = gamma if grouped else gamma.sqrt()
    factors = {"q": of_queries, "k": torch.ones_like(gamma[:1]) if grouped else of_queries}
    parameters: Sequence[Tensor | None] = (mixer.qkv.weight, mixer.qkv.bias)
    for parameter in parameters:
        if parameter is None:
            continue
        parts = dict(zip(widths, parameter.split(list(widths.values())), strict=True))
        for name, factor in factors.items():
            heads = parts[name].unflatten(0, (-1, mixer.dims.d_head))
            heads.mul_(factor.to(heads.dtype).view(-1, *[1] * (heads.dim() - 1)))


def _mixers(module: L.LightningModule) -> list[MultiHead]:
    """The layers whose logits are products of queries and keys."""
    return [part for part in module.modules() if isinstance(part, MultiHead) and part.score is None]
