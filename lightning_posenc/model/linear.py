"""Several projections in one matrix multiplication, still told apart by name."""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class Stacked(nn.Linear):
    """Projections of one input, their matrices stacked into one; the parameters are nn.Linear's.

    What treats matrices (an initialisation, a norm) finds each of them by its name.

    Args:
        d_in: Width of the input.
        widths: Name and width of each projection, in the order of the output.
        bias: Whether the projections have a bias.
    """

    def __init__(self, d_in: int, widths: Mapping[str, int], bias: bool = True) -> None:
        super().__init__(d_in, sum(widths.values()), bias=bias)
        self.widths = dict(widths)

    def parts(self, x: Tensor) -> tuple[Tensor, ...]:
        """Project (…, D): each projection (…, its width), in the order of the output."""
        return self(x).split(list(self.widths.values()), dim=-1)

    def some(self, x: Tensor, names: Sequence[str]) -> tuple[Tensor, ...]:
        """Project (…, D) by some of them, which stand next to each other, in their order."""
        order, heights = list(self.widths), list(self.widths.values())
        first = order.index(names[0])
        assert order[first : first + len(names)] == list(names)
        start, taken = sum(heights[:first]), heights[first : first + len(names)]
        rows = slice(start, start + sum(taken))
        bias = None if self.bias is None else self.bias[rows]
        return F.linear(x, self.weight[rows], bias).split(taken, dim=-1)

    def heads(
        self, x: Tensor, d_head: int, names: Sequence[str] | None = None
    ) -> tuple[Tensor, ...]:
        """Project (B, T, D): each projection's heads, (B, H, T, K), in the order of the output.

        Args:
            x: What is projected.
            d_head: K, a divisor of each projection's width.
            names: Which projections, as `some` takes them; None for all.
        """
        if names is not None:
            parts = self.some(x, names)
            return tuple(part.unflatten(-1, (-1, d_head)).transpose(1, 2) for part in parts)
        heads = self(x).unflatten(-1, (-1, d_head)).transpose(1, 2)
        return heads.split_with_sizes([width // d_head for width in self.widths.values()], dim=1)


def linears(module: nn.Module) -> Iterator[tuple[nn.Linear, dict[str, int]]]:
    """Each linear layer in a module, with the names and heights of the matrices that it stacks."""
    for path, part in module.named_modules():
        if isinstance(part, nn.Linear):
            whole = {path.rpartition(".")[2]: part.out_features}
            yield part, part.widths if isinstance(part, Stacked) else whole


def matrices(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Name and weight (d_out, d_in) of each projection in a module, as views without a gradient."""
    for linear, heights in linears(module):
        parts = linear.weight.detach().split(list(heights.values()))
        yield from zip(heights, parts, strict=True)
