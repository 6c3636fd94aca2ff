"""Several at once, and layer by layer."""

from tests.oracles.base import Array, Given, Oracle, Result


def chain(*parts: Oracle) -> Oracle:
    """One after the other; biases are summed and look at the untouched queries and keys."""

    def oracle(given: Given) -> Result:
        now, bias = given, None
        for index, part in enumerate(parts):
            parameters = of_part(given.parameters, index)
            added = part(now._replace(parameters=parameters))
            now = now._replace(
                **{
                    name: value
                    for name, value in added._asdict().items()
                    if value is not None and name != "bias"
                }
            )
            term = part(given._replace(parameters=parameters)).bias
            if term is not None:
                bias = term if bias is None else bias + term
        return Result(now.x, now.q, now.k, bias, now.logits, now.v, now.mixed)

    return oracle


def per_layer(*pattern: Oracle) -> Oracle:
    """Layer l takes entry l mod n, which counts its own layers from 0."""

    def oracle(given: Given) -> Result:
        local, index = divmod(given.layer, len(pattern))
        parameters = of_part(given.parameters, index)
        return pattern[index](given._replace(layer=local, parameters=parameters))

    return oracle


def of_part(parameters: dict[str, Array], index: int) -> dict[str, Array]:
    prefix = f"parts.{index}."
    return {
        name.removeprefix(prefix): value
        for name, value in parameters.items()
        if name.startswith(prefix)
    }


def first_layers(part: Oracle, n: int) -> Oracle:
    """The encoding in layers 0..n-1, nothing above."""

    def oracle(given: Given) -> Result:
        if given.layer >= n:
            return Result()
        return part(given._replace(parameters=of_part(given.parameters, 0)))

    return oracle
