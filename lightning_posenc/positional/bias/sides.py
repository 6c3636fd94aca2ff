"""Whether a bias of distance tells the past from the future."""

from typing import Literal, TypeAlias, get_args

from lightning_posenc.checks import one_of
from lightning_posenc.dims import Dims

Form: TypeAlias = Literal["symmetric", "two_sided"]


def chosen_form(of: object, form: Form | None, dims: Dims) -> Form:
    """Give the form back, or in place of None the one that tells left from right.

    In a causal model that is the symmetric one: the mask hides the future.

    Raises:
        ValueError: If it is none of them.
    """
    one_of(of, "form", form, (*get_args(Form), None))
    return form or ("symmetric" if dims.causal else "two_sided")


def mirrored_form(of: object, form: Form | None, dims: Dims) -> Form:
    """The same for an encoding that gives keys in the future the mirrored head's values.

    Raises:
        ValueError: For the two-sided form with a single head, which would be symmetric.
    """
    form = chosen_form(of, form, dims)
    if form == "two_sided" and dims.n_heads == 1:
        raise ValueError(
            f"{type(of).__name__}: the two-sided form tells left from right by mirrored heads and "
            "needs n_heads >= 2; use more heads or form=symmetric"
        )
    return form
