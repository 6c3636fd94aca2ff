"""How many bytes of text a token stands for, so that losses of different vocabularies compare."""

import json
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from lightning_posenc.data.text.vocabulary import Bytes, Chars, Subwords


@singledispatch
def token_bytes(vocabulary: object) -> NDArray[np.int64] | None:
    """Bytes of UTF-8 that each id stands for, (V,); None if the vocabulary does not tell."""
    return None


@token_bytes.register
def _(vocabulary: Bytes) -> NDArray[np.int64]:
    return np.ones(vocabulary.size, dtype=np.int64)


@token_bytes.register
def _(vocabulary: Chars) -> NDArray[np.int64]:
    return np.array([len(each.encode()) for each in vocabulary.characters], dtype=np.int64)


@token_bytes.register
def _(vocabulary: Subwords) -> NDArray[np.int64] | None:
    """Of byte-level pieces, in which a character stands for a byte. Others (WordPiece,
    SentencePiece) drop or add white space, so that their pieces do not tell what they stood for.
    """
    content = json.loads(vocabulary.json)
    if (content.get("decoder") or {}).get("type") != "ByteLevel":
        return None
    added = {token["content"]: token for token in content.get("added_tokens") or []}
    sizes = np.zeros(vocabulary.size, dtype=np.int64)
    for piece, number in content["model"]["vocab"].items():
        sizes[number] = len(piece)
    for piece, token in added.items():  # these are kept as they are written
        sizes[token["id"]] = 0 if token.get("special") else len(piece.encode())
    return sizes
