"""Watch whatever the table of quantities knows how to measure."""

from lightning_posenc.callbacks.probing import Observing
from lightning_posenc.checks import is_a, several
from lightning_posenc.diagnostics.measures.measure import measurement
from lightning_posenc.diagnostics.quantities import Measurement


class Watch(Observing):
    """Logs measurements of a forward pass by layer, and draws `figures/<name>` of each.

    Args:
        measurements: Their names: attention_statistics, position_probe, positional_share or
            rank_collapse, which have callbacks of their own as well; any that was added to
            `diagnostics/quantities.py`; or the dotted path of a `Measurement` of your own.
        every_n_steps: Optimizer steps from one measurement to the next, at least 1.
        n_sequences: Sequences measured, at least 1; fewer if a batch has fewer.

    Raises:
        ValueError: If a number is out of range, or there is no such measurement.
    """

    measurements: tuple[Measurement, ...] = ()

    def __init__(
        self, measurements: list[str], every_n_steps: int = 100, n_sequences: int = 8
    ) -> None:
        super().__init__(every_n_steps, n_sequences)
        names = several(self, "measurements", measurements)
        self.measurements = tuple(
            measurement(is_a(self, "measurements", name, str)) for name in names
        )
