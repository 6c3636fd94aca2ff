"""What do we watch? Pure measurements, defined once."""

from lightning_posenc.diagnostics.attention import captured_attention

__all__ = ["captured_attention"]
