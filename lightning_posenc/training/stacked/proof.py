"""Is a stacked step the step of each seed by itself? Tried out, before anything is trained.

No list says what can be stacked: whatever draws random numbers, decides by values or keeps
something from step to step shows here, in a stranger's class as well.

Shapes: S seeds.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_posenc.modules.generators import random_state
from lightning_posenc.training.stacked.stack import SeedStack, Unstackable

TOLERANCE = 1e-5  # of the largest number that is compared
_RATE = 0.01  # of an optimizer that is tried out

MakeOptimizer = Callable[[Mapping[int, nn.Parameter]], Optimizer]


def check_step(stack: SeedStack, batches: Sequence[Any], batch_idx: int) -> None:
    """Compare the losses and gradients of a step with those of each module by itself.

    Args:
        stack: In training mode, its weights shared.
        batches: One for each module.
        batch_idx: Their number.

    Raises:
        Unstackable: If they differ, or a forward pass does more than its weights and its batch say.
    """
    first = stack.modules[0]
    for module in stack.modules:
        module.train()
    buffers = {name: buffer.clone() for name, buffer in first.named_buffers()}
    before = _drawn(first)
    alone = [
        _with_gradients(module, *_summed(module.training_loss(batch, batch_idx)))
        for module, batch in zip(stack.modules, batches, strict=True)
    ]
    if before != _drawn(first):
        raise Unstackable(
            "the forward pass draws random numbers (dropout, hidden tokens, random positions), "
            "which would be others than those of single runs"
        )
    for name, buffer in first.named_buffers():
        if not torch.equal(buffer, buffers[name]):
            raise Unstackable(f"the forward pass changes {name}, which it keeps for the next one")
    try:
        found = _summed(stack.call("training_loss", batches, batch_idx))
        together = _with_gradients(stack.template, *found)
    except Exception as error:
        raise Unstackable(_not_mapped(error)) from error
    for number, (loss, gradients) in enumerate(alone):
        _compare("the loss", together[0][number], loss, _most([loss]))
        most = _most(gradients.values())
        for name, expected in gradients.items():
            _compare(f"the gradient of {name}", together[1][name][number], expected, most)


def why_not_scored(stack: SeedStack, batches: Sequence[Any], batch_idx: int) -> str | None:
    """Why evaluation cannot score all modules at once; None if it can, with the same logits."""
    try:
        _, together, _ = stack.call("score", batches, batch_idx)
        for number, (module, batch) in enumerate(zip(stack.modules, batches, strict=True)):
            module.eval()
            _, logits, _ = module.score(batch, batch_idx)
            _compare("the logits", together[number], logits, _most([logits]))
    except Unstackable as error:
        return str(error)
    except Exception as error:
        return _not_mapped(error)
    return None


def check_elementwise(make: MakeOptimizer, parameters: Sequence[nn.Parameter]) -> None:
    """Let an optimizer step with stacked numbers and with single ones: they must stay the same.

    They do where every number goes by its own gradients alone, as with AdamW. An optimizer that
    looks at a whole matrix or its norm (Muon, LAMB, Adafactor) would mix the seeds.

    Args:
        make: Makes the optimizer with other parameters in the place of those given, by their id.
        parameters: Of one module.

    Raises:
        Unstackable: If the numbers differ, or the optimizer does not step at all.
    """
    draw = torch.Generator().manual_seed(0)
    sizes = torch.tensor([1.0, 8.0])  # two seeds unlike each other, so that a norm of both is none

    def drawn(parameter: Tensor, scale: Tensor) -> Tensor:
        numbers = torch.randn(2, *parameter.shape, generator=draw)
        return (numbers * scale.view(2, *[1] * parameter.dim())).to(parameter)

    values = [drawn(parameter, sizes) for parameter in parameters]
    stacked = [nn.Parameter(value.clone()) for value in values]
    alone = [[nn.Parameter(value[n].clone()) for value in values] for n in (0, 1)]
    try:
        made = [
            make({id(p): own for p, own in zip(parameters, each, strict=True)})
            for each in (stacked, *alone)
        ]
        name = type(made[0]).__name__
        for optimizer in made:
            for group in optimizer.param_groups:
                group["lr"] = torch.full_like(group["lr"], _RATE) if _is(group["lr"]) else _RATE
        before = torch.get_rng_state()
        for _ in range(3):
            for number, parameter in enumerate(parameters):
                gradient = drawn(parameter, 0.1 / sizes)
                stacked[number].grad = gradient.clone()
                for n in (0, 1):
                    alone[n][number].grad = gradient[n].clone()
            for optimizer in made:
                optimizer.step()
    except Unstackable:
        raise
    except Exception as error:
        raise Unstackable(
            f"the optimizer does not step stacked weights ({_first(error)})"
        ) from error
    if not torch.equal(before, torch.get_rng_state()):
        raise Unstackable(f"optimizer={name} draws random numbers")
    for number, found in enumerate(stacked):
        for n in (0, 1):
            expected = alone[n][number].detach()
            if not _near(found.detach()[n], expected, _most([expected])):
                raise Unstackable(
                    f"optimizer={name} looks at whole matrices or their norms, which of stacked "
                    "weights are others"
                )


def _summed(terms: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """What is lowered, of `TrainedModule.training_loss` with or without its None."""
    loss, *penalties, _ = terms
    assert loss is not None
    return (sum((each for each in penalties if each is not None), start=loss),)


def _with_gradients(module: nn.Module, loss: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """A loss, and its gradients by name, 0 where it does not depend on a parameter."""
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(loss.sum(), list(trained.values()), allow_unused=True)
    return loss.detach(), {
        name: torch.zeros_like(trained[name]) if each is None else each
        for name, each in zip(trained, found, strict=True)
    }


def _drawn(module: nn.Module) -> list[Any]:
    """The state of every generator that a forward pass may draw from, to be compared."""
    state = random_state(module)
    tensors = [state["cpu"], state["device"], *state["modules"].values()]
    found = [each.numpy().tobytes() for each in tensors if each is not None]
    return [*found, random.getstate(), str(np.random.get_state())]


def _compare(what: str, found: Tensor, expected: Tensor, most: float) -> None:
    if not _near(found, expected, most):
        away = (found - expected).abs().max().item()
        raise Unstackable(f"{what} differs by {away:.1e} from that of a single run")


def _most(numbers: Iterable[Tensor]) -> float:
    """The largest finite one."""
    found = [each.nan_to_num(0.0, 0.0, 0.0).abs().max().item() for each in numbers if each.numel()]
    return max(found, default=0.0)


def _near(found: Tensor, expected: Tensor, most: float) -> bool:
    """Whether two tensors agree; what is not finite is another's business."""
    return bool((((found - expected).abs() <= TOLERANCE * most) | ~expected.isfinite()).all())


def _not_mapped(error: Exception) -> str:
    return f"torch.func.vmap does not map it ({_first(error)})"


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"


def _is(value: object) -> bool:
    return isinstance(value, Tensor)
