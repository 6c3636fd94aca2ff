"""Encodings of rows and columns, beside others' code."""

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import Swinv2Config
from transformers.models.swin.modeling_swin import SwinRelativePositionBias
from transformers.models.swinv2.modeling_swinv2 import Swinv2SelfAttention
from transformers.models.vitdet.modeling_vitdet import add_decomposed_relative_positions

from lightning_posenc.positional import DecomposedRelative, LogCPB, SwinBias
from tests.peers.base import B, D, H, K, bias, dims, peer

ROWS, COLUMNS = 4, 5
T = ROWS * COLUMNS
PLACES = torch.cartesian_prod(torch.arange(ROWS), torch.arange(COLUMNS)).unsqueeze(0)


@peer("SwinBias", "transformers SwinRelativePositionBias")
def swin_bias() -> Iterator[tuple[Tensor, Tensor]]:
    theirs = SwinRelativePositionBias(H, (ROWS, COLUMNS))
    torch.nn.init.normal_(theirs.relative_position_bias_table)
    encoding = SwinBias(dims(), ROWS, COLUMNS)
    table = theirs.relative_position_bias_table.data.t()
    encoding.table.data[0] = table.view(H, 2 * ROWS - 1, 2 * COLUMNS - 1)
    q = torch.randn(B, H, T, K)
    yield bias(encoding, q, q, PLACES), theirs()


@peer("LogCPB", "transformers Swinv2SelfAttention")
def log_cpb() -> Iterator[tuple[Tensor, Tensor]]:
    """Of queries of zeros, which leave the bias alone; a window like and unlike the trained one."""
    q = torch.zeros(B, H, 16, K)
    places = torch.cartesian_prod(torch.arange(4), torch.arange(4)).unsqueeze(0)
    for trained in (4, 3):
        config = Swinv2Config(qkv_bias=False)
        theirs = Swinv2SelfAttention(config, D, H, 4, [trained, trained]).eval()
        torch.nn.init.zeros_(theirs.query.weight)
        encoding = LogCPB(dims(), trained)
        hidden, _, out = theirs.continuous_position_bias_mlp
        encoding.hidden[0].load_state_dict(hidden.state_dict())
        encoding.out[0].load_state_dict(out.state_dict())
        _, weights = theirs(torch.randn(B, 16, D), output_attentions=True)
        ours = bias(encoding, q, q, places).softmax(dim=-1)
        yield ours.expand_as(weights), weights


@peer("DecomposedRelative", "transformers add_decomposed_relative_positions (ViTDet)")
def decomposed() -> Iterator[tuple[Tensor, Tensor]]:
    encoding = DecomposedRelative(dims(), COLUMNS)
    q = torch.randn(B, H, T, K)
    (rows, columns) = encoding.table[0].detach()
    cut = COLUMNS - ROWS
    theirs = add_decomposed_relative_positions(
        torch.zeros(B * H, T, T), q.flatten(0, 1), rows[cut:-cut], columns, *[(ROWS, COLUMNS)] * 2
    )
    yield bias(encoding, q, q, PLACES), theirs.view(B, H, T, T)
