"""How large what is judged is made: as small as shows what is promised."""

from lightning_posenc.dims import Dims

D_MODEL, N_HEADS, BATCH, LENGTH = 32, 4, 3, 10
AFFORDABLE = 599  # tokens; whoever serves more is not asked where it ends


def dims(causal: bool, n_layers: int = 2) -> Dims:
    """Sizes of a tiny model."""
    return Dims(D_MODEL, N_HEADS, n_layers, causal)
