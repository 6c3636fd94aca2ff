"""Do a model's logits prefer near keys, and keep the order of two keys when both move away?

The keys of a few tokens are put at every place in turn, so that places are compared with the same
content, and contents at the same place.

Source: the question is that of arXiv:2605.15514; here it is asked of the model's own queries, keys
and biases, at each length.

Shapes: B sequences, H heads, T queries, t of them, S keys, C contents, P pairs of places, L layers.
"""

import itertools
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.diagnose.subject import OwnModel
from lightning_posenc.diagnostics.observing.hook_gradients import replaced
from lightning_posenc.positional import PositionalEncoding, Site
from lightning_posenc.positional.by_distance import written_out

N_READ = 2  # sequences
CONTENTS = 8  # tokens whose keys are put at every place
QUERIES = 16  # of the second half, from which many keys are seen
PAIRS = 128  # of places, for each query


class Locality(NamedTuple):
    """What is so of a pair of places, on average; 0.5 is chance.

    Args:
        near: By layer and head, how often the nearer of two places has the larger logit, with the
            same key at both (a tie counts one half).
        kept: By layer and head, how often the larger logit of two keys at one place is the larger
            one at another place too.
    """

    near: list[list[float]]
    kept: list[list[float]]


@torch.no_grad()
def measure_locality(subject: OwnModel) -> dict[int, Locality]:
    """Ask at every length of the subject's batches, in the data's unit; without those that the
    model refuses. Nothing of grids, of which near and far are on a plane, nor of decoders; nor
    where places are in the vectors of tokens alone, which move along with the keys, or where logits
    are made anew of all that a query sees.
    """
    if subject.grid is not None or subject.writes or not _by_place(subject.module.positional):
        return {}
    batches = {subject.trained_length: list(subject.batches), **subject.others}
    found = {}
    for length, of_length in sorted(batches.items()):
        if (here := _of_length(subject, of_length[0].first(N_READ))) is not None:
            found[length] = here
    return found


def _by_place(encoding: PositionalEncoding) -> bool:
    """Whether logits depend on the places of one query and one key."""
    hooks = frozenset[str]().union(*map(encoding.hooks, range(encoding.dims.n_layers)))
    return bool(hooks & {"transform", "bias"}) and "rescore" not in hooks


def _of_length(subject: OwnModel, batch: Any) -> Locality | None:
    encoding = subject.module.positional
    by_layer: dict[int, tuple[list[float], list[float]]] = {}
    watch = partial(partial, _transform, encoding, by_layer)
    with (
        torch.random.fork_rng(devices=()),
        replaced(encoding, "hooks", lambda original: partial(_with_transform, original)),
        replaced(encoding, "transform", watch),
    ):
        torch.manual_seed(0)
        try:
            subject.module.logits(batch)
        except (ValueError, RuntimeError):  # a length that it refuses, or memory that it lacks
            return None
    if not by_layer:
        return None
    near, kept = zip(*(by_layer[layer] for layer in sorted(by_layer)), strict=True)
    return Locality(list(near), list(kept))


def _with_transform(original: Any, layer: int) -> frozenset[str]:
    """A hook is asked only where it does something: here everywhere, to see queries and keys."""
    found: frozenset[str] = original(layer) | {"transform"}
    return found


def _transform(
    encoding: PositionalEncoding,
    by_layer: dict[int, tuple[list[float], list[float]]],
    original: Any,
    site: Site,
) -> Any:
    n_queries, n_keys = site.q.shape[2], site.k.shape[2]
    if n_queries == n_keys and n_keys >= QUERIES:
        by_layer[site.layer] = _asked(encoding, original, site)
    return original(site)


def _asked(
    encoding: PositionalEncoding, original: Any, site: Site
) -> tuple[list[float], list[float]]:
    """(H,) shares of pairs: the nearer place wins, and the order of two keys is the same."""
    n_keys, device = site.k.shape[2], site.k.device
    rows = torch.linspace(n_keys // 2, n_keys - 1, QUERIES).long().to(device)
    contents = torch.linspace(0, n_keys - 1, CONTENTS).long().tolist()
    all_places = torch.stack([_logits(encoding, original, site, c, rows) for c in contents])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(QUERIES, 2 * PAIRS, generator=generator).to(device)
    n_seen = rows[:, None] + 1 if encoding.dims.causal else torch.full_like(rows[:, None], n_keys)
    places = (drawn * n_seen).long()  # (t, 2P)
    index = places.expand(*all_places.shape[:-1], -1)
    first, second = all_places.gather(-1, index).chunk(2, dim=-1)  # (C, B, H, t, P)
    far = (places - rows[:, None]).abs()
    farther = (far[:, :PAIRS] - far[:, PAIRS:]).sign()  # 1 where the second is nearer
    asked = (farther != 0).expand_as(first)
    wins = 0.5 + 0.5 * (second - first).sign() * farther
    near = _by_head(wins, asked)
    pairs = list(itertools.combinations(range(CONTENTS), 2))
    a, b = (torch.tensor(side, device=device) for side in zip(*pairs, strict=True))
    same = (first[a] - first[b]).sign() == (second[a] - second[b]).sign()
    return near, _by_head(same.to(first), asked[:1].expand_as(same))


def _logits(
    encoding: PositionalEncoding, original: Any, site: Site, content: int, rows: Tensor
) -> Tensor:
    """Logits (B, H, t, S) of some queries, with the key of one token at every place."""
    k = site.k[:, :, content : content + 1].expand_as(site.k).contiguous()
    there = site._replace(k=k)
    q, k = original(there)
    q, k = q[:, :, rows].float() * encoding.dims.d_head**-0.5, k.float()
    found = q @ k.repeat_interleave(q.shape[1] // k.shape[1], dim=1).mT
    bias = encoding.bias(there)
    return found if bias is None else found + written_out(bias)[:, :, rows]


def _by_head(values: Tensor, asked: Tensor) -> list[float]:
    """Means over all but the heads, of (N, B, H, t, P)."""
    over = (0, 1, 3, 4)
    shares: list[float] = ((values * asked).sum(over) / asked.sum(over).clamp(min=1)).tolist()
    return shares
