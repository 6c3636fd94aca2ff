"""Randomised positions against plain ones, on lengths past the trained ones.

python benchmarks/reproduce/ruoss.py [--jobs 2]
"""

from study import Metrics, Study, by_length, main

ABOUT = """Randomised positions against plain ones

Published: Ruoss et al. 2023, arXiv:2305.16843, tasks of Delétang et al. 2022: five post-norm
layers of width 64, 8 heads, trained on lengths 1 to 40 for two million steps of 128; the score is
the mean accuracy over lengths above 40. Here: two pre-norm layers without dropout, 2400 steps of
64 with lengths that grow from 1 to 40, 256 samples for each of four lengths, whose mean is the
last column; positions of Randomized are drawn below 2048 as there. That is 800 times fewer steps:
most runs are still at chance, so this does not tell the two apart."""

PUBLISHED = {
    "even": {"relative": ".964", "relative, randomised": "1.000"},
}
LONGER = ("50", "60", "80", "100")
ROWS = {
    "relative": ["--model.positional=TransformerXL"],
    "relative, randomised": ["--model.positional=TransformerXL", "--model.positions=Randomized"],
}


def columns(metrics: Metrics) -> Metrics:
    """Accuracy at each length, and the mean over those that were not trained."""
    found = by_length("acc")(metrics)
    return found | {"41–100": sum(found[length] for length in LONGER) / len(LONGER)}


def study(short: str, title: str, task: list[str]) -> Study:
    published = {row: {"41–100": value} for row, value in PUBLISHED.get(short, {}).items()}
    return Study(title, ["--config=configs/formal_language.yaml", *task], ROWS, columns, published)


if __name__ == "__main__":
    main(
        "ruoss",
        ABOUT,
        {
            "even": study("even", "Even pairs", []),
            "missing": study("missing", "Missing duplicate", ["--data.task=MissingDuplicate"]),
        },
    )
