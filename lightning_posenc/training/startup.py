"""Make a command start sooner."""

import gc
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, DistributionFinder, PackageNotFoundError
from types import ModuleType

# A third of the time that `import lightning` takes (torchmetrics #3457).
OPTIONAL = ("matplotlib", "scipy", "torchvision", "transformers")


def import_torchmetrics() -> None:
    """Import torchmetrics, which Lightning does, without the packages that it could do without.

    In this process it then takes them for not installed: those of its metrics that need one say
    so, as does `Metric.plot`. The packages themselves can be imported as ever. Nothing happens to
    those that are imported already; so a program that needs such a metric imports torchmetrics
    before it calls `cli.main`.
    """
    with hidden(name for name in OPTIONAL if name not in sys.modules):
        import torchmetrics  # noqa: F401


@contextmanager
def uncollected() -> Iterator[None]:
    """Within, Python does not look for garbage among what modules make.

    It would do so again and again as that grows, a tenth of the time until the first step, and find
    little. That little, 11 MiB, is found when it looks next.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
            if not gc.get_freeze_count():  # none that a caller has frozen would be set free
                # All are old now, without a look at any; none is exempt from later looks.
                gc.freeze()
                gc.unfreeze()


@contextmanager
def hidden(names: Iterable[str]) -> Iterator[None]:
    """Within, these packages are not installed, to whoever imports them or asks their versions."""
    finder = _NotInstalled(frozenset(names))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _NotInstalled(DistributionFinder):
    """Finds that some packages are not there, and nothing else."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

    def find_distributions(
        self,
        context: DistributionFinder.Context = DistributionFinder.Context(),  # noqa: B008
    ) -> Iterable[Distribution]:
        if context.name in self.names:
            raise PackageNotFoundError(context.name)
        return ()
