import torch
from lightning.fabric.utilities.apply_func import move_data_to_device

from lightning_posenc.data import Batch


def test_moves_to_a_device_with_its_missing_fields():
    focus, numbers = torch.ones(2, 2).long()
    batch = Batch(torch.zeros(2, 3).long(), torch.ones(2).long(), focus=focus, numbers=numbers)
    moved = move_data_to_device(batch, torch.device("meta"))
    assert type(moved) is Batch
    assert moved.tokens.device == moved.targets.device == moved.focus.device == torch.device("meta")
    assert moved.lengths is moved.documents is moved.positions is None
    assert moved.numbers is numbers  # drawn from on the CPU: a GPU would have to be waited for


def test_only_tokens_and_targets_are_needed():
    batch = Batch(torch.zeros(1, 1), torch.zeros(1))
    assert batch[2:] == (None, None, None, None, None)
