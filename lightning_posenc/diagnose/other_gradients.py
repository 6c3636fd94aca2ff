"""Does the loss of another package's model reach what it knows of positions?

Shapes: B sequences, T tokens, L blocks, D = d_model, n pairs of channels.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.diagnose.gradients import N_BATCHES, Gradients
from lightning_posenc.diagnose.other_strengths import TURNS, strengths_of
from lightning_posenc.diagnose.subject import OtherModel
from lightning_posenc.diagnostics.measures.positional_share import positional_share
from lightning_posenc.diagnostics.observing.blocks import find_stack, first_tensor
from lightning_posenc.pretrained.calling import uncached
from lightning_posenc.pretrained.evaluating.losses import masked_out
from lightning_posenc.pretrained.where_positions import WherePositions

GRADED = 1 << 21  # numbers of all layers' states in a backward pass, which keeps some 40 of each
IGNORE = -100


def measure_other_gradients(
    subject: OtherModel, positions: WherePositions, parameters: Mapping[str, nn.Parameter] | None
) -> Gradients | None:
    """Take gradients of the loss of running text, a few tokens at a time; no `.grad` is left.

    A parameter's gradient is reduced to a number as soon as it is there, so the memory is that of
    the largest one and not of the model.

    Args:
        subject: A language model with a text.
        positions: How it knows order.
        parameters: Those that are positional, by name; None if nobody knows.

    Returns:
        None where there is no loss: no text, no head, or another kind of model.
    """
    pretrained = subject.pretrained
    scores = pretrained.has_head and pretrained.kind in ("causal", "masked")
    if not subject.texts or not scores:
        return None
    room = GRADED // subject.width
    n_tokens = max(8, min(subject.length, room // 2))
    n = max(2, min(len(subject.batch.tokens) // N_BATCHES, room // n_tokens))
    batches = subject.batch.tokens[:, :n_tokens].split(n)[:N_BATCHES]
    passes = [_Pass(subject, batch, parameters or {}) for batch in batches]
    first = passes[0]
    own = torch.stack([each.own for each in passes])
    squares, mean = float(own.square().sum()), own.mean(dim=0)
    return Gradients(
        loss=sum(each.loss for each in passes) / len(passes),
        parameters=first.parameters,
        contributions=first.contributions,
        residual=first.residual,
        share=first.share,
        positional_rms=_rms(mean) if parameters else None,
        other_rms=first.other_rms,
        agreement=float(mean.square().sum()) * len(passes) / squares if squares else None,
        strength=strengths_of(subject, positions),
        positions=first.positions,
        positions_sum=first.positions_sum,
    )


class _Pass:
    """One forward and one backward pass.

    Attributes:
        loss: In nats.
        own: The gradient of all positional parameters in one row, float64 on the CPU.
        parameters: Norm of the gradient of each of them, by name.
        other_rms: Root mean square of the other parameters' gradients, those left out that are 0.
        residual: L + 1 norms of the gradient by the residual stream.
        share: L + 1 shares of its variance that position explains.
        contributions: Norms by channel and layer: of the gradient by the angles ("transform"), by
            the table's rows as they are added ("embed"), by the bias ("bias").
        positions: Norm of the gradient by the positions themselves, through the angles; None of
            another encoding.
        positions_sum: Its sum over the sum of its magnitudes: 0 where distances alone matter.
    """

    def __init__(
        self, subject: OtherModel, tokens: Tensor, parameters: Mapping[str, nn.Parameter]
    ) -> None:
        self.residual: list[float] = []
        self.share: list[float] = []
        self.parameters: dict[str, float] = {}
        self.contributions: dict[str, dict[int, float]] = {}
        self._ours = {id(parameter): name for name, parameter in parameters.items()}
        self._rows: dict[str, Tensor] = {
            name: torch.zeros(p.numel(), dtype=torch.float64) for name, p in parameters.items()
        }
        self._squares, self._n = 0.0, 0
        self._streams: dict[int, tuple[float, float]] = {}
        self._turns: dict[int, tuple[Tensor, Tensor]] = {}
        with torch.enable_grad(), self._watched(subject):
            loss = _loss(subject, tokens)
            loss.backward()
        self.loss = float(loss.detach())
        self.own = torch.cat([*self._rows.values(), torch.zeros(0, dtype=torch.float64)])
        self.other_rms = math.sqrt(self._squares / self._n) if self._n else 0.0
        for _, (norm, share) in sorted(self._streams.items()):
            self.residual.append(norm)
            self.share.append(share)
        self.positions, self.positions_sum = self._of_positions()

    @contextmanager
    def _watched(self, subject: OtherModel) -> Iterator[None]:
        stack = find_stack(subject.observed)
        with ExitStack() as exits:
            for parameter in subject.pretrained.model.parameters():
                if parameter.requires_grad:
                    handle = parameter.register_post_accumulate_grad_hook(self._parameter)
                    exits.callback(handle.remove)
            for layer, block in enumerate(stack.blocks if stack else ()):
                enters = partial(self._enters, layer)
                exits.callback(block.register_forward_pre_hook(enters, with_kwargs=True).remove)
                leaves = partial(self._leaves, layer)
                exits.callback(block.register_forward_hook(leaves).remove)
            for name in self._ours.values():
                module = subject.pretrained.model.get_submodule(name.rpartition(".")[0])
                if isinstance(module, nn.Embedding):
                    channel = "bias" if "bias" in name.split(".")[-2] else "embed"
                    looked_up = partial(self._looked_up, channel)
                    exits.callback(module.register_forward_hook(looked_up).remove)
            yield

    def _parameter(self, parameter: Tensor) -> None:
        grad, parameter.grad = parameter.grad, None
        if grad is None:
            return
        if (name := self._ours.get(id(parameter))) is not None:
            self.parameters[name] = float(grad.double().norm())
            self._rows[name] = grad.detach().double().flatten().cpu()
            return
        self._squares += float(grad.float().square().sum(dtype=torch.float64))
        self._n += int(torch.count_nonzero(grad))

    def _enters(self, layer: int, block: nn.Module, args: Any, kwargs: Any) -> Any:
        if layer == 0:
            self._stream(0, first_tensor((*args, *kwargs.values())))
        turns = kwargs.get(TURNS)
        if not _is_turning(turns):
            return None
        own = tuple(x.detach().requires_grad_() for x in turns)
        self._turns[layer] = own
        return args, {**kwargs, TURNS: own}

    def _leaves(self, layer: int, block: nn.Module, args: Any, output: Any) -> None:
        self._stream(layer + 1, first_tensor(output))

    def _stream(self, number: int, x: Tensor) -> None:
        def note(grad: Tensor) -> None:
            share = float(positional_share(grad)) if len(grad) > 1 else math.nan
            self._streams[number] = float(grad.float().norm()), share

        if x.requires_grad:
            x.register_hook(note)

    def _looked_up(self, channel: str, module: nn.Module, args: Any, output: Tensor) -> None:
        def note(grad: Tensor) -> None:
            self.contributions.setdefault(channel, {})[0] = float(grad.float().norm())

        if output.requires_grad:
            output.register_hook(note)

    def _of_positions(self) -> tuple[float | None, float | None]:
        """∂L/∂angle = cos ∂L/∂sin - sin ∂L/∂cos in each layer; times the frequency, ∂L/∂position.

        The frequency is the angle at position 1, of which atan2 finds all: none is above π.
        """
        total: Tensor | None = None
        for layer, (cos, sin) in self._turns.items():
            if cos.grad is None or sin.grad is None:
                continue
            angles = (cos * sin.grad - sin * cos.grad).detach().double()  # (B|1, T, 2n)
            norm = float(angles.norm())
            self.contributions.setdefault("transform", {})[layer] = norm
            frequency = torch.atan2(sin[0, 1], cos[0, 1]).detach().double()
            by_position = (angles * frequency).sum(dim=(0, 2)).cpu()
            total = by_position if total is None else total + by_position
        if total is None:
            return None, None
        size = float(total.abs().sum())
        return float(total.norm()), float(total.sum()) / size if size else 0.0


def _is_turning(turns: Any) -> bool:
    """Whether these are cosines and sines (B|1, T, channels)."""
    return (
        isinstance(turns, tuple)
        and len(turns) == 2
        and all(isinstance(x, Tensor) and x.dim() == 3 and x.shape[1] > 1 for x in turns)
    )


def _loss(subject: OtherModel, tokens: Tensor) -> Tensor:
    pretrained = subject.pretrained
    tokens = tokens.to(pretrained.device)
    if pretrained.kind == "masked":
        given, masked = masked_out(pretrained, tokens)
        targets = tokens.masked_fill(~masked, IGNORE)
    else:
        given, targets = tokens[:, :-1], tokens[:, 1:]
    logits = pretrained.model(input_ids=given, **uncached(pretrained.model)).logits
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORE)


def _rms(x: Tensor) -> float:
    reached = x[x != 0]
    return float(reached.square().mean().sqrt()) if len(reached) else 0.0
