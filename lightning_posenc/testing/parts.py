"""What every part of a block must do in a model, be it a mixer or a feed-forward.

Shapes: B sequences, T tokens, D = d_model.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor, nn

from lightning_posenc.model import Encoder
from lightning_posenc.model.part import Part
from lightning_posenc.model.penalties import penalties
from lightning_posenc.testing import whole_models
from lightning_posenc.testing.case import Case
from lightning_posenc.testing.check import Promise, expect
from lightning_posenc.testing.models import encoder, expect_gradients, tokens

Place: TypeAlias = Literal["attention", "feed_forward"]
"""Which part of a block: what it is called there."""


def parts_of(model: Encoder, place: Place) -> list[Part]:
    """The parts at one place, layer by layer."""
    return [cast(Part, getattr(block, place)) for block in model.blocks]


def expect_learning(model: Encoder, place: Place) -> None:
    """Of each parameter of the parts some entry has a gradient, and all are finite; where they ask
    for a penalty, it may be the penalty's.

    Raises:
        AssertionError: Naming the first parameter of which that does not hold.
    """
    parameters = dict(nn.ModuleList(parts_of(model, place)).named_parameters())
    if not parameters:
        return
    out, penalty = model(tokens()).flatten(), penalties(model)
    if penalty is not None:
        out = torch.cat((out, torch.as_tensor(penalty).view(1)))
    expect_gradients(out, parameters)


def expect_small_start(case: Case, causal: bool, place: Place) -> None:
    """What a part adds to the residual stream is at first proportional to `depth_scale`.

    Raises:
        AssertionError: Saying what it is.
    """
    sizes = []
    for depth_scale in (1.0, 0.1):
        torch.default_generator.manual_seed(0)
        model = encoder(case, causal, 1)
        (part,) = parts_of(model, place)
        for module in part.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.2)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        part.initialise(0.2, depth_scale)
        outputs: list[Tensor] = []
        part.register_forward_hook(lambda _, args, out, seen=outputs: seen.append(out))
        model(tokens())
        sizes.append(outputs[0].square().mean().sqrt())
    ratio = (sizes[1] / sizes[0]).item()
    expect(0.05 < ratio < 0.2, f"outputs that shrink by {ratio:.2f} where depth_scale does by 0.1")


LEARNS = Promise("training reaches every parameter", "use it, make it a buffer, or delete it")
STARTS_SMALL = Promise(
    "what it adds starts at depth_scale of its size",
    "call the linear layer that writes into the residual stream `out`, or override "
    "`initialise(std, depth_scale)`",
)
IN_A_MODEL: dict[Callable[..., None], Promise] = {
    whole_models.shape_and_dtype: Promise(
        "outputs have the shape and the dtype of the inputs", "cast back to x.dtype at the end"
    ),
    whole_models.state_dict_round_trip: Promise(
        "a state_dict holds all that the outputs depend on",
        "register what is drawn as an nn.Parameter or a buffer",
    ),
    whole_models.pickle_and_deepcopy: Promise(
        "a model can be saved whole and copied", "keep no lambda as an attribute"
    ),
    whole_models.independent_of_the_rest_of_the_batch: Promise(
        "a sequence does not depend on the others of its batch", "keep the first axis apart"
    ),
    whole_models.checkpointed_activations_change_nothing: Promise(
        "blocks may be computed twice", "change no state in forward, but that of the cache"
    ),
    whole_models.bfloat16_autocast_is_near_float32: Promise(
        "under bfloat16 autocast outputs stay near those in float32",
        "sum over many tokens in float32",
    ),
    whole_models.longer_works_or_names_the_limit: Promise(
        "any length works", "make nothing of a fixed length"
    ),
    whole_models.compiled_equals_eager: Promise(
        "torch.compile gives the same outputs and gradients",
        "let no Python branch depend on a tensor's values",
    ),
}
