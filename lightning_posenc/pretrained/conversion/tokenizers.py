"""Our vocabularies as tokenizers of Hugging Face, which give the same ids."""

from functools import singledispatch
from typing import TYPE_CHECKING, Any

from lightning_posenc.data.text.vocabulary import Bytes, Chars, Subwords, Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MASK, PAD = "<|mask|>", "<|pad|>"


def tokenizer_of(
    vocabulary: Vocabulary,
    longest: int,
    mask_token_id: int | None = None,
    pad_token_id: int | None = None,
) -> Any:
    """Make a `PreTrainedTokenizerFast` that reads text as a vocabulary does.

    Args:
        vocabulary: The vocabulary.
        longest: The longest sequence, `model_max_length`.
        mask_token_id: The id that stands for a hidden token, behind all others; None for none.
        pad_token_id: The id that fills a batch up, behind that; None for none.

    Raises:
        ValueError: If the ids of the vocabulary have gaps, so that others cannot stand behind them.
    """
    from transformers import PreTrainedTokenizerFast

    made = _made(vocabulary)
    named = {}
    for name, token, number in (
        ("mask_token", MASK, mask_token_id),
        ("pad_token", PAD, pad_token_id),
    ):
        if number is None:
            continue
        made.add_special_tokens([token])
        if made.token_to_id(token) != number:
            raise ValueError(
                f"data.vocabulary: its ids have gaps, so that {token} cannot be id {number}"
            )
        named[name] = token
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=longest,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        **named,
    )


@singledispatch
def _made(vocabulary: Vocabulary) -> "Tokenizer":
    raise ValueError(f"{type(vocabulary).__name__} has no counterpart among tokenizers")


@_made.register(Bytes)
def _(vocabulary: Bytes) -> "Tokenizer":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    made = Tokenizer(models.BPE({_seen(byte): byte for byte in range(256)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return made


@_made.register(Chars)
def _(vocabulary: Chars) -> "Tokenizer":
    """A character that is not known is refused, as ours does: there is no token for it."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({c: n for n, c in enumerate(vocabulary.characters)}))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.decoder = decoders.Fuse()
    return made


@_made.register(Subwords)
def _(vocabulary: Subwords) -> "Tokenizer":
    from tokenizers import Tokenizer

    return Tokenizer.from_str(vocabulary.json)


def _seen(byte: int) -> str:
    """The character that stands for a byte in byte-level tokenizers: itself where it can be seen.

    The others follow from code point 256 on (Radford et al. 2019).
    """
    return _SEEN[byte]


def _all_seen() -> list[str]:
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) if byte in shown else chr(256 + hidden.index(byte)) for byte in range(256)]


_SEEN = _all_seen()
