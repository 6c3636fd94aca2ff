"""What do simple methods reach on the data of a config, which a transformer should pass?

    python benchmarks/simple_baselines.py configs/text_offline.yaml
    python benchmarks/simple_baselines.py configs/tagging.yaml --data.path=train.conll

Trained and scored on the very texts that `fit` trains and validates on, whole and not cut:

- text: an interpolated n-gram of bytes (Witten and Bell 1991, "The zero-frequency problem"), in
  bits per byte, to compare with `val/bits_per_byte`;
- classes of texts: the most frequent class, and logistic regression on tf-idf of words and pairs
  of words, and of one to four characters, to compare with `val/acc` and `val/f1_macro`;
- tags of words: the most frequent tag, that of each word, and logistic regression on the word, its
  neighbours and its ends, to compare with `val/acc`, `val/f1_macro` and `val/entity_f1`.

Needs scikit-learn, but for text.
"""

import argparse
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import yaml

from lightning_posenc import data as modules
from lightning_posenc.data import TaggingData, TextClassificationData, TextData
from lightning_posenc.modules.entity_f1 import EntityF1, are_entities

WHOLE = 1 << 16  # tokens: longer than any text


class NGram:
    """Probability of a byte after those before it, interpolated over all orders up to n.

    Args:
        text: What is counted.
        n: Bytes that are looked at, the predicted one included.
    """

    def __init__(self, text: bytes, n: int) -> None:
        self.n = n
        self.counts: list[dict[bytes, Counter[int]]] = [defaultdict(Counter) for _ in range(n)]
        for order, counts in enumerate(self.counts):
            for place in range(order, len(text)):
                counts[text[place - order : place]][text[place]] += 1

    def probability(self, before: bytes, byte: int) -> float:
        """Of a byte, given those before it."""
        p = 1 / 256
        for order, counts in enumerate(self.counts):
            if order > len(before):
                break
            found = counts.get(before[len(before) - order :])
            if found is None:
                break
            total, kinds = found.total(), len(found)
            p = (found[byte] + kinds * p) / (total + kinds)
        return p

    def bits_per_byte(self, text: bytes) -> float:
        """Mean over a text of -log2 of the probability."""
        bits = 0.0
        for place, byte in enumerate(text):
            before = text[max(0, place - self.n + 1) : place]
            bits -= math.log2(self.probability(before, byte))
        return bits / len(text)


def of_text(data: TextData, n: int) -> dict[str, float]:
    train, val = (bytes(data._dataset(split, 1).tokens.tolist()) for split in ("train", "val"))
    return {f"{order}-gram, bits_per_byte": NGram(train, order).bits_per_byte(val)
            for order in sorted({1, 3, n})}  # fmt: skip


def of_classes(data: TextClassificationData) -> dict[str, float]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.pipeline import make_pipeline

    texts, labels = {}, {}
    for split in ("train", "val"):
        dataset = data._dataset(split, WHOLE)
        tokens, rows = dataset.tokens, dataset.items.numpy()
        spans = zip(dataset.starts[rows], tokens.sizes[rows], strict=True)
        texts[split] = [data.decode(tokens.ids[at : at + size].tolist()) for at, size in spans]
        labels[split] = dataset.labels[rows].tolist()
    found = {
        "most frequent class, acc": accuracy(
            [most(labels["train"])] * len(labels["val"]), labels["val"]
        )
    }
    seen = {
        "tf-idf": {"ngram_range": (1, 2), "min_df": 2},
        "tf-idf of characters": {"ngram_range": (1, 4), "min_df": 2, "analyzer": "char"},
    }
    for name, options in seen.items():
        model = make_pipeline(
            TfidfVectorizer(sublinear_tf=True, **options),
            LogisticRegression(C=10, max_iter=1000),
        )
        model.fit(texts["train"], labels["train"])
        said = model.predict(texts["val"])
        found |= {
            f"{name} + logistic regression, acc": accuracy(list(said), labels["val"]),
            f"{name} + logistic regression, f1_macro": f1_score(
                labels["val"], said, average="macro"
            ),
        }
    return found


def tagged(data: TaggingData, file: str) -> list[list[tuple[str, str]]]:
    """The sentences of one of the data's files."""
    return [[(word, str(tag)) for word, tag in sentence] for sentence in data._sentences(file)]


def of_tags(data: TaggingData) -> dict[str, float]:
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.pipeline import make_pipeline

    train = tagged(data, "path")
    if "val_path" in data.paths:
        val = tagged(data, "val_path")
    else:
        kept, held_out = data._held_out(len(train))
        train, val = [train[i] for i in kept], [train[i] for i in held_out]
    by_word: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in train:
        for word, tag in sentence:
            by_word[word][tag] += 1
    common = most([tag for sentence in train for _, tag in sentence])
    model = make_pipeline(DictVectorizer(), LogisticRegression(C=10, max_iter=300))
    model.fit(
        [seen for sentence in train for seen in features([word for word, _ in sentence])],
        [tag for sentence in train for _, tag in sentence],
    )
    true = [[tag for _, tag in sentence] for sentence in val]
    words = [[word for word, _ in sentence] for sentence in val]
    said = {
        "most frequent tag": [[common] * len(sentence) for sentence in words],
        "most frequent tag of the word": [
            [most(list(by_word[word].elements())) if word in by_word else common for word in each]
            for each in words
        ],
        "logistic regression": [list(model.predict(features(sentence))) for sentence in words],
    }
    found = {}
    for name, tags in said.items():
        flat, right = [*chain(*tags)], [*chain(*true)]
        found[f"{name}, acc"] = accuracy(flat, right)
        found[f"{name}, f1_macro"] = f1_score(right, flat, average="macro", zero_division=0)
        if are_entities(data.class_names):
            number = {tag: n for n, tag in enumerate(data.class_names)}
            metric = EntityF1(data.class_names)
            for ours, theirs in zip(tags, true, strict=True):
                rows = [torch.tensor([[number[tag] for tag in each]]) for each in (ours, theirs)]
                metric.update(*rows)
            found[f"{name}, entity_f1"] = float(metric.compute())
    return found


def features(words: Sequence[str]) -> list[dict[str, Any]]:
    """What a word looks like, and its neighbours."""
    padded = ["<", *words, ">"]
    return [
        {
            "word": word.lower(), "before": padded[i].lower(), "after": padded[i + 2].lower(),
            "end": word[-3:], "begin": word[:2], "upper": word[:1].isupper(), "first": i == 0,
            "shape": "".join("d" if c.isdigit() else "A" if c.isupper() else "a" for c in word[:6]),
        }
        for i, word in enumerate(words)
    ]  # fmt: skip


def accuracy(said: Sequence[Any], true: Sequence[Any]) -> float:
    return sum(a == b for a, b in zip(said, true, strict=True)) / len(true)


def most(values: Sequence[Any]) -> Any:
    return Counter(values).most_common(1)[0][0]


def baselines(config: Path, options: dict[str, Any], n: int) -> dict[str, float]:
    """Scores by method and metric.

    Args:
        config: Of `fit`.
        options: Of its data, which beat the config's.
        n: Of the n-gram.
    """
    block = yaml.safe_load(config.read_text("utf-8"))["data"]
    given = {**block.get("init_args", {}), **options}
    kind = getattr(modules, block["class_path"].rpartition(".")[2])
    if kind in (TextData, TextClassificationData):
        given["vocabulary"] = "bytes"
    data = kind(**given)
    data.prepare_data()
    data.setup()
    if kind is TextData:
        return of_text(data, n)
    return {TextClassificationData: of_classes, TaggingData: of_tags}[kind](data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--n", type=int, default=6, help="of the n-gram")
    args, rest = parser.parse_known_args()
    options = {}
    for word in rest:
        key, equals, value = word.removeprefix("--data.").partition("=")
        if not word.startswith("--data.") or not equals:
            parser.error(f"{word}: say --data.NAME=VALUE")
        options[key] = yaml.safe_load(value)
    for name, score in baselines(args.config, options, args.n).items():
        print(f"{score:8.4f}  {name}")


if __name__ == "__main__":
    main()
