"""Who may see whom? Predicates `(b, q, k) -> bool`, composed by `&` and `|`."""

from lightning_posenc.masks.base import FAR, Both, Either, Mask, Span, compose
from lightning_posenc.masks.batch import Documents, Padding
from lightning_posenc.masks.blocks import Blocked, RandomBlocks
from lightning_posenc.masks.global_tokens import GlobalTokens, Sinks
from lightning_posenc.masks.in_batch import in_batch
from lightning_posenc.masks.local import Causal, Dilated, Window
from lightning_posenc.masks.named import BigBird, Longformer, Named, StreamingLLM
from lightning_posenc.masks.sparse_transformer import Fixed, Strided
from lightning_posenc.masks.visibility import Visibility

__all__ = [
    "FAR",
    "BigBird",
    "Blocked",
    "Both",
    "Causal",
    "Dilated",
    "Documents",
    "Either",
    "Fixed",
    "GlobalTokens",
    "Longformer",
    "Mask",
    "Named",
    "Padding",
    "RandomBlocks",
    "Sinks",
    "Span",
    "StreamingLLM",
    "Strided",
    "Visibility",
    "Window",
    "compose",
    "in_batch",
]
