"""An encoding's real hooks beside its oracle's view of the same layer.

Shapes: B sequences, T queries, S keys, H heads, K channels of a head, D = H·K.
"""

from torch import Tensor

from lightning_posenc.positional import PositionalEncoding, Site
from lightning_posenc.positional.by_distance import written_out
from lightning_posenc.positions import Places
from lightning_posenc.testing.oracle import Array, Given, Result


def site_of(
    encoding: PositionalEncoding,
    layer: int,
    x: Tensor,
    q: Tensor,
    k: Tensor,
    q_pos: Tensor,
    k_pos: Tensor,
    documents: Tensor | None = None,
) -> Site:
    """What the encoding sees in a layer, from the inputs (B, S, D) of all keys; the queries are
    the last of them.
    """
    keys = Places(k_pos, documents=documents)
    queries = keys if q_pos is k_pos else Places(q_pos)
    encoding.check(keys)
    prepared = encoding.prepare(queries, keys)
    here = x[:, x.shape[1] - q.shape[2] :]
    return Site(layer, here, x, q, k, values_of(k), queries, keys, prepared)


def values_of(x: Tensor) -> Tensor:
    """Values, or a mix of them, that differ from other numbers of their shape and are drawn from
    no generator.
    """
    return x.roll(1, dims=-1).neg()


def hooks(encoding: PositionalEncoding, site: Site, logits: Tensor) -> dict[str, Tensor | None]:
    """What all hooks return, by the names of `Result`."""
    q, k = encoding.transform(site)
    bias = encoding.bias(site)
    T, mixed = site.q.shape[2], values_of(site.q)
    return {
        "x": encoding.embed(site.x, encoding.told(site.q_places), site.layer),
        "q": q,
        "k": k,
        "bias": None if bias is None else written_out(bias),
        "logits": logits if (rescore := encoding.rescore(site)) is None else rescore(logits),
        "v": encoding.values(site),
        "mixed": encoding.output(
            site._replace(read_weights=lambda read: read(logits.softmax(-1), slice(0, T))), mixed
        ),
    }


def oracle_view(encoding: PositionalEncoding, site: Site, logits: Tensor) -> Given:
    """The same for the oracle."""
    batch = len(site.x)
    return Given(
        site.layer,
        encoding.dims.causal,
        _array(site.x),
        _array(site.k_x),
        _array(site.q),
        _array(site.k),
        _array(site.v),
        _array(site.q_pos.expand(batch, *site.q_pos.shape[1:])),
        _array(site.k_pos.expand(batch, *site.k_pos.shape[1:])),
        _array(logits),
        _array(logits.softmax(-1)),
        _array(values_of(site.q)),
        {
            name: _array(value)
            for name, value in encoding.state_dict().items()
            if isinstance(value, Tensor)
        },
        None if site.k_places.documents is None else site.k_places.documents.numpy(),
    )


def completed(result: Result, given: Given) -> dict[str, Array | None]:
    """An oracle's result with what it left alone filled in."""
    return {
        name: getattr(given, name, None) if value is None else value
        for name, value in result._asdict().items()
    }


def _array(tensor: Tensor) -> Array:
    return tensor.detach().double().numpy()
