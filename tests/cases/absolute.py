"""Encodings that change the residual stream."""

# ruff: noqa: E501 (one line a case)

from functools import partial

from lightning_posenc.positional import (
    ComplexEmbedding,
    Concatenated,
    LearnableFourier,
    LearnableFrequencies,
    LearnedAbsolute,
    LearnedGrid,
    Sinusoidal,
)
from tests.cases.base import Case, on_axes
from tests.oracles import absolute

# fmt: off
CASES: tuple[Case, ...] = (
    Case("sinusoidal", Sinusoidal, absolute.sinusoidal, shift_invariant=False),
    Case("sinusoidal-reinjected", partial(Sinusoidal, layers=(0, 1), scale=0.5), partial(absolute.sinusoidal, layers=(0, 1), scale=0.5), shift_invariant=False),
    Case("learned-absolute", partial(LearnedAbsolute, max_length=32), absolute.learned_absolute, shift_invariant=False, limit=32),
    Case("learned-absolute-reinjected", partial(LearnedAbsolute, max_length=32, layers=(0, 1)), partial(absolute.learned_absolute, layers=(0, 1)), shift_invariant=False, limit=32),
    Case("learnable-frequencies", LearnableFrequencies, absolute.learnable_frequencies, shift_invariant=False),
    Case("learnable-frequencies-reinjected", partial(LearnableFrequencies, base=100.0, layers=(0, 1), scale=0.5), partial(absolute.learnable_frequencies, layers=(0, 1), scale=0.5), shift_invariant=False),
    Case("learnable-fourier", LearnableFourier, absolute.learnable_fourier, shift_invariant=False),
    Case("learnable-fourier-reinjected", partial(LearnableFourier, n_features=12, d_hidden=8, gamma=3.0, layers=(0, 1)), partial(absolute.learnable_fourier, layers=(0, 1)), shift_invariant=False),
    Case("learnable-fourier-axes", partial(LearnableFourier, axes=2, d_hidden=8), absolute.learnable_fourier, shift_invariant=False, place=on_axes(1, 2)),
    Case("complex-embedding", ComplexEmbedding, absolute.complex_embedding, shift_invariant=False),
    Case("complex-embedding-reinjected", partial(ComplexEmbedding, base=100.0, layers=(0, 1)), partial(absolute.complex_embedding, layers=(0, 1)), shift_invariant=False),
    Case("concatenated", Concatenated, partial(absolute.concatenated, encoding=absolute.sinusoidal), shift_invariant=False),
    Case("concatenated-learned-reinjected", partial(Concatenated, encoding=partial(LearnedAbsolute, max_length=32), layers=(1, 0)), partial(absolute.concatenated, encoding=absolute.learned_absolute, layers=(0, 1)), shift_invariant=False, limit=32),
    Case("learned-grid", partial(LearnedGrid, height=32, width=64), absolute.learned_grid, shift_invariant=False, limit=32, place=on_axes(1, 2)),
    Case("learned-grid-reinjected", partial(LearnedGrid, height=32, width=64, layers=(0, 1)), partial(absolute.learned_grid, layers=(0, 1)), shift_invariant=False, limit=32, place=on_axes(1, 2)),
)
# fmt: on
