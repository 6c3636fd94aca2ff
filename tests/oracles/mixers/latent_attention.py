"""Multi-head latent attention."""

import math

import numpy as np

from tests.oracles.mixers.base import Array, Given, heads, linear, seen, turned


def rms_norm(x: Array, gain: Array) -> Array:
    return gain * x / np.sqrt((x @ x) / len(x) + 1e-6)


def latent_attention(given: Given, d_content: int | None = None) -> Array:
    """DeepSeek-AI 2024 (DeepSeek-V2), equations 9 to 19, token by token and head by head."""
    n_heads, d_head = given.n_heads, given.x.shape[1] // given.n_heads
    content = d_head if d_content is None else d_content
    latents, shared, queries = [], [], []
    for i, x in enumerate(given.x):
        both = linear(given, "kv_latent", x)
        latents.append(rms_norm(both[:-d_head], given.parameters["kv_norm.weight"]))  # equation 9
        shared.append(turned(given, both[-d_head:], i))  # equation 15
        if "q_latent.weight" in given.parameters:  # equation 12
            x = rms_norm(linear(given, "q_latent", x), given.parameters["q_norm.weight"])
        queries.append(linear(given, "q", x))
    out = np.zeros_like(given.x)
    for i in range(len(given.x)):
        rows = []
        for h in range(n_heads):
            q_c = heads(given, queries[i][: n_heads * content])[h]  # equation 13
            q_r = turned(given, heads(given, queries[i][n_heads * content :])[h], i)  # equation 14
            powers, values = {}, {}
            for j in seen(given, i):
                up = linear(given, "kv", latents[j])  # equations 10 and 11
                k_c, values[j] = (
                    heads(given, part)[h] for part in np.split(up, [n_heads * content])
                )
                logit = (q_c @ k_c + q_r @ shared[j]) / math.sqrt(content + d_head)  # 16 to 18
                powers[j] = math.exp(logit)
            rows.append(sum(powers[j] * values[j] for j in powers) / sum(powers.values()))
        out[i] = linear(given, "out", np.concatenate(rows))  # equation 19
    return out
