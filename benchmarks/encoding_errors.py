"""How far is every encoding from its oracle, from others' code, and from float64 under bfloat16?

    python benchmarks/encoding_errors.py        (writes docs/encodings.md)

Needs what the tests need. Oracles, cases and peers are those of `tests/`.
"""

import argparse
import inspect
import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from lightning_posenc.masks import Causal, Visibility
from lightning_posenc.model.kernels import SDPA, Kernels, Operands, read_weights
from lightning_posenc.positional import PositionalEncoding, Site
from lightning_posenc.positions import Consecutive, Places
from lightning_posenc.testing.single_hooks import LAYOUTS, compared
from tests.cases import CASES, METHODS, Case
from tests.helpers import D_MODEL, N_HEADS, completed, dims, oracle_view, values_of
from tests.oracles.base import Array
from tests.peers import PEERS
from tests.positional.test_scaling import LENGTH, PAIRS, config, pairs_of, up_to

OUT = Path(__file__).parents[1] / "docs" / "encodings.md"
LENGTHS = (4096, 32768)
FACTORS = (2.0, 8.0, 40.0)
RUN = 16  # neighbouring positions in each of the audit's three stretches
D_HEAD = D_MODEL // N_HEADS


def oracle_error(case: Case) -> float:
    """Largest difference from the oracle over directions, layouts, layers and hooks, relative to
    1 + the value's size.
    """
    worst = 0.0
    for causal in (False, True):
        if case.refused and not causal:
            continue
        for layout in LAYOUTS:
            torch.manual_seed(0)
            for _, got, wanted in compared(case, causal, layout):
                if got is None or wanted is None:
                    continue
                seen = np.isfinite(wanted)
                off = np.abs(got[seen] - wanted[seen]) / (1 + np.abs(wanted[seen]))
                worst = max(worst, off.max(initial=0.0))
    return worst


def oracle_name(case: Case) -> tuple[str, str]:
    """Where the oracle stands, and its source: the first paragraph of its docstring."""
    oracle: Any = case.oracle
    while isinstance(oracle, partial):
        oracle = oracle.func
    name = oracle.__qualname__.split(".")[0]  # of the maker, where the oracle is made of others
    doc = inspect.getdoc(getattr(sys.modules[oracle.__module__], name)) or ""
    source = " ".join(doc.split("\n\n")[0].split())
    return f"{oracle.__module__.removeprefix('tests.')}.{name}", source


def spread(length: int) -> Tensor:
    """Neighbouring positions at the start, in the middle and at the end of [0, length): (1, T)."""
    starts = (0, length // 2, length - RUN)
    return torch.cat([torch.arange(start, start + RUN) for start in starts]).unsqueeze(0)


def serving(case: Case, length: int) -> PositionalEncoding:
    """The case's encoding, with a table that is long enough if it has one."""
    factory: Any = case.factory
    if case.limit is not None:
        named = inspect.signature(factory).parameters
        if "max_length" in named:
            factory = partial(factory, max_length=length)
    return factory(dims(causal=True)).eval()


class Audit:
    """One encoding's hooks under bfloat16 autocast, beside its oracle in float64."""

    def __init__(self, case: Case, length: int) -> None:
        self.case = case
        self.encoding = serving(case, length)
        self.positions = case.place(spread(length))
        self.encoding.check(Places(self.positions))

    def sites(self, x: Tensor, q: Tensor, k: Tensor) -> Iterator[Site]:
        """What each layer sees; `prepare` runs without autocast, as in the encoder."""
        places = Places(self.positions)
        prepared = self.encoding.prepare(places, places)
        for layer in range(2):
            yield Site(layer, x, x, q, k, values_of(k), places, places, prepared)

    def expected(self, site: Site, logits: Tensor, **attended: Array) -> dict[str, Array | None]:
        wide = site._replace(q=site.q.float(), k=site.k.float(), v=site.v.float())
        given = oracle_view(self.encoding, wide, logits)._replace(**attended)
        return completed(self.case.oracle(given), given)

    def output_error(self) -> float:
        """Largest error of an attention's output (values of size 1) and of the residual stream."""
        torch.manual_seed(0)
        n = self.positions.shape[1]
        x = torch.randn(1, n, D_MODEL)
        q, k, v = torch.randn(3, 1, N_HEADS, n, D_HEAD).bfloat16()
        worst = 0.0
        visibility = Visibility(Causal(), n, n, x.device)
        hidden = ~visibility.dense[0, 0].numpy()  # type: ignore[index]
        for each in self.sites(x, q, k):
            site = each._replace(v=v)
            with torch.autocast("cpu", torch.bfloat16):
                embedded = self.encoding.embed(x, self.positions, site.layer)
                bias = self.encoding.bias(site)
                turned_q, turned_k = self.encoding.transform(site)
                rescore = self.encoding.rescore(site)
                scale = D_HEAD**-0.5
                values = self.encoding.values(site)
                operands = Operands(turned_q, turned_k, values, bias, visibility, rescore, scale)
                out = Kernels(SDPA())(operands)
                reader = partial(read_weights, operands)
                out = self.encoding.output(site._replace(read_weights=reader), out)
            wanted = self.expected(site, torch.zeros(1, N_HEADS, n, n))
            assert wanted["x"] is not None
            assert wanted["q"] is not None
            assert wanted["k"] is not None
            worst = max(worst, np.abs(embedded.detach().double().numpy() - wanted["x"]).max())
            logits = wanted["q"] @ wanted["k"].swapaxes(-1, -2) * scale
            logits = logits + (0 if wanted["bias"] is None else wanted["bias"])
            logits = np.where(hidden, -np.inf, logits)
            if rescore is not None:
                again = self.expected(site, torch.from_numpy(logits))["logits"]
                assert again is not None
                logits = again
            weights = np.exp(logits - logits.max(-1, keepdims=True))
            weights = weights / weights.sum(-1, keepdims=True)
            assert wanted["v"] is not None
            mixed = weights @ wanted["v"]
            exact = self.expected(site, torch.from_numpy(logits), weights=weights, mixed=mixed)[
                "mixed"
            ]
            assert exact is not None
            worst = max(worst, np.abs(out.detach().double().numpy() - exact).max())
        return worst

    def aliased(self) -> tuple[int, int]:
        """Of the neighbouring positions that float64 tells apart, how many bfloat16 does not.

        All tokens are alike, so that only their positions differ.

        Returns:
            Number of such pairs that coincide in every hook's result, and of such pairs.
        """
        torch.manual_seed(0)
        n = self.positions.shape[1]
        x = torch.randn(1, 1, D_MODEL).expand(-1, n, -1)
        q, k = torch.randn(2, 1, N_HEADS, 1, D_HEAD).bfloat16().expand(-1, -1, -1, n, -1)
        future = torch.ones(n, n).triu(1).bool()
        logits = torch.zeros(1, N_HEADS, n, n).masked_fill(future, -torch.inf)
        apart = np.zeros(n - 1, dtype=bool)
        seen = np.zeros(n - 1, dtype=bool)
        for site in self.sites(x, q, k):
            with torch.autocast("cpu", torch.bfloat16):
                got = {
                    "x": self.encoding.embed(x, self.positions, site.layer).bfloat16(),
                    "bias": self.encoding.bias(site),
                    "k": self.encoding.transform(site)[1],
                    "logits": None
                    if (step := self.encoding.rescore(site)) is None
                    else step(logits),
                }
            wanted = self.expected(site, logits)
            for name, value in got.items():
                exact = wanted[name]
                if value is None or exact is None:
                    continue
                apart |= differs(exact, 1e-6 * np.abs(exact[np.isfinite(exact)]).max())
                seen |= differs(value.detach().double().numpy(), 0.0)
        return int((apart & ~seen).sum()), int(apart.sum())


def differs(value: Array, above: float) -> Array:
    """Whether neighbours differ: along the tokens of (B, T, D) and (B, G, T, K), along the keys
    of the last query of (B, H, T, S): (T - 1,).
    """
    square = value.ndim == 4 and value.shape[-1] == value.shape[-2]
    rows = (
        value[:, :, -1].reshape(-1, value.shape[-1]).T
        if square
        else (np.moveaxis(value, -2, 0).reshape(value.shape[-2], -1))
    )
    return np.abs(np.diff(rows, axis=0)).max(axis=1) > above


def what_is_used(case: Case) -> str:
    """The class, its scaling if it has one, and the sampler if that is not the plain one."""
    encoding = case.factory(dims(causal=True))
    scaling, sampler = getattr(encoding, "scaling", None), case.positions()
    used = [encoding, *([] if scaling is None else [scaling])]
    used += [] if isinstance(sampler, Consecutive) else [sampler]
    return " + ".join(f"`{type(each).__name__}`" for each in used)


def scaling_errors() -> list[list[str]]:
    """Largest relative difference from Hugging Face's inverse frequencies, at each factor."""
    rows = []
    for name in PAIRS:
        row = [f"`{type(pairs_of(2.0, 8)[name][0]).__name__}`", name]
        for factor in FACTORS:
            worst = 0.0
            for width, base in ((8, 10000.0), (64, 5e5), (128, 1e6)):
                for length in (LENGTH, 5 * LENGTH):
                    scaling, parameters = pairs_of(factor, width)[name]
                    expected, _ = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](
                        config(width, base, factor, parameters),
                        torch.device("cpu"),
                        seq_len=length,
                    )
                    inv_freq = scaling(base, width, up_to(length)).inv_freq.flatten()
                    worst = max(worst, float((inv_freq / expected - 1).abs().max()))
            row.append(number(worst))
        rows.append(row)
    return rows


def number(error: float) -> str:
    return "0" if error == 0 else f"{error:.1e}"


def table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", nargs="*", help="names of cases; prints, since a page is of all of them"
    )
    parser.add_argument("--print", action="store_true", help="print instead of writing the page")
    args = parser.parse_args()
    cases = [case for case in CASES if not args.only or case.name in args.only]
    peers = defaultdict(list)
    for peer in track(PEERS, "peers"):
        torch.manual_seed(0)
        worst = max(float((a - b).detach().abs().max()) for a, b in peer.compare())
        peers[peer.encoding].append([f"`{peer.encoding}`", peer.library, number(worst)])
    of_oracles, of_audit = [], []
    for case in track(cases, "oracles and audit"):
        name = what_is_used(case)
        where, source = oracle_name(case)
        error = oracle_error(case)
        of_oracles.append([case.name, name, f"`{where}`", source, number(error)])
        if case not in METHODS or not isinstance(case.positions(), Consecutive):
            continue  # positions are those of the audit, whatever the sampler
        row = [name]
        for length in LENGTHS:
            try:
                audit = Audit(case, length)
            except ValueError:
                row += [f"serves {case.limit}", ""]
                continue
            same, apart = audit.aliased()
            row += [number(audit.output_error()), f"{same} of {apart}"]
        of_audit.append(row)
    page = PAGE.format(
        oracles=table(["case", "class", "oracle", "source", "largest error"], of_oracles),
        peers=table(
            ["class", "peer", "largest difference"],
            [row for name in sorted(peers, key=str.lower) for row in peers[name]],
        ),
        scalings=table(["class", "in Hugging Face", *map(str, FACTORS)], scaling_errors()),
        audit=table(
            ["encoding", *(f"{what}, T = {n}" for n in LENGTHS for what in ("error", "aliased"))],
            of_audit,
        ),
        run=RUN,
        pairs=3 * (RUN - 1) + 2,
        eps=f"{math.ldexp(1, -8):.1e}",
    )
    print(page) if args.print or args.only else OUT.write_text(page, "utf-8")


PAGE = """# What every encoding was held against

Made by `python benchmarks/encoding_errors.py`.

## Oracles

Each case of the test suite against a transcription of the paper's equation in float64: loops over
numpy arrays that share no line with the package (`tests/oracles/`). Errors are relative to 1 + the
value's size, the largest over both directions of attention, five layouts of positions (consecutive,
gapped, sparse, fractional, and the last queries of many keys), three layers and all hooks.

{oracles}

## Peers

Each encoding against somebody else's implementation, where pip has one (`tests/peers/`); largest
absolute difference.

{peers}

## Scalings of RoPE

Largest relative difference of the inverse frequencies from Hugging Face's, at three factors, over
three head sizes and bases, within the trained length and at five times it. `NTKAware` and
`NTKByParts`, which Hugging Face lacks, are held to float64 transcriptions
(`tests/positional/test_scaling.py`).

{scalings}

## bfloat16

Every encoding under bfloat16 autocast against its oracle in float64, at {run} neighbouring
positions each at the start, in the middle and at the end of [0, T). *Error*: the largest of an
attention's output (values of size 1) and of the residual stream; bfloat16 itself rounds at {eps},
and the row of `nope` shows what attention does without any encoding. *Aliased*: of the (at most
{pairs}) neighbours that float64 tells apart with identical tokens, those that bfloat16 does not.
`LearnedGrid` serves a grid of the size that it was made with. Methods that read the tokens between
a query and a key see 48 tokens here, whatever their positions.

{audit}
"""

if __name__ == "__main__":
    main()
