"""What adds products of content and relative position to the logits."""

import math

import numpy as np

from tests.oracles.base import Array, Given, Result


def of_each(given: Given) -> list[tuple[tuple[int, ...], Array, Array, float]]:
    """Every (sequence, head, query, key) with its query, its key and the offset between them."""
    share = given.q.shape[1] // given.k.shape[1]
    return [
        (
            (b, h, i, j),
            given.q[b, h, i],
            given.k[b, h // share, j],
            float(given.q_pos[b, i] - given.k_pos[b, j]),
        )
        for b, h, i, j in np.ndindex(*given.q.shape[:3], given.k_pos.shape[1])
    ]


def transformer_xl(given: Given, base: float = 10000.0) -> Result:
    """Dai et al. 2019, section 3.3: terms (b), (c) and (d), over sqrt(K)."""
    u, v = (given.parameters[name] for name in ("u", "v"))
    shared = len(u) == 1
    u, v = (x[0 if shared else given.layer] for x in (u, v))
    projection = given.parameters["projection"][given.layer]
    _, width, d_model = projection.shape
    bias = np.zeros((*given.q.shape[:3], given.k_pos.shape[1]))
    for (b, h, i, j), q, k, delta in of_each(given):
        angles = [delta / base ** (2 * n / d_model) for n in range(d_model // 2)]
        waves = np.array([math.sin(a) for a in angles] + [math.cos(a) for a in angles])
        relative = projection[h] @ waves
        score = q @ relative + u[h] @ k + v[h] @ relative
        bias[b, h, i, j] = score / math.sqrt(width)
    return Result(bias=bias)


def deberta(given: Given, max_distance: int, position_buckets: int | None = None) -> Result:
    """He et al. 2021, equations 2-4, with the row of equation 3 in both terms."""
    layer, table = given.layer, given.parameters["table"]
    width = given.q.shape[-1]
    as_keys = table @ given.parameters["key_projection"][layer].T
    as_queries = table @ given.parameters["query_projection"][layer].T
    as_queries = as_queries + given.parameters["query_bias"][layer]
    side = position_buckets or max_distance
    bias = np.zeros((*given.q.shape[:3], given.k_pos.shape[1]))
    for (b, h, i, j), q, k, delta in of_each(given):
        offset = round(delta)
        if position_buckets:
            offset = deberta_bucket(offset, position_buckets, max_distance)
        row = 0 if offset <= -side else 2 * side - 1 if offset >= side else offset + side
        own = slice(h * width, (h + 1) * width)
        score = q @ as_keys[row, own] + k @ as_queries[row, own]
        bias[b, h, i, j] = score / math.sqrt(3 * width)
    return Result(q=given.q / math.sqrt(3), bias=bias)


def deberta_bucket(offset: int, n_buckets: int, max_distance: int) -> int:
    """The authors' code: half of a side's buckets are exact; ceil of a logarithm beyond."""
    exact, distance = n_buckets // 2, min(abs(offset), max_distance - 1)
    if distance <= exact:
        return offset
    ratio = math.log(distance / exact) / math.log((max_distance - 1) / exact)
    return int(math.copysign(math.ceil(ratio * (exact - 1)) + exact, offset))
