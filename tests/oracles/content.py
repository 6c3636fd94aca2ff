"""What reads the tokens between a query and a key."""

import cmath
import math

import numpy as np

from tests.oracles.base import Array, Given, Oracle, Result
from tests.oracles.bias import alibi_slopes
from tests.oracles.compose import of_part


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), and 0 at -inf."""
    return 0.0 if x == -math.inf else 1 / (1 + math.exp(-x))


def cope(given: Given, max_position: int) -> Result:
    """Golovneva et al. 2024, its p and e[p], with the gates of appendix B."""
    table = given.parameters["table"][given.layer]
    logits = given.logits.copy()
    for b, h, i, j in np.ndindex(logits.shape):
        gates = [sigmoid(logit) for logit in given.logits[b, h, i, j:]]
        position = min(sum(gates), max_position)
        low, high = math.floor(position), math.ceil(position)
        share = position - low
        logits[b, h, i, j] += given.q[b, h, i] @ ((1 - share) * table[low] + share * table[high])
    return Result(logits=logits)


def dape(given: Given, inner: Oracle) -> Result:
    """Zheng et al. 2024: pair by pair, an MLP over the heads."""
    added = inner(given._replace(parameters=of_part(given.parameters, 0)))
    from_logits, from_bias, offset, to_heads = (
        given.parameters[name][given.layer]
        for name in ("from_logits", "from_bias", "offset", "to_heads")
    )
    logits, bias = given.logits.copy(), added.bias
    assert bias is not None
    batch, _, n_queries, n_keys = logits.shape
    for b, i, j in np.ndindex(batch, n_queries, n_keys):
        s, a = given.logits[b, :, i, j], bias[b, :, i, j]
        if np.isfinite(s).all():
            hidden = from_logits @ s + from_bias @ a + offset
            logits[b, :, i, j] = s + a + to_heads @ np.where(hidden > 0, hidden, 0.01 * hidden)
    return Result(q=added.q, k=added.k, logits=logits)


def fox(given: Given) -> Result:
    """Lin et al. 2025: the logarithms of all gates after the key, up to the query.

    The other way round, where no causal model looks, the sum changes its sign."""
    weight, offset = (given.parameters[name][given.layer] for name in ("weight", "gate_bias"))
    n_keys, n_queries = given.k_x.shape[1], given.q.shape[2]
    bias = np.zeros((*given.q.shape[:3], n_keys))
    for b, h, i, j in np.ndindex(bias.shape):
        query = n_keys - n_queries + i
        logs = [
            math.log(sigmoid(weight[h] @ given.k_x[b, between] + offset[h]))
            for between in range(min(query, j) + 1, max(query, j) + 1)
        ]
        bias[b, h, i, j] = math.copysign(1, query - j) * sum(logs)
    return Result(bias=bias)


def mixed(x: Array, weight: Array, given: Given, b: int) -> Array:
    """A causal convolution of each channel (S, C), which begins anew in every document."""
    documents = np.zeros(len(x)) if given.documents is None else given.documents[b]
    result = np.zeros_like(x)
    for t in range(len(x)):
        for back in range(weight.shape[1]):
            before = t - back
            if before < 0 or documents[before] != documents[t]:
                break
            result[t] += weight[:, -1 - back] * x[before]
    return result


def path(given: Given) -> Result:
    """Yang et al. 2025: a key is multiplied by one matrix a step."""
    down, up, convolution, strength, offset = (
        given.parameters[name][given.layer]
        for name in ("down", "up", "convolution", "strength", "strength_bias")
    )
    batch, n_heads, n_queries, width = given.q.shape
    n_keys, share = given.k_x.shape[1], n_heads // given.k.shape[1]
    bias = np.zeros((batch, n_heads, n_queries, n_keys))
    for b in range(batch):
        flat = mixed(given.k_x[b] @ down.T @ up.T, convolution, given, b)
        flat = flat / (1 + np.exp(-flat))
        for h, j in np.ndindex(n_heads, n_keys):
            key = given.k[b, h // share, j]
            carried = key
            for s in range(j + 1, n_keys):
                w = flat[s, h * width : (h + 1) * width]
                w = w / math.sqrt(w @ w)
                beta = 2 * sigmoid(strength[h] @ given.k_x[b, s] + offset[h])
                carried = carried - beta * w * (w @ carried)
                i = s - (n_keys - n_queries)
                if i >= 0:
                    bias[b, h, i, j] = given.q[b, h, i] @ (carried - key) / math.sqrt(width)
    return Result(bias=bias)


def peg(given: Given, layers: tuple[int, ...] = (1,)) -> Result:
    """Chu et al. 2021, section 3.2, in one dimension: each channel of near tokens is mixed."""
    if given.layer not in layers:
        return Result()
    number = layers.index(given.layer)
    weight, offset = (given.parameters[name][number] for name in ("weight", "offset"))
    n_channels, size = weight.shape
    x, n_tokens = given.x.copy(), given.x.shape[1]
    for b, t, c in np.ndindex(x.shape):
        x[b, t, c] += offset[c]
        for w in range(size):
            near = t + w - size // 2
            hidden = near > t if given.causal else near >= n_tokens
            if near >= 0 and not hidden:
                x[b, t, c] += weight[c, w] * given.x[b, near, c]
    assert n_channels == x.shape[2]
    return Result(x=x)


def selective_rope(given: Given, base: float = 500000.0, layout: str = "half") -> Result:
    """Movahedi et al. 2025: RoPE whose angle at a token is the sum of the steps up to it."""
    parameters = {name: table[given.layer] for name, table in given.parameters.items()}
    n_heads, width = given.q.shape[1], given.q.shape[-1]
    pairs, n_keys, n_queries = width // 2, given.k_x.shape[1], given.q.shape[2]
    share = n_heads // given.k.shape[1]
    q, k = given.q.copy(), np.repeat(given.k, share, axis=1)
    for b in range(len(given.x)):
        x = given.k_x[b].reshape(n_keys, n_heads, width)
        x = (x / np.sqrt((x**2).sum(-1, keepdims=True))).reshape(n_keys, -1)
        steps = x @ parameters["down"].T @ parameters["up"].T
        steps = mixed(steps, parameters["convolution"], given, b)
        if "step" in parameters:
            steps = steps + np.exp(parameters["step"])
        for h, pair in np.ndindex(n_heads, pairs):
            one, other = (pair, pair + pairs) if layout == "half" else (2 * pair, 2 * pair + 1)
            angle = 0.0
            for t in range(n_keys):
                step = steps[t, h * pairs + pair]
                if "gate" in parameters:
                    step *= sigmoid(parameters["gate"][h] @ x[t] + parameters["gate_bias"][h])
                angle += step * base ** (-pair / pairs)
                turn(k[b, h, t], one, other, angle)
                if t >= n_keys - n_queries:
                    turn(q[b, h, t - (n_keys - n_queries)], one, other, angle)
    return Result(q=q, k=k)


def turn(vector: Array, one: int, other: int, angle: float) -> None:
    """Turn a pair of channels in place."""
    z = complex(vector[one], vector[other]) * cmath.exp(1j * angle)
    vector[one], vector[other] = z.real, z.imag


def inkling(given: Given, extent: int, strength: float = 0.0, floor: int = 1) -> Result:
    """The code of Inkling in transformers: a bank of profiles, mixed by each query."""
    mixture, profiles = (given.parameters[name][given.layer] for name in ("mixture", "profiles"))
    bias, q = np.zeros((*given.q.shape[:3], given.k_pos.shape[1])), given.q.copy()
    for b, h, i in np.ndindex(bias.shape[:3]):
        n_keys = max(given.q_pos[b, i] + 1, 1) if given.causal else bias.shape[3]
        tau = 1 + strength * math.log(max(1, n_keys / floor))
        q[b, h, i] *= tau
        states = mixture[h] @ given.x[b, i]
        for j in range(bias.shape[3]):
            distance = round(given.q_pos[b, i] - given.k_pos[b, j])
            if 0 <= distance < extent:
                shares = [
                    s * profile[distance] for s, profile in zip(states, profiles, strict=True)
                ]
                bias[b, h, i, j] = tau * sum(shares)
    return Result(bias=bias, q=q if strength else None)


def grape_ap(given: Given) -> Result:
    """Zhang et al. 2025, the authors' code: a query beside the state of each token since a key,
    divided by its size and turned clockwise.

    The other way round, where no causal model looks, nothing lies between."""
    state = given.parameters["state"][given.layer]
    n_keys, n_queries = given.k_x.shape[1], given.q.shape[2]
    n_heads, width = state.shape[:2]
    slopes = alibi_slopes(n_heads)
    bias = np.zeros((*given.q.shape[:3], n_keys))
    for b, h, i, j in np.ndindex(bias.shape):
        query = n_keys - n_queries + i
        p = state[h] @ given.k_x[b, query]
        for between in range(j + 1, query + 1):
            other = state[h] @ given.k_x[b, between]
            other = other / math.sqrt(other @ other / width)
            for one in range(width // 2):
                turn(other, one, one + width // 2, -given.k_pos[b, between])
            bias[b, h, i, j] += slopes[h] * math.log(sigmoid(p @ other / width))
    return Result(bias=bias)


def canon(given: Given, of: str = "qkv") -> Result:
    """Allen-Zhu 2025, Canon-B: what a token holds, and a convolution of what those before hold."""
    n_heads = given.q.shape[1]

    def added(kind: str, x: Array) -> Array | None:
        if kind not in of:
            return None
        weight = given.parameters[f"weights.{kind}"][given.layer]
        heads = np.repeat(x, n_heads // x.shape[1], axis=1)
        result = heads.copy()
        for b, h in np.ndindex(heads.shape[:2]):
            result[b, h] += mixed(heads[b, h], weight[h], given, b)
        return result

    return Result(q=added("q", given.q), k=added("k", given.k), v=added("v", given.v))
