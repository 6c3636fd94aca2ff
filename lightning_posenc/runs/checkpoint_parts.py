"""What a checkpoint must hold, before Lightning relies on it."""

from typing import Any

import torch

_OF_A_RUN: dict[str, type] = {"global_step": int, "epoch": int, "pytorch-lightning_version": str}
_LOOPS = ("fit_loop", "validate_loop", "test_loop", "predict_loop")
_PROGRESS = {"epoch_progress", "epoch_loop.batch_progress"}  # of a fit loop


def lacks(contents: Any, resumes: bool, is_sharded: bool) -> str | None:
    """What a checkpoint has not that it should have; None if it has everything.

    Args:
        contents: What `checkpoint_files.read` returns.
        resumes: Whether a run is to go on from it.
        is_sharded: Whether weights and optimizer lie in other files.
    """
    if not isinstance(contents, dict):
        return "it holds no mapping"
    for key, kind in (_OF_A_RUN | ({} if is_sharded else {"state_dict": dict})).items():
        if found := _other(contents, key, kind):
            return found
    if contents["global_step"] < 0:
        return f"global_step is {contents['global_step']}"
    # Lightning restores them for every command, where they are there.
    for key in ("callbacks", "loops"):
        if contents.get(key) is not None and (found := _other(contents, key, dict)):
            return found
    if contents.get("loops") is not None:
        for loop in _LOOPS:
            if found := _other(contents["loops"], loop, dict):
                return f"loops: {found}"
    if resumes and (found := _no_start(contents, is_sharded)):
        return found
    return None if is_sharded else _no_weights(contents["state_dict"])


def _no_start(contents: dict[str, Any], is_sharded: bool) -> str | None:
    """What a run would need to go on."""
    if found := _other(contents, "loops", dict):
        return found
    if not contents["loops"]["fit_loop"].keys() >= _PROGRESS:
        return "it does not say how far the training was"
    parts: dict[str, set[str]] = {"lr_schedulers": set()}
    if not is_sharded:
        parts["optimizer_states"] = {"state", "param_groups"}
    for key, needs in parts.items():
        if found := _other(contents, key, list):
            return found
        for state in contents[key]:
            if not isinstance(state, dict) or not state.keys() >= needs:
                return f"{key} holds no state"
    if not is_sharded and not contents["optimizer_states"]:
        return "it holds no state of an optimizer"
    return None


def _other(contents: dict[str, Any], key: str, kind: type) -> str | None:
    if key not in contents:
        return f"no {key}"
    if isinstance(contents[key], kind):
        return None
    return f"{key} is {type(contents[key]).__name__}, not {kind.__name__}"


def _no_weights(state: dict[Any, Any]) -> str | None:
    if unnamed := [key for key in state if not isinstance(key, str)]:
        return f"its state_dict has a weight that is called {unnamed[0]!r}"
    tensors = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        return "its state_dict holds no weights"
    for key, value in tensors.items():
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            return f"{key} stands for more numbers than the file holds"
        if value.is_floating_point() and value.isnan().any():
            return f"{key} holds NaN: the run diverged, or the file was changed"
    return None
