"""One sequence read, another written: two encoders of this package, of which one reads the other.

Shapes: B sequences, S tokens of the source, T tokens of the target, D = d_model.
"""

from torch import Tensor, nn

from lightning_posenc.checks import is_a
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.decoder import Decoder
from lightning_posenc.model.door import checked_places
from lightning_posenc.model.encoder import Encoder
from lightning_posenc.model.memory import Memory
from lightning_posenc.positions import Places, Sequences


class EncoderDecoder(nn.Module):
    """A decoder, which says each token of a target from those before it and from a whole source.

    Each side has its own encoding, positions, masks and mixers, and the decoder's `cross` a third
    encoding, of distances between the two. Source: Vaswani et al. 2017, arXiv:1706.03762, figure 1.

    Args:
        encoder: Of the source; bidirectional, as a rule.
        decoder: Of the target, causal and of the same width.

    Raises:
        ValueError: If the decoder sees its future or has another width, or the encoder is one too.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder: Encoder = is_a(self, "encoder", encoder, Encoder)
        self.decoder: Decoder = is_a(self, "decoder", decoder, Decoder)
        check_sides(encoder, decoder)

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        source_lengths: Tensor | None = None,
        target_lengths: Tensor | None = None,
    ) -> Tensor:
        """States of the decoder.

        Args:
            source: (B, S, D) embedded tokens.
            target: (B, T, D) likewise.
            source_lengths: (B,) tokens of each source; None if all are full.
            target_lengths: (B,) likewise.

        Returns:
            (B, T, D). What stands at padding means nothing.
        """
        memory = read(self.encoder, source, source_lengths)
        return self.decode(target, memory, target_lengths)

    def decode(
        self,
        target: Tensor,
        memory: Memory,
        target_lengths: Tensor | None = None,
        positions: Tensor | Places | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """States (B, T, D) of the decoder, which goes on from a cache if there is one.

        Args:
            target: (B, T, D) embedded tokens.
            memory: What `read` gave; with a cache, the very same at each step.
            target_lengths: (B,) tokens of each; None if all are full.
            positions: As in `Encoder`.
            cache: Likewise.
        """
        return self.decoder(
            target, lengths=target_lengths, positions=positions, cache=cache, memory=memory
        )


def check_sides(encoder: Encoder, decoder: Decoder) -> None:
    """Compare what writes with what reads.

    Raises:
        ValueError: Naming what does not fit.
    """
    if not decoder.dims.causal:
        raise ValueError("EncoderDecoder: the decoder sees its future: give it Dims(causal=True)")
    if encoder.cross is not None:
        raise ValueError("EncoderDecoder: the encoder would read a third sequence: give an Encoder")
    if (read_from := encoder.dims.d_model) != decoder.dims.d_model:
        raise ValueError(
            f"EncoderDecoder: d_model is {read_from} for the encoder and {decoder.dims.d_model} "
            "for the decoder, which reads its states: give both one width"
        )


def read(
    encoder: Encoder,
    x: Tensor,
    lengths: Tensor | None = None,
    positions: Tensor | Places | None = None,
    tokens: Tensor | None = None,
) -> Memory:
    """Encode a source, for a decoder to read.

    Args:
        encoder: Of the source.
        x: (B, S, D) embedded tokens.
        lengths: As in `Encoder`, as are the others.
        positions: Of the tokens; None for those that the encoder's sampler draws.
        tokens: For samplers that read them.
    """
    n_sequences, length, _ = x.shape
    if positions is None:
        told = Sequences(n_sequences, length, x.device, None, lengths, tokens)
        positions = encoder.positions.places(told)
    places = checked_places(positions, n_sequences, length, lengths=lengths)
    return Memory(encoder(x, lengths=lengths, positions=positions, tokens=tokens), places)
