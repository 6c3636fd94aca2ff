"""What adds a function of distance to the logits."""

import math
from collections.abc import Callable

import numpy as np

from tests.oracles.base import Array, Given, Result, of_layer, pairs
from tests.oracles.bias import t5_bucket


def kerple_log(given: Given) -> Result:
    """Chi et al. 2022, the logarithmic kernel."""

    def entry(h: int, delta: float) -> float:
        scale, rate = (softplus(of_side(given, name, h, delta)) for name in ("scale", "rate"))
        return -scale * math.log(1 + rate * abs(delta))

    return Result(bias=pairs(given, entry))


def kerple_power(given: Given) -> Result:
    """Chi et al. 2022, the power kernel."""

    def entry(h: int, delta: float) -> float:
        scale = softplus(of_side(given, "scale", h, delta))
        power = 2 / (1 + math.exp(-of_side(given, "power", h, delta)))
        return -scale * abs(delta) ** power

    return Result(bias=pairs(given, entry))


def of_side(given: Given, name: str, h: int, delta: float) -> float:
    """A head's value, of the future where that has its own."""
    values = of_layer(given.parameters[f"{name}.raw"], given.layer)
    return float(values[1 if delta < 0 and len(values) == 2 else 0, h])


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


def sandwich(
    given: Given, width: int = 128, base: float = 10000.0, form: str | None = None
) -> Result:
    """Chi et al. 2023, appendix E: sinusoids of positions, their product, divided for each head;
    less that of a position with itself."""
    n_heads = given.q.shape[1]
    form = form or ("symmetric" if given.causal else "two_sided")

    def sinusoids(position: float) -> Array:
        angles = [position / base ** (2 * i / width) for i in range(width // 2)]
        return np.array([f(angle) for f in (math.sin, math.cos) for angle in angles])

    bias = np.zeros((*given.q.shape[:3], given.k_pos.shape[1]))
    for b, h, i, j in np.ndindex(bias.shape):
        m, n = float(given.q_pos[b, i]), float(given.k_pos[b, j])
        head = n_heads - 1 - h if form == "two_sided" and m < n else h
        ratio = (head + 1) * 8 / n_heads
        bias[b, h, i, j] = (sinusoids(m) @ sinusoids(n) - width / 2) / ratio
    return Result(bias=bias)


def mlp(
    parameters: dict[str, Array], prefix: str, x: float, activation: Callable[[float], float]
) -> Array:
    """One number through linear maps, layer norms if there are any, and activations."""
    now, depth = np.array([x]), 0
    while f"{prefix}.linears.{depth}.weight" in parameters:
        linear, norm = f"{prefix}.linears.{depth}", f"{prefix}.norms.{depth}"
        now = parameters[f"{linear}.weight"] @ now + parameters[f"{linear}.bias"]
        if f"{norm}.weight" in parameters:
            now = layer_norm(now, parameters[f"{norm}.weight"], parameters[f"{norm}.bias"])
        now = np.array([activation(float(each)) for each in now])
        depth += 1
    return parameters[f"{prefix}.out.weight"] @ now


def layer_norm(x: Array, gain: Array, bias: Array) -> Array:
    mean = sum(x) / len(x)
    variance = sum((x - mean) ** 2) / len(x)
    return (x - mean) / math.sqrt(variance + 1e-5) * gain + bias


def of_layer_or_all(given: Given) -> int:
    """Index of the layer's own network, or of the one that all layers share."""
    return given.layer if "mlps.1.out.weight" in given.parameters else 0


def dynamic_bias(given: Given, log_distance: bool = False) -> Result:
    """Wang et al. 2021, in one dimension, with SiLU."""
    prefix = f"mlps.{of_layer_or_all(given)}"

    def entry(h: int, delta: float) -> float:
        x = math.copysign(math.log(1 + abs(delta)), delta) if log_distance else delta
        return float(mlp(given.parameters, prefix, x, silu)[h])

    return Result(bias=pairs(given, entry))


def silu(x: float) -> float:
    return x / (1 + math.exp(-x)) if x >= 0 else x * math.exp(x) / (1 + math.exp(x))


def fire(given: Given, threshold: float) -> Result:
    """Li et al. 2023, with the sign of the distance."""
    own = of_layer_or_all(given)
    c = float(given.parameters["c"][own])
    start = abs(float(given.parameters["factor"][own]) * threshold)
    bias = np.zeros((*given.q.shape[:3], given.k_pos.shape[1]))
    for b, i, j in np.ndindex(bias.shape[0], *bias.shape[2:]):
        at = float(given.q_pos[b, i])
        delta = at - float(given.k_pos[b, j])
        ratio = math.log(1 + abs(c * delta)) / math.log(1 + abs(c * max(start, at)))
        signed = math.copysign(ratio, delta)
        bias[b, :, i, j] = mlp(given.parameters, f"mlps.{own}", signed, lambda x: max(x, 0.0))
    return Result(bias=bias)


def tupe(
    given: Given, n_buckets: int = 32, max_distance: int = 128, untie_first: bool = False
) -> Result:
    """Ke et al. 2021, with the authors' reset of [CLS]."""
    parameters = given.parameters
    batch, n_heads, n_queries, width = given.q.shape
    bias = np.zeros((batch, n_heads, n_queries, given.k_pos.shape[1]))
    for b, i, j in np.ndindex(batch, n_queries, given.k_pos.shape[1]):
        p_i, p_j = float(given.q_pos[b, i]), float(given.k_pos[b, j])
        query = parameters["query.weight"] @ tupe_vector(parameters, p_i) + parameters["query.bias"]
        key = parameters["key.weight"] @ tupe_vector(parameters, p_j)
        for h in range(n_heads):
            own = slice(h * width, (h + 1) * width)
            value = query[own] @ key[own] / math.sqrt(2 * width)
            if "relative.table" in parameters:
                bucket = t5_bucket(p_i - p_j, n_buckets, max_distance, given.causal)
                value += parameters["relative.table"][0, h, bucket]
            if untie_first and p_i == 0:
                value = 0.0
            elif untie_first and p_j == 0:
                value = parameters["theta"][h]
            bias[b, h, i, j] = value
    return Result(q=given.q / math.sqrt(2), bias=bias)


def tupe_vector(parameters: dict[str, Array], position: float) -> Array:
    """A row of the table, or a point between two, normalised."""
    table, low = parameters["absolute.table"], math.floor(position)
    share = position - low
    vector = (1 - share) * table[low] + (share * table[low + 1] if share else 0)
    return layer_norm(vector, parameters["norm.weight"], parameters["norm.bias"])


def wavelet(given: Given, n_scales: int) -> Result:
    """Oka et al. 2025, equations 10 to 14."""
    batch, n_heads, n_queries, width = given.q.shape
    n_shifts = width // n_scales
    bias = np.zeros((batch, n_heads, n_queries, given.k_pos.shape[1]))
    for b, i, j in np.ndindex(batch, n_queries, given.k_pos.shape[1]):
        t = float(given.q_pos[b, i] - given.k_pos[b, j])
        p = []
        for scale in [2**s for s in range(n_scales)]:
            for shift in range(n_shifts):
                u = (t - shift) / scale
                p.append((1 - u**2) * math.exp(-(u**2) / 2))
        bias[b, :, i, j] = given.q[b, :, i] @ np.array(p) / math.sqrt(width)
    return Result(bias=bias)


def graph_distance(given: Given, max_distance: int) -> Result:
    """Ying et al. 2021, spatial encoding: the row of distances of a query is its position."""
    table = given.parameters["table"]
    table = table[given.layer if len(table) > 1 else 0]
    bias = np.zeros((*given.q.shape[:3], given.k_pos.shape[1]))
    for b, h, i, j in np.ndindex(bias.shape):
        edges = round(float(given.q_pos[b, i, j]))
        bias[b, h, i, j] = table[h, -1] if edges < 0 else table[h, min(edges, max_distance)]
    return Result(bias=bias)


def bam(given: Given, mu: float = 0.0) -> Result:
    """Bianchessi et al. 2025: a generalised Gaussian's logarithm; bidirectional heads look both
    ways."""
    scale, power = (
        of_layer(given.parameters[name], given.layer) for name in ("log_scale", "power")
    )
    learned = given.parameters.get("mu")

    def entry(h: int, delta: float) -> float:
        if learned is None:
            own = -mu if h % 2 and not given.causal else mu
        else:
            own = of_layer(learned, given.layer)[h]
        away = abs(-delta - (math.exp(own) - math.exp(-own)))
        return -math.exp(scale[h]) * (away + 1e-5) ** power[h]

    return Result(bias=pairs(given, entry))


def random_walk(given: Given, n_steps: int) -> Result:
    """Dwivedi et al. 2022, RWPE: walkers start at a node, and go to each neighbour alike."""
    if given.layer != 0:
        return Result()
    weight, x, n = given.parameters["weight"], given.x.copy(), given.q_pos.shape[1]
    for b, node in np.ndindex(x.shape[:2]):
        near = [[round(given.q_pos[b, i, j]) == 1 for j in range(n)] for i in range(n)]
        if given.documents is not None:
            texts = given.documents[b]
            near = [[near[i][j] and texts[i] == texts[j] for j in range(n)] for i in range(n)]
        walkers = np.zeros(n)
        walkers[node] = 1
        for step in range(n_steps):
            arrived = np.zeros(n)
            for j in range(n):
                ways = [i for i in range(n) if near[i][j]]
                for i in ways:
                    arrived[i] += walkers[j] / len(ways)
            walkers = arrived
            x[b, node] += weight[:, step] * walkers[node]
    return Result(x=x)


def laplacian(given: Given, n_vectors: int) -> Result:
    """Dwivedi and Bresson 2021, equation 1, of each document; a vector's first large entry is
    positive."""
    if given.layer != 0:
        return Result()
    weight, x, n = given.parameters["weight"], given.x.copy(), given.q_pos.shape[1]
    for b in range(len(x)):
        texts = np.zeros(n) if given.documents is None else given.documents[b]
        for text in np.unique(texts):
            nodes = np.flatnonzero(texts == text)
            size = len(nodes)
            matrix = np.eye(size) + np.diag(1e-8 * np.sin(np.arange(size) + 1.0))  # ties
            near = [[round(given.q_pos[b, i, j]) == 1 for j in nodes] for i in nodes]
            for i, j in np.ndindex(size, size):
                if near[i][j]:
                    matrix[i, j] -= 1 / math.sqrt(sum(near[i]) * sum(near[j]))
            vectors = np.linalg.eigh(matrix)[1][:, 1 : n_vectors + 1]
            for k in range(vectors.shape[1]):
                vector = vectors[:, k]
                large = next(entry for entry in vector if abs(entry) > 0.3 * abs(vector).max())
                x[b, nodes] += np.outer(vector * np.sign(large), weight[:, k])
    return Result(x=x)
