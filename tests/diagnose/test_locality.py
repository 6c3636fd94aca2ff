"""Near keys against far ones, and the order of two keys elsewhere."""

from functools import partial

import pytest
import torch

from lightning_posenc.diagnose import locality_page
from lightning_posenc.diagnose.examination import examine
from lightning_posenc.diagnose.locality import measure_locality
from lightning_posenc.diagnose.pictures import pictures
from lightning_posenc.positional import ALiBi, LearnedAbsolute, NoPE, RoPE
from tests.diagnose.test_doctor import subject

LENGTHS = (24, 48)
of_lengths = partial(subject, eval_lengths=LENGTHS)


def test_without_positions_no_place_is_preferred_and_every_order_is_kept() -> None:
    found = measure_locality(of_lengths(NoPE))
    assert list(found) == list(LENGTHS)  # the trained one, 12, has too few keys
    for each in found.values():
        assert all(share == 0.5 for heads in each.near for share in heads)
        assert all(share == 1.0 for heads in each.kept for share in heads)


def test_a_bias_against_distance_prefers_the_nearer_and_keeps_the_order() -> None:
    # In a bidirectional model each head has another slope on either side.
    for each in measure_locality(of_lengths(ALiBi)).values():
        assert all(share > 0.75 for heads in each.near for share in heads)
        assert all(share == pytest.approx(1.0, abs=0.01) for heads in each.kept for share in heads)


def test_a_rotation_loses_the_order_of_keys_and_vectors_of_places_do_not() -> None:
    torch.manual_seed(0)
    turned = measure_locality(of_lengths(RoPE))[48]
    added = measure_locality(of_lengths(LearnedAbsolute))[48]
    assert all(0.5 < share < 0.95 for heads in turned.kept for share in heads)
    assert all(share == 1.0 for heads in added.kept for share in heads)


@pytest.mark.slow
def test_the_page_shows_it() -> None:
    e = examine(of_lengths(RoPE))
    rows = dict(locality_page.rows(dict(e.locality)))
    assert rows["length 48"].startswith("a nearer key has the larger logit in 0.")
    assert "Near and far keys, by layer and length" in pictures(e)
