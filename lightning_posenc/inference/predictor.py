"""A trained model that a person asks.

Shapes: B inputs.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack

import torch

from lightning_posenc.checks import whole
from lightning_posenc.data.batch import Batch
from lightning_posenc.inference.answers import Answer, answers
from lightning_posenc.inference.continuing import Options, Prompted, pieces
from lightning_posenc.inference.describing import as_html, as_text
from lightning_posenc.inference.filling import filled
from lightning_posenc.inference.placing import device_of, placed, running
from lightning_posenc.inference.readers import reader_of
from lightning_posenc.inference.readers.texts import TextReader
from lightning_posenc.inference.readers.tokens import TokenReader
from lightning_posenc.inference.scoring import text_score
from lightning_posenc.modules.classifiers import Classifier
from lightning_posenc.modules.sampling import Sampling
from lightning_posenc.modules.scored import ScoredModule
from lightning_posenc.modules.sequence_to_sequence import SequenceToSequence

MOST_TOKENS = 1 << 20


class Predictor:
    """A trained model with the data that tells what its numbers mean.

    Called with one input it gives one answer, with a list a list of answers, in order; answers are
    plain dicts. What an input is, and what is answered, depends on what was trained:

    - texts with classes, images: `{"label", "score", "probabilities"}`;
    - tagged sentences: `{"words", "tags", "scores"}`, and "entities" where tags are such as B-PER;
    - pairs of texts, recordings: `{"text", "score"}`, a logarithm of a probability;
    - causal language models: `{"text"}`, the prompt continued; and `generate`, `stream`, `score`;
    - masked ones: `{"text", "guesses"}` for a text with `[MASK]` in it;
    - token ids of synthetic tasks: a label, or `{"prediction", "scores"}`.

    A `Batch` of anything can be given, too.

    Example:
        >>> from lightning_posenc import Predictor
        >>> from lightning_posenc.data import SyntheticData
        >>> from lightning_posenc.model import EncoderSpec
        >>> from lightning_posenc.modules import SequenceClassifier
        >>> data = SyntheticData(train_length=8)
        >>> module = SequenceClassifier(EncoderSpec(d_model=32), data.vocab_size, data.n_classes)
        >>> model = Predictor(module, data)
        >>> sorted(model([1, 0, 2, 3]))
        ['label', 'probabilities', 'score']

    Args:
        module: The model, which is put into evaluation mode and moved.
        data: The data module that it was trained on, or one that has adopted its meaning.
        device: As in `load`.
        precision: As in `load`.

    Raises:
        ValueError: If the module is none of this package's, or there is no such device.
    """

    def __init__(
        self,
        module: ScoredModule,
        data: Any = None,
        *,
        device: str | torch.device | None = None,
        precision: str | None = None,
    ) -> None:
        if not isinstance(module, ScoredModule):
            raise ValueError(
                f"Predictor: {type(module).__name__} is no module of lightning_posenc: give one, "
                "or lightning_posenc.load a checkpoint"
            )
        self.module = module.eval()
        self.data = data
        self.device = device_of(device)
        self.precision = placed(module, self.device, precision)
        self.reader = reader_of(data)
        self.path: Path | None = None
        self.step: int | None = None
        self.metrics: dict[str, float] = {}

    def __call__(
        self,
        inputs: Any,
        *,
        batch_size: int = 32,
        max_length: int | None = None,
        **options: Any,
    ) -> Any:
        """Answer one input, or several.

        Args:
            inputs: One input, a list (or any other iterable) of them, or a `Batch`.
            batch_size: How many are run at once, at least 1.
            max_length: Tokens that an input is cut to (of an image, pixels on a side); None for
                those of training.
            options: Of causal language models those of `generate`.

        Returns:
            One answer, or a list of them.

        Raises:
            ValueError: If an input is nothing that the model reads; in one line what it takes.
        """
        whole("model", "batch_size", batch_size)
        if max_length is not None:
            whole("model", "max_length", max_length, most=MOST_TOKENS)
        if isinstance(inputs, Batch):
            return self._of_batch(inputs, ())
        if self.reader is None:
            raise ValueError(
                f"{self._name} says itself where its tokens are: give a Batch, as its data makes"
            )
        several, is_one = self.reader.several(inputs)
        found = [*self.answered(several, batch_size, max_length, **options)]
        return found[0] if is_one else found

    def answered(
        self, inputs: Sequence[Any], batch_size: int = 32, max_length: int | None = None,
        **options: Any,
    ) -> Iterator[Answer]:  # fmt: skip
        """Answer several inputs, such of about one length together; gives them in their order."""
        if max_length is not None and self._objective:
            raise ValueError(
                f"max_length={max_length}: {self._what} reads a text whole: shorten the text"
            )
        if self._objective == "causal" and isinstance(self.reader, TextReader):
            several = self.generate(inputs, batch_size=batch_size, whole_text=True, **options)
            yield from ({"text": text} for text in several)
            return
        if options:
            raise ValueError(
                f"{', '.join(options)}: for a language model that continues a text, and this is "
                f"{self._what}"
            )
        assert self.reader is not None
        if self._objective == "masked":
            reader = self._texts("a masked model")
            with self._running():
                for text in inputs:
                    yield filled(self.module, text, reader, self._mask_id, self.device)
            return
        reader_ = self.reader
        order = sorted(range(len(inputs)), key=lambda n: reader_.size(inputs[n]))
        found: dict[int, Answer] = {}
        for start in range(0, len(order), batch_size):
            numbers = order[start : start + batch_size]
            chosen = [inputs[n] for n in numbers]
            batch = reader_.batch_of(chosen, max_length, numbers)
            found.update(zip(numbers, self._of_batch(batch, chosen), strict=True))
        yield from (found[n] for n in range(len(order)))

    def generate(
        self,
        prompts: Any,
        *,
        max_new_tokens: int = 50,
        batch_size: int = 32,
        whole_text: bool = False,
        **options: Unpack[Options],
    ) -> Any:
        """Continue a text, or several.

        Args:
            prompts: A text, or a list of them; token ids where a task was trained.
            max_new_tokens: How many tokens are said, at least 1.
            batch_size: How many texts are continued at once.
            whole_text: Whether the prompt stands before what is said.
            options: `temperature` (0 takes the likeliest), `top_k`, `top_p`, `min_p`,
                `repetition_penalty` and `seed`, as in `modules.Sampling`. What is said to a prompt
                depends on its place in the list, and not on the batch size.

        Returns:
            What is said, or a list of it.

        Raises:
            ValueError: If the model continues nothing, or an option is out of its range.
        """
        reader = self._continues()
        several, is_one = reader.several(prompts)
        whole("generate", "max_new_tokens", max_new_tokens, most=MOST_TOKENS)
        whole("generate", "batch_size", batch_size)
        said: list[Any] = []
        for start in range(0, len(several), batch_size):
            chosen = several[start : start + batch_size]
            asked = self._prompted(chosen, max_new_tokens, options, start)
            with self._running():
                said += map(self._text, asked.all())
        if whole_text:
            said = [self._joined(prompt, new) for prompt, new in zip(several, said, strict=True)]
        return said[0] if is_one else said

    def stream(
        self, prompt: Any, *, max_new_tokens: int = 50, **options: Unpack[Options]
    ) -> Iterator[str]:
        """Continue a text, and give each piece of what is said as soon as it is.

        Args:
            prompt: A text, or token ids.
            max_new_tokens: As in `generate`.
            options: As in `generate`.

        Returns:
            Pieces of text; joined, they are what `generate` gives.

        Raises:
            ValueError: As `generate` does, before the first piece.
        """
        self._continues()
        whole("stream", "max_new_tokens", max_new_tokens, most=MOST_TOKENS)
        asked = self._prompted([prompt], max_new_tokens, options, 0)

        def running_each(tokens: Iterator[int]) -> Iterator[int]:
            while True:
                with self._running():  # not around what is done with a token
                    token = next(tokens, None)
                if token is None:
                    return
                yield token

        return pieces(running_each(asked.tokens_one_by_one()), self._text)

    def score(self, texts: Any, *, max_length: int | None = None) -> Any:
        """How well a causal language model expects a text: bits per byte, perplexity, loss.

        Args:
            texts: A text, or a list of them.
            max_length: Tokens of a block, each of which is expected from those before it in the
                block; None for that of training.

        Returns:
            `{"loss", "perplexity", "tokens", "bits_per_byte", "bytes"}`, or a list of such; the
            last two where the vocabulary tells how many bytes a token stands for.

        Raises:
            ValueError: If the model is none, or a text has less than two tokens.
        """
        if self._objective != "causal":
            raise ValueError(
                f"score is of causal language models, and this is {self._what}: call it instead"
            )
        reader = self._texts("score")
        length = reader.trained if max_length is None else whole("score", "max_length", max_length)
        several, is_one = reader.several(texts)
        with self._running():
            found = [
                text_score(self.module, reader.ids(t), reader.vocabulary, length, self.device)
                for t in several
            ]
        return found[0] if is_one else found

    @property
    def labels(self) -> list[str] | None:
        """Names of the classes, in the order of their numbers; None where there are none."""
        names = getattr(self.data, "class_names", None)
        return None if names is None else list(names)

    @property
    def takes(self) -> str:
        """What one input is, for a person to read."""
        return "a Batch" if self.reader is None else self.reader.takes_all

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    @property
    def _name(self) -> str:
        task = getattr(self.data, "task", None)
        return type(self.data if task is None else task).__name__

    @property
    def _what(self) -> str:
        objective = f" ({self._objective})" if self._objective else ""
        return f"a {type(self.module).__name__}{objective}"

    @property
    def _objective(self) -> str | None:
        """Of a language model "causal" or "masked"; None of others."""
        pretrained = getattr(self.module, "pretrained", None)
        objective: str | None = getattr(self.module, "objective", None)
        return objective or getattr(pretrained, "kind", None)

    @property
    def _mask_id(self) -> int:
        own = getattr(self.module, "mask_id", None)
        return int(self.module.vocab_size if own is None else own)  # type: ignore[arg-type]

    def _texts(self, what: str) -> TextReader:
        if not isinstance(self.reader, TextReader):
            raise ValueError(f"{what} is of texts, and the model was trained on {self._name}")
        return self.reader

    def _continues(self) -> TextReader | TokenReader:
        """The reader of prompts.

        Raises:
            ValueError: If the model continues nothing.
        """
        is_causal = self._objective == "causal"
        encoder = getattr(self.module, "encoder", None)
        if not is_causal and isinstance(self.module, Classifier):
            is_causal = self._end is not None and bool(encoder and encoder.dims.causal)
        if not is_causal or not isinstance(self.reader, TextReader | TokenReader):
            hint = (
                "call it"
                if not isinstance(self.module, SequenceToSequence)
                else "call it: it writes"
            )
            raise ValueError(
                f"generate and stream are of causal language models, and this is {self._what}: "
                f"{hint} with {self.takes}"
            )
        return self.reader

    @property
    def _end(self) -> int | None:
        """The token that ends a sequence; None if none does."""
        return getattr(getattr(self.data, "task", None), "end", None)

    def _prompted(self, prompts: Sequence[Any], new: int, options: Options, first: int) -> Prompted:
        assert isinstance(self.reader, TextReader | TokenReader)
        if unknown := set(options) - set(Options.__annotations__):
            raise ValueError(
                f"generate has no option {', '.join(sorted(unknown))}: it has "
                f"{', '.join(Options.__annotations__)} and max_new_tokens"
            )
        ids = [torch.as_tensor(self.reader.ids(each)).long() for each in prompts]
        if any(not len(each) for each in ids):
            raise ValueError("an empty text cannot be continued: give a character at least")
        trained = self.reader.trained if isinstance(self.reader, TextReader) else None
        numbers = torch.arange(first, first + len(ids))
        return Prompted(
            self.module, ids, new, self._end, Sampling(**options), trained, self.device, numbers
        )

    def _text(self, ids: list[int]) -> str:
        if isinstance(self.reader, TextReader):
            return self.reader.vocabulary.decode(ids)
        symbols = self.reader.symbols if isinstance(self.reader, TokenReader) else None
        return " ".join(str(n) if symbols is None else symbols[n] for n in ids)

    def _joined(self, prompt: Any, new: str) -> str:
        """A prompt and its continuation."""
        return f"{prompt}{new}" if isinstance(self.reader, TextReader) else f"{prompt} {new}"

    def _of_batch(self, batch: Batch, inputs: Sequence[Any]) -> list[Answer]:
        module = self.module
        moved = batch.to(self.device)
        if moved.tokens.is_floating_point():
            moved = moved._replace(tokens=moved.tokens.to(next(module.parameters()).dtype))
        asked = hasattr(module, "with_probabilities")
        with self._running():
            if asked:
                module.with_probabilities = True  # type: ignore[assignment]
            try:
                found = module.predict_step(moved, 0)
            finally:
                if asked:
                    module.with_probabilities = False  # type: ignore[assignment]
        return answers(found, batch, self.data, inputs)

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        with torch.inference_mode(), running(self.precision, self.device):
            yield
