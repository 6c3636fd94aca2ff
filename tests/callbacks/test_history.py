"""The table of what was measured."""

import json
import math

import torch

from lightning_posenc.callbacks.history import History
from lightning_posenc.diagnostics.metric_keys import word_of


def test_columns_rows_and_layers() -> None:
    history = History()
    assert history.last_step == -1
    history.add(0, {f"a/{word_of(0)}/head_0": 1.0, f"a/{word_of(0)}/head_1": 3.0})
    history.add(5, {f"a/{word_of(0)}/head_0": 2.0, f"a/{word_of(11)}/head_0": 7.0, "b": 4.0})
    assert history.last_step == 5
    layers = history.layers("a")
    assert list(layers) == [0, 11]
    assert list(layers[0]) == [0, 1]
    assert layers[0][0] == [1.0, 2.0]
    assert math.isnan(layers[0][1][1])
    assert math.isnan(layers[11][0][0])
    assert history.layers("b") == history.layers("c") == {}
    written = json.loads(json.dumps(history.as_json(), allow_nan=False))
    assert written["step"] == [0, 5]
    assert written["b"] == [None, 4.0]


def test_means_within_layers_that_differ_in_number() -> None:
    history = History()
    history.add(
        0, {"a/layer_00/plane_0": 1.0, "a/layer_00/plane_1": 3.0, "a/layer_01/plane_0": 5.0}
    )
    torch.testing.assert_close(history.by_layer("a/plane"), torch.tensor([[2.0], [5.0]]))


def test_survives_a_checkpoint() -> None:
    history, again = History(), History()
    history.add(3, {"x": 1.0})
    again.load_state_dict(history.state_dict())
    again.add(6, {"x": 2.0})
    assert again.columns == {"x": [1.0, 2.0]}
    assert history.columns == {"x": [1.0]}
