"""Pieces of a stream are whole characters, and together the text."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_posenc.data.text.byte_pairs import train_bpe
from lightning_posenc.data.text.vocabulary import Bytes, Subwords
from lightning_posenc.inference.continuing import pieces

BPE = Subwords(train_bpe(["äöü naïve 日本 🙂 the quick brown fox"] * 3, 280))


@settings(deadline=None, max_examples=40)
@given(st.text(max_size=20))
def test_of_bytes_and_of_byte_pairs(text: str) -> None:
    for vocabulary in (Bytes(), BPE):
        ids = vocabulary.encode(text).tolist()
        found = [*pieces(iter(ids), vocabulary.decode)]
        assert "".join(found) == vocabulary.decode(ids)
        if "\ufffd" not in text:
            assert not any("\ufffd" in piece for piece in found)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 255), max_size=40))
def test_of_bytes_that_are_no_text(ids: list[int]) -> None:
    assert "".join(pieces(iter(ids), Bytes().decode)) == Bytes().decode(ids)
