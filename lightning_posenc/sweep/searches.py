"""The search that a sweep's method names."""

from lightning_posenc.sweep.definition import Definition
from lightning_posenc.sweep.search import GridSearch, RandomSearch, Search


def search_of(definition: Definition, seed: int) -> Search:
    """Make the search that a sweep asks for.

    Raises:
        ValueError: If it is not installed.
    """
    if definition.method == "bayes":
        from lightning_posenc.sweep.bayes import BayesSearch

        return BayesSearch(definition, seed)
    return {"grid": GridSearch, "random": RandomSearch}[definition.method](definition, seed)
