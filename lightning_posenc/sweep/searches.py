"""The search that a sweep's method names."""

from lightning_posenc.sweep.definition import Definition
from lightning_posenc.sweep.search import Grid, Random, Search


def search_of(definition: Definition, seed: int) -> Search:
    """Make the search that a sweep asks for.

    Raises:
        ValueError: If it is not installed.
    """
    if definition.method == "bayes":
        from lightning_posenc.sweep.bayes import Bayes

        return Bayes(definition, seed)
    return {"grid": Grid, "random": Random}[definition.method](definition, seed)
