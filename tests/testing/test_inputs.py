"""The judge of inputs, and that ours keep what it asks."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_posenc import Dims
from lightning_posenc.model import Frames, Inputs, Patches, ScaledEmbedding, TokenEmbedding
from lightning_posenc.model.door import checked_tokens
from lightning_posenc.positions import Places
from lightning_posenc.testing import Check, check_input, input_checks
from tests.testing.all_of_ours import assert_all_are_judged
from tests.testing.planted import assert_broken, named

IMAGES = torch.randn(3, 2, 4, 6, generator=torch.Generator().manual_seed(0))
FEATURES = torch.randn(3, 9, 5, generator=torch.Generator().manual_seed(0))
OURS: dict[str, tuple[Any, Tensor | None]] = {
    "token_embedding": (TokenEmbedding, None),
    "scaled_embedding": (ScaledEmbedding, None),
    "patches": (partial(Patches, patch_size=2, n_channels=2), IMAGES),
    "patches-alone": (
        partial(Patches, patch_size=(4, 3), n_channels=2, n_class_tokens=0),
        IMAGES,
    ),
    "frames": (partial(Frames, n_features=5), FEATURES),
    "frames-all": (partial(Frames, n_features=5, subsampling=1), FEATURES),
}


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{name}-{check.name}")
        for name, (make, example) in OURS.items()
        for check in input_checks(make, example)
    ],
)
def test_every_promise_is_kept(check: Check) -> None:
    check()


def test_all_of_ours_are_judged() -> None:
    assert_all_are_judged((make for make, _ in OURS.values()), Inputs)


class Factored(Inputs):
    """A stranger's, without fault: a narrow table, and what makes it wide."""

    def __init__(self, dims: Dims, vocab_size: int | None) -> None:
        super().__init__(dims, vocab_size)
        if vocab_size is None:
            raise ValueError("Factored: vocab_size=None: the data has no token ids")
        self.vocab_size = vocab_size
        self.table = nn.Embedding(vocab_size, 8)
        self.widen = nn.Linear(8, dims.d_model)
        nn.init.normal_(self.table.weight, std=dims.embed_std)
        nn.init.normal_(self.widen.weight, std=8**-0.5)
        nn.init.zeros_(self.widen.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.widen(self.table(checked_tokens(tokens, self.vocab_size)))


class GivesFloats(Factored):
    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens).float()


class LeavesTheLastOut(Factored):
    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens)[:, :-1]


class ReadsAcrossTheBatch(Factored):
    def forward(self, tokens: Tensor) -> Tensor:
        found = super().forward(tokens)
        return found - found.mean(dim=0)


class ReadsItsPadding(Factored):
    reads_lengths = True

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        found = super().forward(tokens)
        return (found + found.roll(-1, dims=1)) / 2**0.5


class PlacesOneMore(Factored):
    def places(self, tokens: Tensor) -> Places:
        return Places(torch.arange(tokens.shape[1] + 1).unsqueeze(0))


class PlacesThemBeyond(Factored):
    def places(self, tokens: Tensor) -> Places:
        return Places(torch.arange(tokens.shape[1]).unsqueeze(0), 0, tokens.shape[1] - 2)


class HasAnIdleParameter(Factored):
    def __init__(self, dims: Dims, vocab_size: int | None) -> None:
        super().__init__(dims, vocab_size)
        self.idle = nn.Parameter(torch.ones(3))


class KeepsNumbersToItself(Factored):
    def __init__(self, dims: Dims, vocab_size: int | None) -> None:
        super().__init__(dims, vocab_size)
        self.more = torch.randn(dims.d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        found = super().forward(tokens)
        return found + self.more.to(found.dtype)


class HoldsALambda(Factored):
    def __init__(self, dims: Dims, vocab_size: int | None) -> None:
        super().__init__(dims, vocab_size)
        self.function = lambda x: x


class StartsAtOne(Factored):
    def __init__(self, dims: Dims, vocab_size: int | None) -> None:
        super().__init__(dims, vocab_size)
        nn.init.normal_(self.table.weight)


class TakesAnyId(Factored):
    def forward(self, tokens: Tensor) -> Tensor:
        return self.widen(self.table(tokens.long() % self.vocab_size))


class EndsInATypeError(Factored):
    def __init__(self, dims: Dims, vocab_size: int | None) -> None:
        super().__init__(dims, vocab_size + 0)  # type: ignore[operator]


FAULTS: dict[type[Inputs], str] = {
    GivesFloats: "shape_and_dtype",
    LeavesTheLastOut: "shape_and_dtype",
    ReadsAcrossTheBatch: "independent_of_the_rest_of_the_batch",
    ReadsItsPadding: "padding_changes_nothing",
    PlacesOneMore: "tokens_stand_where_it_says",
    PlacesThemBeyond: "tokens_stand_where_it_says",
    HasAnIdleParameter: "gradients_reach_every_parameter",
    KeepsNumbersToItself: "state_dict_round_trip",
    HoldsALambda: "survives_copying",
    StartsAtOne: "tokens_start_at_embed_std",
    TakesAnyId: "other_ids_are_refused",
    EndsInATypeError: "data_without_ids_is_refused",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_breaks_the_promise_that_it_is_against(kind: type[Inputs]) -> None:
    assert_broken(input_checks(kind), FAULTS[kind])
    named(input_checks(Factored), FAULTS[kind])()


class Unlooked(Inputs):
    """What takes no ids, and looks at nothing."""

    def __init__(self, dims: Dims, vocab_size: int | None) -> None:
        super().__init__(dims, vocab_size)
        self.project = nn.Linear(4, dims.d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.project(tokens)


def test_every_promise_has_a_fault_against_it() -> None:
    assert {check.name for check in input_checks(Factored)} == set(FAULTS.values())
    frames = torch.randn(3, 5, 4)
    others = {check.name for check in input_checks(Unlooked, frames)}
    assert others - set(FAULTS.values()) == {"other_shapes_are_refused"}
    assert_broken(input_checks(Unlooked, frames), "other_shapes_are_refused")


def test_all_that_is_broken_is_said_at_once() -> None:
    check_input(Factored)
    with pytest.raises(AssertionError, match=r"^[2-9] broken:\nUnlooked "):
        check_input(Unlooked, torch.randn(3, 5, 4))
    with pytest.raises(ValueError, match="make a Inputs"):
        check_input(nn.Linear)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"example=\(1, 5\) must be \(B, …\) of two sequences"):
        check_input(Factored, torch.zeros(1, 5))
