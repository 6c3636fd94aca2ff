"""Images, cut into patches.

Shapes: B images, C channels, H and W pixels, P x Q pixels of a patch, R x S patches, N class
tokens, T = N + R·S, D = d_model.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_posenc.checks import MOST_WIDTH, is_a, several, whole
from lightning_posenc.dims import Dims
from lightning_posenc.model.inputs.base import Inputs
from lightning_posenc.positions.places import Places, behind_class_tokens, on_a_grid


class Patches(Inputs):
    """A linear map of each patch's pixels, row by row, behind learned class tokens.

    Source: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", arXiv:2010.11929, equation 1;
    with two class tokens, DeiT (Touvron et al. 2021, arXiv:2012.12877, section 3). Patches stand at
    (row, column), class tokens at (-1, -1), outside the grid. A `SequenceClassifier` of
    pooling=first reads the first class token.

    Args:
        dims: Sizes of the model.
        vocab_size: Nothing: there are no ids.
        patch_size: Pixels on a side of a patch, P = Q, at least 1; or (P, Q).
        n_channels: C, at least 1.
        n_class_tokens: N, at least 0.
        norm: Whether patches pass a layer norm, as in Swin.

    Raises:
        ValueError: On what is not (B, C, H, W), or not made of whole patches.
    """

    def __init__(
        self,
        dims: Dims,
        vocab_size: int | None = None,
        patch_size: int | Sequence[int] = 16,
        n_channels: int = 3,
        n_class_tokens: int = 1,
        norm: bool = False,
    ) -> None:
        super().__init__(dims, vocab_size)
        sides = patch_size if isinstance(patch_size, Sequence) else (patch_size, patch_size)
        down, across = (
            whole(self, "patch_size", side, most=4096)
            for side in several(self, "patch_size", sides, 2)
        )
        self.patch_size = (down, across)
        self.n_channels = whole(self, "n_channels", n_channels, most=MOST_WIDTH)
        self.n_class_tokens = whole(self, "n_class_tokens", n_class_tokens, 0, MOST_WIDTH)
        self.project = nn.Conv2d(n_channels, dims.d_model, self.patch_size, self.patch_size)
        # Pixels of unit variance become tokens at the scale at which encodings start.
        fan_in = self.project.weight[0].numel()
        nn.init.normal_(self.project.weight, std=dims.embed_std / fan_in**0.5)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]
        self.norm = nn.LayerNorm(dims.d_model) if is_a(self, "norm", norm, bool) else nn.Identity()
        self.class_tokens = nn.Parameter(torch.empty(self.n_class_tokens, dims.d_model))
        nn.init.normal_(self.class_tokens, std=dims.embed_std)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map images (B, C, H, W) to (B, T, D)."""
        self._grid(tokens)
        patches = self.norm(self.project(tokens).flatten(2).mT)  # (B, R·S, D)
        leading = self.class_tokens.to(patches.dtype).expand(len(patches), -1, -1)
        return torch.cat((leading, patches), dim=1)

    def places(self, tokens: Tensor) -> Places:
        """Where tokens of images (B, C, H, W) stand: (1, T, 2)."""
        places = on_a_grid(*self._grid(tokens), tokens.device)
        return behind_class_tokens(places, self.n_class_tokens)

    def _grid(self, images: Tensor) -> tuple[int, int]:
        """R and S."""
        down, across = self.patch_size
        if images.dim() != 4 or images.shape[1] != self.n_channels:
            remedy = f": set n_channels={images.shape[1]}, or data.channels" * (images.dim() == 4)
            raise ValueError(
                f"Patches: images must be (B, C, H, W) of n_channels={self.n_channels}, got "
                f"{tuple(images.shape)}{remedy}"
            )
        height, width = images.shape[2:]
        if height < down or width < across or height % down or width % across:
            raise ValueError(
                f"Patches: images of {height} x {width} pixels are not made of whole patches of "
                f"patch_size={list(self.patch_size)}: choose a divisor, or resize them"
            )
        return height // down, width // across
