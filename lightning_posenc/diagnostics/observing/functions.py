"""Watch the functions by which anybody's model computes attention.

Three ways are known: `scaled_dot_product_attention`; a product of two activations, a softmax, and a
product with a third, as "eager" implementations do; `nn.MultiheadAttention`.

Shapes: B sequences, H heads, G key-value heads, T queries, S keys, K channels of a head.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from lightning_posenc.compat.torch import WeakIdKeyDictionary
from lightning_posenc.diagnostics.observing.multi_head import operands_of_multi_head
from lightning_posenc.masks import Causal, Mask, Visibility
from lightning_posenc.model.kernels import Operands

_PRODUCTS = {"matmul": (0, 1), "__matmul__": (0, 1), "bmm": (0, 1), "baddbmm": (1, 2)}
_OPERANDS = ("batch1", "batch2")  # their names in baddbmm


class AttentionWatch(TorchFunctionMode):
    """Tells of every attention that is computed while the mode is on.

    It runs each function as it is and looks at what went in and came out.

    Args:
        tell: Is called with the operands of each.
    """

    def __init__(self, tell: Callable[[Operands], None]) -> None:
        super().__init__()
        self.tell = tell
        self._scores: Any = WeakIdKeyDictionary()  # tensor -> (q, k) that it is a product of
        self._weights: Any = WeakIdKeyDictionary()  # tensor -> what its softmax was taken of

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if func is F.scaled_dot_product_attention:
            self.tell(operands_of_sdpa(*args, **kwargs))
        elif func is F.multi_head_attention_forward:
            self.tell(operands_of_multi_head(*args, **kwargs))
        elif func is torch.einsum:
            self._einsum(out, *args)
        elif name in _PRODUCTS:
            self._product(out, *_operands(name, args, kwargs))
        elif isinstance(out, Tensor):
            self._follow(name, out, [*args, *kwargs.values()])
        return out

    def _product(self, out: Tensor, left: Tensor, right: Tensor) -> None:
        if left in self._weights:
            self.tell(operands_of_softmax(self._weights[left], right))
        elif out.dim() > 2 and left.dim() == right.dim():
            self._scores[out] = (left, right.transpose(-2, -1))

    def _einsum(self, out: Tensor, equation: Any, *operands: Any) -> None:
        """A product of queries (…, i, d) and keys (…, j, d), or of weights (…, i, j) and values."""
        if not isinstance(equation, str) or len(operands) != 2:
            return
        (left, right), (wanted, of_keys) = operands, _terms(equation)[:2]
        if left in self._weights:
            self.tell(operands_of_softmax(self._weights[left], right))
        elif out.dim() > 2 and left.dim() == right.dim() and wanted[-1] == of_keys[-1]:
            self._scores[out] = (left, right)

    def _follow(self, name: str, out: Tensor, inputs: list[Any]) -> None:
        """Know scores and weights again after a scaling, a mask, a cast, a reshape, a dropout."""
        for x in inputs:
            if not isinstance(x, Tensor) or x.numel() != out.numel():
                continue
            if x in self._scores:
                if name == "softmax":
                    q, k = self._scores[x]
                    self._weights[out] = Softmax(q, k, x)
                else:
                    self._scores[out] = self._scores[x]
            elif x in self._weights:
                self._weights[out] = self._weights[x]


class Softmax(NamedTuple):
    """A softmax over the product of q and k, as an "eager" implementation takes it."""

    q: Tensor
    k: Tensor
    logits: Tensor


def _terms(equation: str) -> list[str]:
    return equation.replace(" ", "").replace("->", ",").split(",")


def _operands(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    first, second = _PRODUCTS[name]
    named = [value for key, value in kwargs.items() if key in (*_OPERANDS, "mat2", "other")]
    positional = [x for index, x in enumerate(args) if index in (first, second)]
    left, right = (*positional, *named)
    return left, right


def operands_of_sdpa(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Operands:
    """The operands of a call of `scaled_dot_product_attention`, whose arguments these are."""
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    visible: Tensor | Mask | None = None
    bias = None
    n_queries, n_keys = query.shape[-2], key.shape[-2]
    if is_causal and n_queries == n_keys:
        visible = Causal()
    elif is_causal:  # torch counts queries and keys from the same start
        visible = torch.ones(n_queries, n_keys, dtype=torch.bool, device=query.device).tril()
    elif attn_mask is not None:
        bias, visible = split_mask(attn_mask)
    if isinstance(visible, Tensor):
        visible = _four(visible).expand(-1, -1, n_queries, n_keys)
    q, k, v = (_four(x) for x in (query, key, value))
    n_sequences = q.shape[0]
    return Operands(
        q,
        k.expand(n_sequences, -1, -1, -1),
        v.expand(n_sequences, -1, -1, -1),
        None if bias is None else _four(bias).expand(-1, -1, n_queries, n_keys),
        Visibility(visible, n_queries, n_keys, q.device),
        rescore=None,
        scale=scale,
    )


def operands_of_softmax(softmax: Softmax, value: Tensor) -> Operands:
    """The operands of a softmax of logits; they stand for themselves: `rescore` gives them back."""
    logits = _four(softmax.logits)
    _, visible = split_mask(logits)

    def as_computed(_: Tensor) -> Tensor:
        return logits if visible is None else logits.masked_fill(~visible, -torch.inf)

    leading = logits.shape[:2]
    q, k, v = (_with_heads(x, leading) for x in (softmax.q, softmax.k, value))
    visibility = Visibility(visible, logits.shape[2], logits.shape[3], q.device)
    return Operands(q, k, v, None, visibility, as_computed, q.shape[-1] ** -0.5)


def split_mask(added: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Part what is added to logits into a bias and who is visible, either None if it says nothing.

    Hidden keys bear -inf or, as Hugging Face writes it, the least finite number of a dtype.
    """
    if added.dtype == torch.bool:
        return None, added
    visible = added > torch.finfo(added.dtype).min / 2
    bias = added.masked_fill(~visible, 0.0)
    if visible.dim() == 4 and bool((visible == visible[:, :1]).all()):
        visible = visible[:, :1]
    return bias if bool(bias.any()) else None, None if bool(visible.all()) else visible


def _four(x: Tensor) -> Tensor:
    """Four dimensions: what lacks them is one sequence, and then one head."""
    if x.dim() > 4:
        raise ValueError(f"attention over {x.dim()} dimensions is not known: {tuple(x.shape)}")
    return x[(None,) * (4 - x.dim())]


def _with_heads(x: Tensor, leading: torch.Size) -> Tensor:
    """Operands (B·H, T, K) of a batched product as (B, H, T, K), if the logits have B and H."""
    if x.dim() == 3 and len(x) == leading.numel():
        return x.unflatten(0, leading)
    return _four(x)


def refuse_fast_path(module: nn.Module, args: Any) -> None:
    """Refuse what torch would compute in one fused call, and otherwise if it were watched.

    Raises:
        ValueError: If `nn.TransformerEncoder`'s fast path may be taken: in evaluation, without
            gradients.
    """
    graded = torch.is_grad_enabled() and any(p.requires_grad for p in module.parameters())
    if not module.training and not graded and torch.backends.mha.get_fastpath_enabled():
        raise ValueError(
            f"torch's fused fast path of {type(module).__name__} cannot be observed: call "
            "torch.backends.mha.set_fastpath_enabled(False) first, and both runs, observed or "
            "not, take the path that can be"
        )
