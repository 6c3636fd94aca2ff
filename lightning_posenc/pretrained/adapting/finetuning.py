"""Train a model for some steps at short lengths, so that it serves longer ones.

Shapes: N windows, B of them at a time, T tokens.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from lightning_posenc.checks import number, whole
from lightning_posenc.data.batch import Batch
from lightning_posenc.data.order import ShuffledPasses
from lightning_posenc.modules.optim import WarmupCosine
from lightning_posenc.positions import PoSE
from lightning_posenc.pretrained.adapting.language_model import AdaptedLanguageModel
from lightning_posenc.pretrained.adapting.lora import LoRA, is_adapter, merge_adapters
from lightning_posenc.pretrained.adapting.trained_parts import Part
from lightning_posenc.pretrained.calling import takes
from lightning_posenc.pretrained.evaluating.texts import Text
from lightning_posenc.pretrained.methods.base import Method
from lightning_posenc.pretrained.reading import Pretrained
from lightning_posenc.pretrained.where_positions import what_positions
from lightning_posenc.tasks import IGNORE

RATE = 1e-3  # of adapters' parameters, at its peak
CLIP = 1.0  # norm of the gradient
WARMUP = 0.1  # share of the steps

Tell = Callable[[int, float], object]
"""Is told the number of steps made, and the loss of the last."""


def finetune(
    pretrained: Pretrained,
    method: Method | None,
    to: int,
    texts: Sequence[Text],
    steps: int,
    *,
    train_length: int | None = None,
    batch_size: int = 4,
    lora: LoRA | None = None,
    trains: Part | Sequence[Part] = "lora",
    rate: float = RATE,
    seed: int = 0,
    tell: Tell | None = None,
) -> Pretrained:
    """Train a model under a method on windows of texts that skip positions up to `to` (PoSE).

    The model that is given stays as it is; what is not trained is held once for both.

    Args:
        pretrained: A language model.
        method: That extends its context; None to leave it as it is.
        to: Tokens that it is to serve.
        texts: In the model's tokens, of which as much is taken from each.
        steps: Of the optimizer, at least 1.
        train_length: T; None for the length that the model was trained at, or `to` if less.
        batch_size: B.
        lora: Adapters; None for `LoRA()`, or none if `trains` has none.
        trains: What is trained, as in `AdaptedLanguageModel`.
        rate: Peak of the learning rate, which then falls to a tenth.
        seed: Of the windows' order, the positions and the adapters.
        tell: Hears of every step.

    Returns:
        The trained model, adapters merged; the method is to be applied to it as to the other.

    Raises:
        ValueError: If the model or the method refuses, a text is too short, or the loss is not
            finite any more.
    """
    whole(finetune, "steps", steps)
    whole(finetune, "batch_size", batch_size)
    number(finetune, "rate", rate, above=0)
    if method is not None:
        method.check(pretrained, to)
    length = train_length or min(what_positions(pretrained.model).trained_length or to, to)
    whole(finetune, "train_length", length, 2, to)
    each = -(-steps * batch_size // len(texts))
    windows = torch.cat([text.windows(length, each) for text in texts])
    trained = replace(pretrained, model=twin(pretrained.model))
    devices = [pretrained.device] if pretrained.device.type == "cuda" else []
    applied = nullcontext() if method is None else method.applied(trained, to)
    with torch.random.fork_rng(devices), torch.enable_grad(), applied:
        torch.manual_seed(seed)
        module = AdaptedLanguageModel(
            trained,
            lora=lora,
            trains=list(trains) if not isinstance(trains, str) else trains,
            positions=PoSE(to) if takes(trained.model, "position_ids") else None,
        )
        for name, parameter in module.model.named_parameters():
            if parameter.requires_grad and not is_adapter(name):
                parameter.data = parameter.data.clone()
        batches = _batches(windows, batch_size, steps, seed, pretrained.device)
        _train(module, batches, steps, rate, tell)
        merge_adapters(trained.model)
    trained.model.requires_grad_(True).eval()
    return trained


def twin(model: nn.Module) -> nn.Module:
    """A copy with parameters of its own, which lie in the same memory."""
    shared: dict[int, object] = {
        id(p): nn.Parameter(p.detach(), p.requires_grad) for p in model.parameters()
    }
    return copy.deepcopy(model, shared)


def _batches(
    windows: Tensor, size: int, steps: int, seed: int, device: torch.device
) -> Iterator[Batch]:
    """Batches of next-token prediction, pass after pass over the windows."""
    order = ShuffledPasses(len(windows), seed)
    for step in range(steps):
        tokens = windows[order(torch.arange(step * size, (step + 1) * size))].to(device)
        following = tokens.roll(-1, dims=1)
        following[:, -1] = IGNORE
        yield Batch(tokens, following)


def _train(
    module: AdaptedLanguageModel,
    batches: Iterator[Batch],
    steps: int,
    rate: float,
    tell: Tell | None,
) -> None:
    optimizer = AdamW(module.parameter_groups(), lr=rate)
    schedule = WarmupCosine(optimizer, steps, warmup_steps=round(WARMUP * steps))
    module.train()
    for step, batch in enumerate(batches):
        loss = module.score(batch, step)[0]
        if not loss.isfinite():
            raise ValueError(
                f"finetune: the loss is {loss.item()} after {step} steps: give a lower rate, or "
                "train in float32"
            )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        if tell is not None:
            tell(step + 1, loss.item())
