import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from lightning_posenc.data.text.vocabulary import Bytes, Chars, Subwords

texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts)
def test_bytes_there_and_back(text):
    ids = Bytes().encode(text)
    assert ids.tolist() == list(text.encode())
    assert Bytes().decode(ids.tolist()) == text


@given(texts)
def test_characters_there_and_back(text):
    vocabulary = Chars("".join(sorted({*text, "a", "é", "\U0001f600"})))
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int32
    assert ids.tolist() == [vocabulary.characters.index(c) for c in text]
    assert vocabulary.decode(ids.tolist()) == text


@pytest.mark.parametrize("unknown", ["A", "c", "z", "\U0001f600"])
def test_an_unknown_character(unknown):
    with pytest.raises(
        ValueError, match=f"not in the vocabulary: '{unknown}' .U.{ord(unknown):04X}"
    ):
        Chars("abd").encode(f"ab{unknown}d")


def test_bytes_that_are_no_text_can_be_shown():
    assert Bytes().decode([104, 255]) == "h\N{REPLACEMENT CHARACTER}"


def test_an_embedding_needs_a_row_for_the_highest_id():
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 9}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    vocabulary = Subwords(tokenizer.to_str())
    assert vocabulary.size == 10
    assert vocabulary.encode("b a b").tolist() == [9, 0, 9]
    assert vocabulary.decode([9, 0]) == "b a"
