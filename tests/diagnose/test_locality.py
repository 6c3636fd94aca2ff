"""Near keys against far ones, and the order of two keys elsewhere."""

from functools import partial

import pytest
import torch

from lightning_posenc.diagnose import locality_page
from lightning_posenc.diagnose.examination import examine
from lightning_posenc.diagnose.locality import measure_locality
from lightning_posenc.diagnose.pictures import pictures
from lightning_posenc.positional import (
    DAPE,
    ALiBi,
    Factory,
    LearnedAbsolute,
    NoPE,
    PerLayer,
    RoPE,
)
from tests.diagnose.test_doctor import subject

LENGTHS = (24, 48)
of_lengths = partial(subject, eval_lengths=LENGTHS)


@pytest.mark.parametrize("encoding", [NoPE, LearnedAbsolute, DAPE])
def test_nothing_is_said_where_no_hook_tells_keys_apart_by_their_places(encoding: Factory) -> None:
    """The vectors of places would move along with the keys, and .5 be said of any of them."""
    assert not measure_locality(of_lengths(encoding))


def test_layers_keep_their_numbers() -> None:
    found = measure_locality(of_lengths(PerLayer.of(NoPE, RoPE)))
    assert list(found) == list(LENGTHS)  # the trained one, 12, has too few keys
    for each in found.values():
        assert each.near[0] == [0.5, 0.5]
        assert each.kept[0] == [1.0, 1.0]
        assert all(share < 0.95 for share in each.kept[1])


def test_a_bias_against_distance_prefers_the_nearer_and_keeps_the_order() -> None:
    # In a bidirectional model each head has another slope on either side.
    found = measure_locality(of_lengths(ALiBi))
    assert list(found) == [*LENGTHS]
    for each in found.values():
        assert len(each.near) == 2
        assert all(share > 0.75 for heads in each.near for share in heads)
        assert all(share == pytest.approx(1.0, abs=0.01) for heads in each.kept for share in heads)


def test_a_rotation_loses_the_order_of_keys() -> None:
    torch.manual_seed(0)
    turned = measure_locality(of_lengths(RoPE))[48]
    assert all(0.5 < share < 0.95 for heads in turned.kept for share in heads)


@pytest.mark.slow
def test_the_page_shows_it() -> None:
    e = examine(of_lengths(RoPE))
    rows = dict(locality_page.rows(dict(e.locality)))
    assert rows["length 48"].startswith("a nearer key has the larger logit in 0.")
    assert "Near and far keys, by layer and length" in pictures(e)
