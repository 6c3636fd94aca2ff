"""Copy and reverse, trained on at most 20 symbols and tested to 40.

python benchmarks/reproduce/kazemnejad.py [--jobs 2]
"""

from study import Metrics, Study, by_length, encodings, main

ABOUT = """Copy and reverse past the trained length

Published: Kazemnejad et al. 2023, arXiv:2305.19466: a decoder of T5-base's size, trained on up to
20 symbols with 100,000 samples for 40,000 steps, exact match on 21 to 40, three seeds. Here: 4
layers, width 64, fresh samples, 3000 steps of 32 (the repeated token: 1500), 256 samples for each
of four lengths, whose mean is the last column. The symbols are 30 (of the repeated token 100),
not words of a vocabulary of 32,000.

T5's bias learns at 0.003 here, like all else, and learns to stop after 20 symbols: from a bucket
that was never seen before the end it concludes the end. The paper's rate is 3e-5, and its table
starts near 0: the last row of the first table gives the bias both, and nothing else either."""

PUBLISHED = {
    "repeated": {
        "NoPE": ".990", "T5Bias": ".774", "ALiBi": ".290", "RoPE": ".000", "Sinusoidal": ".000",
    },
    "copy": {
        "NoPE": ".393", "T5Bias": ".549", "ALiBi": ".427", "RoPE": ".015", "Sinusoidal": ".034",
    },
    "reverse": {
        "NoPE": ".230", "T5Bias": ".242", "ALiBi": ".171", "RoPE": ".077", "Sinusoidal": ".023",
    },
}  # fmt: skip
LONGER = ("22", "25", "30", "40")


def columns(metrics: Metrics) -> Metrics:
    """Exact match at each length, and the mean over those that were not trained."""
    found = by_length("exact")(metrics)
    return found | {"21–40": sum(found[length] for length in LONGER) / len(LONGER)}


SLOW_T5 = [
    "--model.positional=T5Bias",
    "--model.positional.std=0.036",
    "--model.positional_lr_multiplier=0.01",
]


def study(
    short: str, title: str, task: list[str], more: dict[str, list[str]] | None = None
) -> Study:
    published = {row: {"21–40": value} for row, value in PUBLISHED[short].items()}
    fit = ["--config=configs/decoder_task.yaml", *task]
    return Study(title, fit, encodings(*published) | (more or {}), columns, published)


if __name__ == "__main__":
    main(
        "kazemnejad",
        ABOUT,
        {
            "repeated": study(
                "repeated",
                "Copy one repeated token (rsc)",
                [
                    "--data.task=CopyRepeated",
                    "--data.task.n_symbols=100",
                    "--data.steps_per_epoch=500",
                ],
                {"T5Bias, slow": SLOW_T5},
            ),
            "copy": study("copy", "Copy random symbols (cmc)", []),
            "reverse": study("reverse", "Reverse (mc)", ["--data.task=ReverseWords"]),
        },
    )
