"""Encodings that add products of content and relative position to the logits."""

# ruff: noqa: E501 (one line a case)

from functools import partial

from lightning_posenc.positional import DeBERTa, TransformerXL
from tests.cases.base import Case
from tests.oracles import disentangled

# fmt: off
CASES: tuple[Case, ...] = (
    # At base 10000 the slowest cosine hardly differs over ten tokens: the peer's test has that base.
    Case("transformer-xl", partial(TransformerXL, base=100.0), partial(disentangled.transformer_xl, base=100.0), content_dependent=True),
    Case("transformer-xl-shared", partial(TransformerXL, shared=True, base=100.0), partial(disentangled.transformer_xl, base=100.0), content_dependent=True),
    Case("deberta", partial(DeBERTa, max_distance=4), partial(disentangled.deberta, max_distance=4), content_dependent=True, differentiable=False),
    Case("deberta-buckets", partial(DeBERTa, max_distance=16, position_buckets=6), partial(disentangled.deberta, max_distance=16, position_buckets=6), content_dependent=True, differentiable=False),
)
# fmt: on
