"""How many bytes of text a token stands for."""

import json

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from lightning_posenc.data.text.byte_pairs import bpe_json
from lightning_posenc.data.text.token_bytes import token_bytes
from lightning_posenc.data.text.vocabulary import Bytes, Chars, Subwords, Vocabulary
from lightning_posenc.modules.target_bytes import TargetBytes
from lightning_posenc.tasks import IGNORE

TEXT = "Ein Bär läuft über die Brücke; 日本語 und 😀, \n\n  naïve Café-Gäste. " * 3


def pieces() -> Subwords:
    return Subwords(bpe_json(lambda: iter([TEXT]), "test_token_bytes", 300))


@pytest.mark.parametrize("make", [Bytes, lambda: Chars("".join(sorted(set(TEXT)))), pieces])
def test_tokens_of_a_text_stand_for_all_its_bytes(make: type[Vocabulary]) -> None:
    """C3: so that losses of different vocabularies can be compared."""
    vocabulary = make()
    sizes = token_bytes(vocabulary)
    assert sizes is not None
    assert len(sizes) == vocabulary.size
    assert sizes[vocabulary.encode(TEXT)].sum() == len(TEXT.encode())


def test_pieces_that_do_not_tell_are_not_guessed() -> None:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator([TEXT], trainers.WordPieceTrainer(special_tokens=["[UNK]"]))
    assert token_bytes(Subwords(tokenizer.to_str())) is None
    assert token_bytes(None) is None


def test_special_tokens_stand_for_no_text() -> None:
    content = json.loads(pieces().json)
    n = max(content["model"]["vocab"].values()) + 1
    content["added_tokens"] = [
        {"id": n, "content": "<end>", "special": True, "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False},
        {"id": n + 1, "content": "Bär!", "special": False, "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False},
    ]  # fmt: skip
    sizes = token_bytes(Subwords(json.dumps(content)))
    assert sizes is not None
    assert sizes[n:].tolist() == [0, 5]


def test_only_scored_targets_count() -> None:
    metric = TargetBytes(np.array([1, 2, 4]))
    metric.update(torch.zeros(2, 2), torch.tensor([[0, 2], [IGNORE, 2]]))
    metric.update(torch.zeros(1, 2), torch.tensor([[IGNORE, 1]]))
    assert metric.compute().item() == pytest.approx(11 / 4)
