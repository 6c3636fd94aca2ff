"""S modules of one kind as one, whose every tensor has a leading axis of S.

Shapes: S seeds.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from lightning_posenc.modules.trained import TrainedModule


class Unstackable(ValueError):
    """These runs cannot be trained as one; the message says why, in one line."""

    def __init__(self, why: str) -> None:
        super().__init__(f"cannot be stacked: {why}")


class SeedStack:
    """Calls S modules at once: `torch.func.vmap` over their weights and their batches.

    The modules stay what they are, but their weights become views of the stack's (`share`), so that
    each of them can be evaluated and saved by itself at any time.

    Args:
        modules: S of one class and size, in training as their seeds have made them.

    Attributes:
        template: A module like them, whose parameters and buffers are (S, …).

    Raises:
        Unstackable: If they are not of one kind.
    """

    def __init__(self, modules: Sequence[TrainedModule]) -> None:
        self.modules = list(modules)
        first = self.modules[0]
        for other in self.modules[1:]:
            if type(other) is not type(first) or _sizes(other) != _sizes(first):
                raise Unstackable("the models are not of one class and size")
        self.template = copy.deepcopy(first)
        self._stacked: dict[int, nn.Parameter] = {}  # by the id of the template's own, for ties
        for path, part in self.template.named_modules():
            own = [module.get_submodule(path) for module in self.modules]
            for name, parameter in list(part.named_parameters(recurse=False)):
                setattr(part, name, self._parameter(parameter, [getattr(o, name) for o in own]))
            for name, _ in list(part.named_buffers(recurse=False)):
                setattr(part, name, torch.stack([getattr(o, name) for o in own]))
        self._called: dict[str, _Called] = {}
        self._state: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(self.modules)

    def of_first(self) -> dict[int, nn.Parameter]:
        """The stacked parameters by the id of the first module's own, which they stand for."""
        return {
            id(own): stacked
            for own, stacked in zip(
                self.modules[0].parameters(), self.template.parameters(), strict=True
            )
        }

    def share(self, device: torch.device) -> None:
        """Make each module's weights views of the stack's, which lie on their device by now.

        Raises:
            Unstackable: If a module has changed its weights since it was made.
        """
        for number, module in enumerate(self.modules):
            module.to(device)
            stacked = dict(self.template.named_parameters())
            for name, parameter in module.named_parameters():
                if name not in stacked or not torch.equal(parameter, stacked[name][number]):
                    raise Unstackable(f"{name} is set up only when the run begins")
                parameter.data = stacked[name].data[number]
            for path, part in module.named_modules():
                whole = self.template.get_submodule(path)
                for name, _ in list(part.named_buffers(recurse=False)):
                    setattr(part, name, getattr(whole, name)[number])
        tensors = [*self.template.named_parameters(), *self.template.named_buffers()]
        self._state = {f"module.{name}": tensor for name, tensor in tensors}

    def call(self, method: str, batches: Sequence[Any], batch_idx: int) -> tuple[Tensor, ...]:
        """Call a method of every module with its batch.

        Args:
            method: That takes a batch and its number, and returns tensors, numbers and None, which
                is left out.
            batches: One for each module.
            batch_idx: Their number.

        Returns:
            What it returns, each (S, …).

        Raises:
            Exception: Whatever `torch.func.vmap` cannot map.
        """
        if method not in self._called:
            self._called[method] = _Called(self.template, method)
        called = self._called[method]

        def one(state: dict[str, Tensor], fields: dict[str, Tensor]) -> tuple[Tensor, ...]:
            found: tuple[Tensor, ...] = functional_call(called, state, (kind, fields, batch_idx))
            return found

        kind, fields = type(batches[0]), _stacked(batches)
        results: tuple[Tensor, ...] = vmap(one, randomness="error")(self._state, fields)
        return results

    def _parameter(self, own: nn.Parameter, values: list[Tensor]) -> nn.Parameter:
        if id(own) not in self._stacked:
            value = torch.stack([each.detach() for each in values])
            self._stacked[id(own)] = nn.Parameter(value, own.requires_grad)
            self._stacked[id(self._stacked[id(own)])] = self._stacked[id(own)]
        return self._stacked[id(own)]


class _Called(nn.Module):
    """A module's method as a forward pass, which `functional_call` can give other weights."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module = module
        self.method = method

    def forward(self, kind: Any, fields: dict[str, Tensor], batch_idx: int) -> tuple[Tensor, ...]:
        found = getattr(self.module, self.method)(kind(**fields), batch_idx)
        return tuple(
            each if isinstance(each, Tensor) else torch.tensor(each)
            for each in found
            if each is not None
        )


def _stacked(batches: Sequence[Any]) -> dict[str, Tensor]:
    """The tensors of S batches by name, (S, …) each."""
    fields = [
        {name: value for name, value in batch._asdict().items() if value is not None}
        for batch in batches
    ]
    shapes = [{name: value.shape for name, value in each.items()} for each in fields]
    if any(each != shapes[0] for each in shapes):
        raise Unstackable("batches of different seeds have different shapes")
    return {name: torch.stack([each[name] for each in fields]) for name in fields[0]}


def _sizes(module: nn.Module) -> dict[str, torch.Size]:
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor.shape for name, tensor in tensors}
