"""Several projections in one matrix multiplication, still told apart by name."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn


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
