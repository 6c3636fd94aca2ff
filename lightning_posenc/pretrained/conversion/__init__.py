"""Our encoders to and from the families of Hugging Face: one table of names a family."""

from lightning_posenc.pretrained.conversion.families import FAMILIES, to_ours, to_theirs
from lightning_posenc.pretrained.conversion.folders import from_pretrained, save_pretrained

__all__ = ["FAMILIES", "from_pretrained", "save_pretrained", "to_ours", "to_theirs"]
