"""What is relied on of torch without its promise.

Each function is one reach; tests/compat holds a canary for each, which says what broke.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

__all__ = [
    "WeakIdKeyDictionary",
    "changes",
    "denormals_flushed",
    "flash_backward",
    "flash_with_lse",
    "has_flash",
    "in_backward",
    "infers_on_cpu",
    "is_compiled",
    "is_mapped",
    "is_overridden",
    "is_transformed",
    "modes_of_compile",
    "saving",
    "start_afresh",
    "steps_unscaled",
    "store_of_group",
]


def in_backward() -> bool:
    """Whether a backward pass runs, in which checkpointed blocks compute once more."""
    return torch._C._current_graph_task_id() != -1


def is_overridden() -> bool:
    """Whether a mode overrides torch's functions, as a default device does."""
    return torch._C._len_torch_function_stack() > 0


def modes_of_compile() -> list[str]:
    """Give the names of `torch.compile`'s modes."""
    from torch._inductor import list_mode_options  # which takes a second to import

    return ["default", *list_mode_options()]


def is_compiled(module: nn.Module) -> bool:
    """Whether `torch.compile(module)` or `module.compile()` made it run compiled."""
    return hasattr(module, "_orig_mod") or module._compiled_call_impl is not None


def is_transformed(tensor: Tensor) -> bool:
    """Whether `torch.func` maps over a tensor, so that it stands for many."""
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def is_mapped(tensor: Tensor) -> bool:
    """Whether `torch.func.vmap` maps over a tensor, with no other transform around that."""
    return torch._C._functorch.is_batchedtensor(tensor)


def steps_unscaled(optimizer: Any) -> bool:
    """Whether the optimizer's fused step takes scaled gradients; wrappers hand that on."""
    return getattr(optimizer, "_step_supports_amp_scaling", False)


def changes(tensor: Tensor) -> int:
    """Give the number of times that a tensor was changed in place."""
    return tensor._version


def saving() -> tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]] | None:
    """Give what becomes of a tensor that is saved for the backward pass, and how it comes back.

    Of nested `saved_tensors_hooks` torch calls the innermost alone, who has to hand on to the next.

    Returns:
        The innermost hooks, which change nothing if there are none; None where hooks are refused,
        as inside `torch.func`'s transforms.
    """
    if torch._C._autograd._saved_tensors_hooks_get_disabled_error_message() is not None:
        return None
    found = torch._C._autograd._top_saved_tensors_default_hooks(True)
    return found or (_unchanged, _unchanged)


def _unchanged(saved: Any) -> Any:
    return saved


def start_afresh(module: nn.Module) -> None:
    """Let a module whose forward pass raised an error start the next one afresh.

    Only one whose parameters are sharded (FSDP2) remembers. Call it on every rank.
    """
    reset = getattr(module, "reset_iter_state", None)  # torch < 2.13 knows no such thing
    if reset is not None:
        reset()


def store_of_group() -> Any:
    """Give the store by which the processes of the default group have found each other."""
    return torch.distributed.distributed_c10d._get_default_store()


def has_flash() -> bool:
    """Whether torch has a fused kernel for the CPU that tells its log-sum-exp."""
    return hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Within, numbers below float32's least normal one, 1.2e-38, count as 0 in this thread.

    Weights of attention fall through them where a bias grows with distance, and an Intel processor
    is slow at them: the gradients of ALiBi's attention took four times as long at 2048 tokens.
    torch does not say whether it flushes; Python's own numbers tell it.
    """
    least = sys.float_info.min
    was = least / 2 == 0
    if not was:
        torch.set_flush_denormal(True)
    try:
        yield
    finally:
        if not was:
            torch.set_flush_denormal(False)


def infers_on_cpu(x: Tensor) -> bool:
    """Whether x is computed with on a CPU in inference mode, and no graph is being made."""
    # Asked first: what is asked next breaks a graph.
    return (
        not torch.compiler.is_compiling()
        and torch.is_inference_mode_enabled()
        and x.device.type == "cpu"
    )


def flash_with_lse(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    is_causal: bool,
    scale: float,
    added: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Attend on the CPU by the fused kernel, which tells its log-sum-exp too: where `has_flash`.

    FlexAttention tells it publicly, but materialises the logits on the CPU.

    Args:
        q: (B, H, T, K) in float32.
        k: (B, H, S, K).
        v: (B, H, S, K).
        is_causal: Whether queries see only their past; then T = S.
        scale: Factor on q·k.
        added: (B|1, H|1, T|1, S) float32 (float64 if q is), added to the logits, which torch's own
            function refuses beside `is_causal`.

    Returns:
        The mixed values (B, H, T, K) and the LSE (B, H, T).
    """
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    q, k, v = (in_rows(x) for x in (q, k, v))
    with denormals_flushed():
        mixed, lse = kernel(q, k, v, 0.0, is_causal, attn_mask=added, scale=scale)
    return mixed, lse


def in_rows(x: Tensor) -> Tensor:
    """The same numbers, those of a row next to each other: torch's fused kernel for the CPU reads
    them so without a look at their strides, which its public function sees to.
    """
    return x if x.stride(-1) == 1 else x.contiguous()


def flash_backward(
    gradient: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mixed: Tensor,
    lse: Tensor,
    is_causal: bool,
    scale: float,
    added: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of q, k and v. Where k and v are some of all keys, they are a part of these.

    Args:
        gradient: (B, H, T, K) of `mixed`.
        q: As `flash_with_lse` had it; so are k, v, is_causal, scale and added.
        k: See there.
        v: See there.
        mixed: (B, H, T, K) what all keys made.
        lse: (B, H, T) of all keys.
        is_causal: See there.
        scale: See there.
        added: See there.
    """
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    given = *(in_rows(x) for x in (gradient, q, k, v)), mixed, lse
    with denormals_flushed():
        of_q, of_k, of_v = kernel(*given, 0.0, is_causal, attn_mask=added, scale=scale)
    return of_q, of_k, of_v
