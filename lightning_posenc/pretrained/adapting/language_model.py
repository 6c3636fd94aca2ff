"""A language model that the world has, which goes on learning.

Shapes: B sequences, T tokens, V token ids of the model.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from lightning_posenc.checks import number, whole
from lightning_posenc.data.batch import Batch
from lightning_posenc.data.text.vocabulary import Subwords
from lightning_posenc.diagnostics.observing.blocks import find_stack
from lightning_posenc.mistakes.one_line import did_you_mean
from lightning_posenc.modules.called import as_batch
from lightning_posenc.modules.decoding import continued
from lightning_posenc.modules.hiding import hide
from lightning_posenc.modules.hyperparameters import rebuilt
from lightning_posenc.modules.language_metrics import language_metrics, with_perplexity
from lightning_posenc.modules.loss import cross_entropy
from lightning_posenc.modules.optim import OptimizerFactory, WarmupCosine
from lightning_posenc.modules.prompts import checked_prompts
from lightning_posenc.modules.sampling import GREEDY, Sampling, checked_sampling
from lightning_posenc.modules.scheduling import ScheduleFactory
from lightning_posenc.modules.trained import TrainedModule
from lightning_posenc.positions import Positions
from lightning_posenc.pretrained.adapting.base_weights import base_record, check_base, frozen
from lightning_posenc.pretrained.adapting.inputs import ModelInputs
from lightning_posenc.pretrained.adapting.lora import LoRA, merge_adapters
from lightning_posenc.pretrained.adapting.trained_parts import Part, freeze_layers, train_parts
from lightning_posenc.pretrained.calling import uncached
from lightning_posenc.pretrained.folder import Refused
from lightning_posenc.pretrained.methods import METHODS
from lightning_posenc.pretrained.reading import Attention, Dtype, Pretrained, read
from lightning_posenc.pretrained.where_positions import Buckets, InTable, what_positions

_BASE = "lightning_posenc_base"  # of a checkpoint: the weights that it does not hold


class AdaptedLanguageModel(TrainedModule):
    """A causal or masked language model of Hugging Face that is trained on.

    Causal: token t + 1 from tokens up to t. Masked: hidden tokens from both sides, as in
    `LanguageModel`. A checkpoint holds what is trained, and of the rest where it is and what it
    was.

    Args:
        pretrained: The model, which is changed.
        method: Name of the method that extends its context, as `extend` has it; None to leave
            positions as they are.
        to: Tokens that it is extended to.
        lora: Adapters; None for none.
        trains: What is trained; `trained_parts.py` says what there is.
        frozen_layers: Blocks from the first on that stay as they are, and the embeddings with
            them; 0 for none.
        positions: Where tokens are, such as PoSE; None counts 0, 1, 2, …
        mask_share: Share of the tokens that a masked model has to guess, in (0, 1).
        optimizer: As in `EncoderModule`.
        schedule: As in `EncoderModule`.
        layer_decay: Learning rate of a block over that of the block above it, in (0, 1].
        muon_groups: As in `EncoderModule`.
        compile: As in `EncoderModule`.

    Raises:
        ValueError: If an option makes no sense for this model.
    """

    def __init__(
        self,
        pretrained: Pretrained,
        *,
        method: str | None = None,
        to: int | None = None,
        lora: LoRA | None = None,
        trains: Part | list[Part] | None = None,
        frozen_layers: int = 0,
        positions: Positions | None = None,
        mask_share: float = 0.15,
        optimizer: OptimizerFactory | None = None,
        schedule: ScheduleFactory | None = WarmupCosine,
        layer_decay: float = 1.0,
        muon_groups: bool = False,
        compile: bool | dict[str, Any] = False,
    ) -> None:
        super().__init__(
            optimizer=rebuilt("optimizer", optimizer),
            schedule=rebuilt("schedule", schedule),
            layer_decay=layer_decay,
            muon_groups=muon_groups,
            compile=compile,
        )
        name, kind = pretrained.name, pretrained.kind
        if kind not in ("causal", "masked") or not pretrained.has_head:
            raise ValueError(
                f"model.path={name}: {type(pretrained.model).__name__} scores no tokens: give a "
                "causal or a masked language model"
            )
        self.mask_share = number(self, "mask_share", mask_share, above=0, below=1)
        whole(self, "frozen_layers", frozen_layers, 0)
        self.pretrained = pretrained
        self.mask_id: int | None = getattr(pretrained.tokenizer, "mask_token_id", None)
        if kind == "masked" and self.mask_id is None:
            raise ValueError(
                f"model.path={name}: a masked model needs its tokenizer's [MASK], and the folder "
                "has none"
            )
        self._method = ExitStack()
        self._extend(method, to)
        self.model: nn.Module = pretrained.model.train()  # Lightning leaves modes as they are
        self.positions: Positions | None = rebuilt("positions", positions)
        self._inputs = ModelInputs.of(pretrained, self.positions)
        lora = rebuilt("lora", lora)
        lora = LoRA(**lora) if isinstance(lora, dict) else lora
        self.trained_parts = train_parts(self.model, trains, lora)
        freeze_layers(list(self.input_parameters), self.blocks, frozen_layers)

    def _extend(self, method: str | None, to: int | None) -> None:
        if (method is None) != (to is None):
            raise ValueError(f"method={method}, to={to}: give both, or neither")
        if method is not None and to is not None:
            whole(self, "to", to)
            self._method.enter_context(_method(method).applied(self.pretrained, to))

    def merged(self) -> Pretrained:
        """Merge the adapters, take back what the method changed, and give the plain model: what
        `save_pretrained` writes, and methods are applied to.
        """
        self._method.close()
        merge_adapters(self.model)
        return self.pretrained

    @property
    def trunk(self) -> nn.Module:
        return self.model

    @property
    def blocks(self) -> Sequence[nn.Module]:
        stack = find_stack(self.model)
        if stack is None:
            raise ValueError(f"{type(self.model).__name__} has no repeated blocks")
        return stack.blocks

    @property
    def input_parameters(self) -> Iterable[nn.Parameter]:
        of_blocks = {id(p) for block in self.blocks for p in block.parameters()}
        for parameter in self.model.parameters():  # as they are made: inputs, blocks, head
            if id(parameter) in of_blocks:
                return
            yield parameter

    @property
    def positional_parameters(self) -> dict[str, nn.Parameter]:
        """What is learned about positions, by its name in the model: tables, or none."""
        where = what_positions(self.model)
        names = where.names if isinstance(where, InTable) else ()
        names = tuple(where.tables) if isinstance(where, Buckets) else names
        return {name: self.model.get_parameter(name) for name in names}

    @property
    def vocab_size(self) -> int:
        """V."""
        return int(self.pretrained.config.vocab_size)

    def forward(self, batch: Batch | Tensor) -> Tensor:
        """`logits` of a batch, or of token ids (B, T) without padding."""
        return self.logits(as_batch(self, batch))

    def logits(self, batch: Batch) -> Tensor:
        """(B, T, V)."""
        return self._logits(batch.tokens, batch)

    def score(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        tokens, targets = batch.tokens, batch.targets
        if self.mask_id is not None and self.pretrained.kind == "masked":
            tokens, targets = hide(batch, batch_idx, self.mask_share, self.mask_id, self.training)
        logits = self._logits(tokens, batch)
        return cross_entropy(logits, targets), logits, targets

    def _logits(self, tokens: Tensor, batch: Batch) -> Tensor:
        given = self._inputs.arguments(tokens, batch, self._dtype_of_model)
        return cast(Tensor, self.model(input_ids=tokens, **uncached(self.model), **given).logits)

    @property
    def _dtype_of_model(self) -> torch.dtype:
        return next(self.model.parameters()).dtype

    def new_metrics(self) -> dict[str, Metric]:
        return language_metrics(self.vocab_size, self.datamodule, self.pretrained.kind == "masked")

    def with_derived(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        return with_perplexity(values)

    @torch.no_grad()
    def generate(
        self, tokens: Tensor, prompt_lengths: Tensor | None = None, *, length: int | None = None,
        sampling: Sampling = GREEDY, end: int | None = None, numbers: Tensor | None = None,
        use_cache: bool = True,
    ) -> Tensor:  # fmt: skip
        """Continue prompts, as `modules.sample` does, by default with the likeliest token.

        Args:
            tokens: (B, T'), of which row i begins with a prompt; what follows it is not read.
            prompt_lengths: (B,) tokens of each prompt, in 1..T'; None if all T' belong to it.
            length: T, tokens of the result, at least T'; None for T'.
            sampling: How the next token is chosen; by default it is the likeliest.
            end: The token that ends a sequence; None for none.
            numbers: (B,) whole numbers of the sequences, which decide what is drawn for each.
            use_cache: Whether keys and values are remembered.

        Returns:
            (B, T), the prompts and what follows; less than T if all have ended before.

        Raises:
            ValueError: If the model is not causal, or a prompt is empty.
        """
        if self.pretrained.kind != "causal":
            raise ValueError("generate needs a causal model: a masked one guesses hidden tokens")
        asked = tokens, prompt_lengths, length, self.vocab_size, numbers, end
        checked_sampling(sampling)
        prompts = checked_prompts(*asked)
        given = self._inputs.until(prompts.said)
        cache: Any = None
        n_read = 0

        def scores(said: Tensor) -> Tensor:
            nonlocal cache, n_read
            now = said.shape[1]
            inputs = given(now)
            if "position_ids" in inputs:
                inputs["position_ids"] = inputs["position_ids"][:, n_read:]
            out = self.model(
                input_ids=said[:, n_read:], past_key_values=cache, use_cache=use_cache, **inputs
            )
            if use_cache:
                cache, n_read = out.past_key_values, now
            return cast(Tensor, out.logits[:, -1])

        return continued(prompts, scores, sampling)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out the weights that stay as they are, and say where they are."""
        super().on_save_checkpoint(checkpoint)
        weights = frozen(self, self.thawed_later)
        if self.is_sharded or not weights:
            return  # every rank holds a part of all
        checkpoint[_BASE] = base_record(self.pretrained.name, weights)
        for name in weights:
            checkpoint["state_dict"].pop(name, None)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put in the weights that were left out.

        Raises:
            ValueError: If they have changed.
        """
        super().on_load_checkpoint(checkpoint)
        if (record := checkpoint.get(_BASE)) is None:
            return
        weights = frozen(self, self.thawed_later)
        left_out = {n: w for n, w in weights.items() if n not in checkpoint["state_dict"]}
        check_base(record, self.pretrained.name, left_out)
        checkpoint["state_dict"] = {**checkpoint["state_dict"], **left_out}

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self._check_vocabulary()

    def _check_vocabulary(self) -> None:
        """Refuse data whose numbers stand for other tokens than the model's.

        Raises:
            ValueError: If its vocabulary is not that of the model's tokenizer.
        """
        vocabulary = getattr(self.datamodule, "vocabulary", None)
        if vocabulary is None or self.pretrained.tokenizer is None:
            return
        theirs = vocabulary.pieces if isinstance(vocabulary, Subwords) else None
        if theirs != self.pretrained.tokenizer.get_vocab():
            name = self.pretrained.name
            raise ValueError(
                f"data.vocabulary is not the tokenizer of model.path={name}, whose tokens its "
                f"weights know: set data.vocabulary={name}"
            )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        # What .to(), .bfloat16(), .cuda() … call. Rotary frequencies stay float32 (2411.13476).
        wide = {
            (module, name): buffer
            for module in self.modules()
            for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False)
            if name.endswith("inv_freq")
        }
        super()._apply(fn, recurse)
        for (module, name), buffer in wide.items():
            now = module.get_buffer(name)
            if now.dtype != buffer.dtype:
                setattr(module, name, buffer.to(now.device))
        return self


def _method(name: str) -> Any:
    """The method of that name, with its own defaults.

    Raises:
        ValueError: If there is none.
    """
    known = {kind.name: kind for kind in METHODS}
    if name not in known:
        hint = did_you_mean(name, known, f"choose from {', '.join(known)}")
        raise ValueError(f"model.method={name}: no such method: {hint}")
    return known[name]()


class PretrainedLanguageModel(AdaptedLanguageModel):
    """A causal or masked language model of Hugging Face, read from its files and trained on.

    Args:
        path: A folder of `save_pretrained`, a GGUF file, or owner/name on the hub.
        gguf_file: The name of a GGUF file in the folder.
        dtype: Of the weights.
        attention: "sdpa", or "eager".
        vocab_size: Token ids of the data, which the model must know.
        kwargs: Arguments of `AdaptedLanguageModel`, but `pretrained`.
    """

    def __init__(
        self,
        path: str,
        gguf_file: str | None = None,
        dtype: Dtype = "float32",
        attention: Attention = "sdpa",
        vocab_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        if vocab_size is not None:
            whole(self, "vocab_size", vocab_size)
        try:
            pretrained = read(path, gguf_file=gguf_file, dtype=dtype, attention=attention)
        except Refused as error:
            raise ValueError(f"model.path={error}") from error
        super().__init__(pretrained, **kwargs)
        self.keep_hyperparameters(inspect.currentframe())
        if vocab_size is not None and vocab_size > self.vocab_size:
            raise ValueError(
                f"model.path={path} knows {self.vocab_size} token ids, and the data has "
                f"{vocab_size}: set data.vocabulary={path}"
            )
