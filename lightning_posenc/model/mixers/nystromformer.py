"""Attention through landmarks, each the mean of a stretch of tokens.

Shapes: B sequences, T tokens, L of them before padding, H heads, K channels of a head, D = H·K,
M landmarks.
"""

from functools import partial

import torch
from torch import Tensor, nn

from lightning_posenc.checks import whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.model.linear import Stacked
from lightning_posenc.model.mixers import hooks
from lightning_posenc.model.mixers.base import Context, Growth, Mixer
from lightning_posenc.model.mixers.low_rank import read_product
from lightning_posenc.positions.paper import Paper


class Nystromformer(Mixer):
    """softmax(q k~^T) Z softmax(q~ k^T) v + conv(v), where Z inverts softmax(q~ k~^T).

    q~ and k~ are the means of M stretches of the L tokens, whose lengths differ by one at most; no
    more tokens than landmarks attend exactly. Z is an iterated pseudo-inverse. The convolution, one
    of each head over its values' neighbours in the row, knows order without any encoding.

    Source: Xiong et al. 2021, arXiv:2102.03902, section 3 and figure 2. Deviations: stretches are
    of each sequence's own tokens, padding left out, and need not divide them; Z starts at A^T over
    its own largest column sum, not that of the batch.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        n_landmarks: M.
        n_iterations: Steps of the pseudo-inverse.
        conv_width: Tokens that the convolution of values reads, odd; None for no convolution.
        bias: Whether the projections of queries, keys, values and into the stream have a bias.

    Raises:
        ValueError: If the convolution has no middle.
    """

    hooks = frozenset({"transform", "values", "output"})
    serves = frozenset({"bidirectional", "padding"})
    source = Paper(
        "Xiong et al.",
        2021,
        "Nyströmformer: A Nyström-Based Algorithm for Approximating Self-Attention",
        "2102.03902",
        "section 3",
    )
    equation = (
        r"o = \operatorname{softmax}(q \tilde k^{\top})\, Z \operatorname{softmax}(\tilde q"
        r" k^{\top})\, v"
        r" + \operatorname{conv}(v), \quad Z \approx \operatorname{softmax}(\tilde q \tilde"
        r" k^{\top})^{+}"
    )
    growth = Growth(time="T", memory="T")

    def __init__(
        self,
        dims: Dims,
        layer: int,
        *,
        n_landmarks: int = 64,
        n_iterations: int = 6,
        conv_width: int | None = 33,
        bias: bool = True,
    ) -> None:
        super().__init__(dims, layer)
        self.n_landmarks = whole(self, "n_landmarks", n_landmarks, most=4096)
        self.n_iterations = whole(self, "n_iterations", n_iterations, most=100)
        d_model, n_heads = dims.d_model, dims.n_heads
        self.qkv = Stacked(d_model, {"q": d_model, "k": d_model, "v": d_model}, bias=bias)
        self.conv: nn.Conv2d | None = None
        if conv_width is not None:
            if whole(self, "conv_width", conv_width, most=4095) % 2 == 0:
                raise wrong(self, "conv_width", conv_width, "be odd: a token stands in the middle")
            self.conv = nn.Conv2d(
                n_heads, n_heads, (conv_width, 1), padding=(conv_width // 2, 0), groups=n_heads,
                bias=False,
            )  # fmt: skip
        self.out = nn.Linear(d_model, d_model, bias=bias)

    def initialise(self, std: float, depth_scale: float) -> None:
        super().initialise(std, depth_scale)
        if self.conv is not None:
            self.conv.reset_parameters()

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Mix (B, T, D) over the tokens: (B, T, D)."""
        q, k, v = self.qkv.heads(x, self.dims.d_head)
        site = context.site(self.layer, x, x, q, k, v)
        q, k = hooks.transformed(context.positional, site)
        v = hooks.values(context.positional, site)
        real = context.real_tokens()
        if real is not None:
            v = v.masked_fill(~real[:, None, :, None], 0.0)
        with torch.autocast(x.device.type, enabled=False):
            left, right = self._factors(q, k, real, context.q_places.lengths)
            mixed = (left @ (right @ v.to(left.dtype))).to(v.dtype)
        read = partial(read_product, left, right)
        mixed = hooks.output(context.positional, site._replace(read_weights=read), mixed)
        if self.conv is not None:
            mixed = mixed + self.conv(v)
        return self.out(mixed.transpose(1, 2).flatten(-2).to(x.dtype))

    def _factors(
        self, q: Tensor, k: Tensor, real: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Whose product are the weights: (B, H, T, M) and (B, H, M, T), in float32 or float64."""
        n_tokens = q.shape[2]
        n_marks = min(self.n_landmarks, n_tokens)
        dtype = torch.promote_types(q.dtype, torch.float32)
        q, k = q.to(dtype) * self.dims.d_head**-0.5, k.to(dtype)
        of_each = torch.full((1,), n_tokens, device=q.device) if lengths is None else lengths
        means, marked = stretches(of_each, n_tokens, n_marks)  # (B|1, M, T) and (B|1, M)
        means, marked = means.unsqueeze(1).to(dtype), marked[:, None, None]
        q_marks, k_marks = means @ q, means @ k
        left = _softmax(q @ k_marks.mT, marked)
        exact = torch.eye(n_marks, n_tokens, dtype=dtype, device=q.device)
        if lengths is None and n_tokens <= self.n_landmarks:  # each token is its own landmark
            return left, exact
        core = _softmax(q_marks @ k_marks.mT, marked) * marked.mT
        seen = None if real is None else real[:, None, None]
        right = pseudo_inverse(core, self.n_iterations) @ _softmax(q_marks @ k.mT, seen)
        if lengths is not None:
            right = torch.where((lengths <= n_marks)[:, None, None, None], exact, right)
        return left, right


def stretches(lengths: Tensor, n_tokens: int, n_marks: int) -> tuple[Tensor, Tensor]:
    """Means over stretches of each sequence, min(M, L) of them: token i is in number i·M // L.

    Args:
        lengths: (B,) L.
        n_tokens: T.
        n_marks: M.

    Returns:
        (B, M, T) what each token weighs in each mean, and (B, M) bool, which are of any token.
    """
    lengths = lengths.unsqueeze(1)
    places = torch.arange(n_tokens, device=lengths.device)
    number = places * lengths.clamp(max=n_marks) // lengths.clamp(min=1)  # (B, T)
    number = number.masked_fill(places >= lengths, n_marks)  # padding is in none
    belongs = number.unsqueeze(1) == torch.arange(n_marks, device=lengths.device).unsqueeze(1)
    counts = belongs.sum(dim=-1, keepdim=True)
    return belongs / counts.clamp(min=1), counts.squeeze(-1) > 0


def pseudo_inverse(matrix: Tensor, n_iterations: int) -> Tensor:
    """The limit of Z (13 I - A Z (15 I - A Z (7 I - A Z))) / 4, some steps on the way to it.

    It starts at A^T over A's largest column sum. Source: Xiong et al. 2021, section 3.

    Args:
        matrix: A, (…, M, M), whose rows sum to 1 or are 0.
        n_iterations: How many steps.
    """
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    largest = matrix.sum(dim=-2, keepdim=True).amax(dim=-1, keepdim=True)
    inverse = matrix.mT / largest.clamp(min=torch.finfo(matrix.dtype).tiny)
    for _ in range(n_iterations):
        product = matrix @ inverse
        inverse = inverse @ (13 * eye - product @ (15 * eye - product @ (7 * eye - product))) / 4
    return inverse


def _softmax(logits: Tensor, seen: Tensor | None) -> Tensor:
    """Over the last axis, of which what is not seen weighs 0; all of it, where nothing is seen."""
    if seen is None:
        return logits.softmax(dim=-1)
    lowest = torch.finfo(logits.dtype).min
    return logits.masked_fill(~seen, lowest).softmax(dim=-1) * seen
