"""How far is every mixer from its oracle, and from others' code?

    python benchmarks/mixer_errors.py --write        (docs/mixers.md)

Needs what the tests need. Oracles, cases and peers are those of `tests/`. Of the page it writes
the sections from "Oracles" on, and leaves those above as they are: what the command `mixers
--markdown` prints, and what a study found.
"""

import argparse
import inspect
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lightning_posenc import Dims
from tests.model.mixers.cases import CASES, MixerCase, error
from tests.peers.mixers import MIXER_PEERS

OUT = Path(__file__).parents[1] / "docs" / "mixers.md"
WAYS = {False: "bidirectional", True: "causal"}


def oracle_row(case: MixerCase) -> list[str]:
    """The case, its class, where its oracle stands, the source, and the error of each direction."""
    oracle: Any = case.oracle
    while isinstance(oracle, partial):
        oracle = oracle.func
    doc = inspect.getdoc(oracle) or inspect.getdoc(sys.modules[oracle.__module__]) or ""
    made = case.make(Dims(16, 2, 1, causal=case.directions[0]), 0)
    errors = [
        number(error(case, way))
        if way in case.directions
        else ""
        if WAYS[way] in made.serves
        else "refused"
        for way in WAYS
    ]
    name = f"{oracle.__module__.removeprefix('tests.')}.{oracle.__qualname__}"
    source = " ".join(doc.split("\n\n")[0].split())
    return [case.name, f"`{type(made).__name__}`", f"`{name}`", source, *errors]


def number(error: float) -> str:
    return "0" if error == 0 else f"{error:.1e}"


def table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--write", action="store_true", help="write the sections, and do not print them"
    )
    args = parser.parse_args()
    of_peers = []
    for peer in sorted(MIXER_PEERS, key=lambda peer: peer.encoding.lower()):
        torch.manual_seed(0)
        worst = max(float((a - b).detach().abs().max()) for a, b in peer.compare())
        of_peers.append([f"`{peer.encoding}`", peer.library, number(worst)])
    page = PAGE.format(
        oracles=table(
            ["case", "class", "oracle", "source", *WAYS.values()],
            [oracle_row(case) for case in CASES],
        ),
        peers=table(["class", "peer", "largest difference"], of_peers),
    )
    if args.write:
        page = OUT.read_text("utf-8").partition(FIRST)[0] + page
        OUT.write_text(page, "utf-8")
    else:
        print(page)


FIRST = "## Oracles\n"
PAGE = f"""{FIRST}
Made by `python benchmarks/mixer_errors.py --write`, and so is the section that follows.

Each case of the test suite against a transcription of the paper's equation in float64: loops over
tokens in numpy that share no line with the package (`tests/oracles/mixers/`). Errors are the
largest of a layer's output, relative to 1 + the value's size, in float32 with random weights.
*Refused*: the mixer serves no such model, and says so in one line.

{{oracles}}

## Peers

Each mixer against somebody else's implementation with the same weights, where pip has one
(`tests/peers/mixers.py`); largest absolute difference. Hugging Face's Reformer and Funnel are held
with one round of hashing and with `pool_q_only=False`; Nyströmformer's first inverse with each
matrix's own largest column sum, where its default takes the batch's.

{{peers}}
"""

if __name__ == "__main__":
    main()
