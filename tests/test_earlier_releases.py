"""Classes that a checkpoint of release 0.1 names: where they are now, or what to do."""

import pytest

from lightning_posenc.compat.earlier_releases import of_today


def test_what_moved_is_found_and_what_is_gone_says_what_to_do() -> None:
    here = "lightning_posenc.positional.rotary.scaling.by_parts.YaRN"
    old = {"scaling": ["lightning_posenc.positional.scaling.by_parts.YaRN", 2, None]}
    assert of_today(old) == {"scaling": [here, 2, None]}
    for path in ("positional", "positional.compose.randomized_distances"):
        config = {"positional": {"class_path": f"lightning_posenc.{path}.RandomizedDistances"}}
        with pytest.raises(ValueError, match="it is a sampler now: train again"):
            of_today(config)
    mine = {"name": "RandomizedDistances", "positional": "mine.RandomizedDistances"}
    assert of_today(mine) == mine
