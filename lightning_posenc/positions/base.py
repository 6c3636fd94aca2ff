"""What a sampler of positions is.

Shapes: B sequences, T tokens, A axes. Positions are integers wherever they can be: a float tensor
says that they may lie off the lattice, and that gradients with respect to them are wanted.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from lightning_posenc.checks import wrong
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places
from lightning_posenc.positions.sequences import Sequences


class Positions(nn.Module, ABC):
    """Draws the positions of one forward pass. A module, so that it knows training from testing.

    A subclass writes `forward`, and says by `reads_tokens` if it reads the tokens. One that knows
    bounds of what it draws writes `bounds`, so that nobody has to read them off a GPU.
    """

    source: ClassVar[Paper | None] = None
    equation: ClassVar[str] = ""  # in TeX, for its page
    reads_tokens: bool = False

    @abstractmethod
    def forward(self, sequences: Sequences) -> Tensor:
        """Give the positions of every token.

        Those of real tokens do not depend on how many of padding follow them. What is drawn is
        drawn on the CPU and then `sent`, so that a seed means the same on every device.

        Args:
            sequences: What is known of the B sequences of T tokens.

        Returns:
            (1, T) or (B, T), or with a last axis (1|B, T, A), on the device of the sequences.
            Never in half precision: of 4096 positions in bfloat16 only 769 stay distinct.
        """

    def bounds(self, length: int) -> tuple[float, float] | None:
        """Two numbers between which all positions of `length` tokens lie; None if unknown."""
        return None

    def stretch(self, places: Places) -> Tensor | None:
        """What whole distances 0..N count as, (N + 1,); None if as themselves."""
        return None

    def places(self, sequences: Sequences) -> Places:
        """Draw positions, with all that is known of them."""
        ends: Any = self.bounds(sequences.length)
        if ends is not None and not (isinstance(ends, tuple) and len(ends) == 2):
            raise wrong(self, "bounds(length)", ends, "be two numbers, the lower first, or None")
        low, high = ends or (None, None)
        places = Places(self(sequences), low, high, sequences.documents, sequences.lengths)
        return places._replace(stretch=self.stretch(places))
