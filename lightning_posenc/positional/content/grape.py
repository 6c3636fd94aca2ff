"""Group representational encoding, additive, along a path.

Shapes: B sequences, T queries, S keys, H heads, W channels of a state, D = d_model.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import MOST_WIDTH, whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.bias.alibi import slopes
from lightning_posenc.positional.rotary.base import Rotation, rotate, rotation
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import Places


class GRAPEAP(PositionalEncoding):
    """Every token between a key and a query fades the key, by as much as the query says.

    bias_h(i, j) = m_h · sum over l = j+1..i of log sigmoid(p_i · R_l p_l / W), p a learned state.

    p_l is divided by its root mean square and turned by l radians in every pair of channels; p_i
    is neither, as in the authors' code, so that what a query makes of the tokens between depends
    on where they stand. m_h are the slopes of ALiBi. A forget gate that depends on the token
    alone is FoX, one that is constant is ALiBi.

    Source: Zhang et al. 2025, "Group Representational Position Encoding", arXiv:2512.07805, its
    GRAPE-AP, in the form of the authors' code, which turns clockwise.

    Args:
        dims: Sizes of the model, which must be causal.
        width: W, even, 2 to 65536; 8 in the paper's models.

    Raises:
        ValueError: In a bidirectional model, or if width is odd.

    Example:
        >>> from lightning_posenc import Dims, Encoder
        >>> from lightning_posenc.positional import GRAPEAP
        >>> encoder = Encoder(Dims(64, 4, 2, causal=True), GRAPEAP)
    """

    source = Paper("Zhang et al.", 2025, "Group Representational Position Encoding", "2512.07805")
    equation = (
        r"b_h(i, j) = m_h \sum_{l=j+1}^{i} \ln \sigma\!\left( \frac{p_i \cdot R_l\, p_l}{W} \right)"
    )

    reads_inputs = True

    crosses = False

    def __init__(self, dims: Dims, width: int = 8) -> None:
        super().__init__(dims)
        if not dims.causal:
            raise ValueError(
                "GRAPEAP: fades what lies between a query and its past, and says nothing of the "
                "future: use a causal model"
            )
        if whole(self, "width", width, 2, MOST_WIDTH) % 2:
            raise wrong(self, "width", width, "be even: pairs of channels turn")
        self.width = width
        shape = dims.n_layers, dims.n_heads, width, dims.d_model
        self.state = nn.Parameter(torch.empty(shape))
        nn.init.normal_(self.state, std=dims.d_model**-0.5)

    def prepare(self, q_places: Places, k_places: Places) -> Rotation:
        angles = k_places.values.float()[:, None, :, None].expand(-1, -1, -1, self.width // 2)
        return rotation(angles.cos(), -angles.sin(), "half")

    def bias(self, site: Site) -> Tensor:
        state = self.state[site.layer].float()
        with torch.autocast(site.x.device.type, enabled=False):
            p = F.linear(site.k_x.float(), state.flatten(0, 1))
            p = p.unflatten(-1, state.shape[:2]).transpose(1, 2)  # (B, H, S, W)
            start = p.shape[2] - site.q.shape[2]  # the queries are the last of the keys
            turned = rotate(F.rms_norm(p, p.shape[-1:]), site.prepared)
            agreement = p[:, :, start:] @ turned.mT / self.width
            fading = F.logsigmoid(agreement).tril(start)  # (B, H, T, S): l <= i
            after = fading.flip(-1).cumsum(dim=-1).flip(-1) - fading
            per_head = torch.tensor(
                slopes(self.dims.n_heads), dtype=torch.float32, device=after.device
            )
            return after * per_head.view(-1, 1, 1)
