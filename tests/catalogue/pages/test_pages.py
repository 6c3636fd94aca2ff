"""Every class and quantity has its page, and each page has all that a reader looks for there."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc import positional
from lightning_posenc.catalogue.discovery import classes
from lightning_posenc.catalogue.pages.effects import effect, influence, positions_of
from lightning_posenc.catalogue.pages.encoding_page import encoding_page
from lightning_posenc.catalogue.pages.examples import OF_FILES, code_of, command_of, ran
from lightning_posenc.catalogue.pages.markdown import plain
from lightning_posenc.catalogue.pages.pictures import of_encoding
from lightning_posenc.catalogue.pages.quantity_page import quantity_page, slug
from lightning_posenc.catalogue.pages.recorded import of_class, read
from lightning_posenc.catalogue.pages.site import KINDS, public_names
from lightning_posenc.cli import main
from lightning_posenc.diagnostics.quantities import QUANTITIES
from lightning_posenc.model.mixers import Attention, Retention
from lightning_posenc.positions import Consecutive, Graph, Shifted
from tests.cases import CASES
from tests.helpers import dims

ROOT = Path(__file__).parents[3]
HEADINGS = {
    "encodings": ("What it adds", "Use it", "Source", "How exact it is", "Where it breaks"),
    "samplers": ("What it gives", "Use it", "Source"),
    "scalings": ("What it changes", "Use it", "Options", "Source", "How exact it is"),
    "mixers": ("What reaches what", "Use it", "Source", "Which encodings it honours"),
    "tasks": ("Use it", "Source"),
}
WITHOUT_PICTURE = {"NoPE"}
OF_OTHERS = {"Chain", "PerLayer", "FirstLayers"}  # which are of encodings that have papers
CLASSES = [
    pytest.param(name, kind, id=kind.__name__)
    for name, base in KINDS.items()
    for kind in classes(base).values()
]


@cache
def made() -> dict[str, str | bytes]:
    """As the site's own build keeps them, so that neither workers nor that build repeat it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "website")
        from generated import generated

        return generated()


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "kind"), CLASSES)
def test_a_class_has_a_page_with_all_of_it(folder: str, kind: type) -> None:
    text = made()[f"{folder}/{kind.__name__}.md"]
    assert isinstance(text, str)
    for heading in HEADINGS[folder]:
        if not (heading == "Source" and kind.__name__ in OF_OTHERS):
            assert f"\n## {heading}\n\n" in text
    assert folder == "tasks" or "\n$$\n" in text
    image = made().get(f"{folder}/{kind.__name__}.png", b"")
    assert isinstance(image, bytes)
    drawn = image.startswith(b"\x89PNG") and f"({kind.__name__}.png)" in text
    assert drawn or folder == "tasks" or kind.__name__ in WITHOUT_PICTURE


@pytest.mark.slow
@pytest.mark.parametrize("name", QUANTITIES)
def test_a_quantity_has_a_page(name: str) -> None:
    text = made()[f"quantities/{slug(QUANTITIES[name])}.md"]
    assert isinstance(text, str)
    assert f"`{name}`" in text
    for fact in ("unit", "range", "better"):
        assert f"| **{fact}** |" in text
    assert "\n## How to get it\n" in text


@pytest.mark.slow
def test_all_public_names_are_in_the_reference() -> None:
    for package, names in public_names().items():
        text = made()[f"reference/{package}.md"]
        assert isinstance(text, str)
        assert re.findall(r"^ +- (\w+)$", text, re.MULTILINE) == names


@pytest.mark.parametrize(("folder", "kind"), CLASSES)
def test_the_example_of_a_page_runs(folder: str, kind: type) -> None:
    if kind.__name__ not in OF_FILES:
        left = ran(code_of(kind))
        assert left.keys() & {"states", "where", "sample"}


COMMANDS: dict[str, str] = {
    name: line
    for base in (KINDS["encodings"], KINDS["samplers"])
    for name, kind in classes(base).items()
    if (line := command_of(kind))  # type: ignore[arg-type]
}


def test_most_encodings_and_samplers_have_a_command() -> None:
    assert len(COMMANDS) > 50
    assert COMMANDS["RoPE"].endswith(" --model.positional=RoPE")
    assert COMMANDS["FoX"].endswith(" --model.positional=FoX --model.causal=true")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_command_of_a_page_trains(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    quick = ["--trainer.fast_dev_run=true", "--trainer.enable_progress_bar=false"]
    assert main([*command.split()[3:], *quick, "--data.batch_size=4"]) == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["FoX", "SwinBias", "Grid", "PoSE", "RandomDistances"])
def test_the_command_of_what_quickstart_alone_refuses(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_the_command_of_a_page_trains(COMMANDS[name], tmp_path, monkeypatch)


def test_heads_that_are_alike_are_drawn_once() -> None:
    one, two = (png_size(of_encoding(effect(kind))) for kind in (positional.RoPE, positional.ALiBi))
    assert one[0] < two[0]


def png_size(image: bytes | None) -> tuple[int, int]:
    assert image is not None
    return int.from_bytes(image[16:20]), int.from_bytes(image[20:24])


def test_a_causal_picture_says_what_is_hidden() -> None:
    said = {kind: made_page(kind) for kind in (positional.FoX, positional.RoPE)}
    assert "A causal model" in said[positional.FoX]
    assert "the empty corner is the future" in said[positional.FoX]
    assert "A bidirectional model" in said[positional.RoPE]
    assert "corner" not in said[positional.RoPE]


def made_page(kind: type[positional.PositionalEncoding]) -> str:
    return encoding_page(kind, None, read(ROOT))[0]


def test_what_is_typed_to_get_a_quantity_is_a_block() -> None:
    for name in ("qk/growth", "rank/residual"):
        row = next(row for row in QUANTITIES.values() if row.name == name)
        assert re.search(r"\n## How to get it\n\nAdd to a `fit`:\n\n```sh\n--", quantity_page(row))


def test_an_encoding_without_a_page_of_its_own_code_is_refused() -> None:
    with pytest.raises(ValueError, match="no page shows how"):
        code_of(dict)


def test_what_alibi_adds_is_its_bias() -> None:
    seen = effect(positional.ALiBi)
    assert seen.stream is None
    assert seen.logits is not None
    torch.testing.assert_close(seen.logits[0, 5, 3], torch.tensor(-2 * 2**-2.0))
    assert effect(positional.NoPE).logits is None


def test_what_a_table_adds_is_its_rows() -> None:
    seen = effect(positional.LearnedAbsolute)
    assert seen.logits is None
    assert seen.stream is not None
    torch.manual_seed(0)
    table = positional.LearnedAbsolute(dims(causal=False)).table
    assert seen.stream.shape[0] == 32
    assert seen.stream.std().item() == pytest.approx(table.std().item(), rel=0.1)


def test_what_a_causal_model_hides_is_no_number() -> None:
    seen = effect(positional.FoX)
    assert seen.causal
    assert seen.logits is not None
    assert torch.equal(seen.logits[0].isfinite(), torch.ones(32, 32).tril().bool())


def test_no_influence_of_the_future_on_a_causal_model() -> None:
    seen = influence(Retention, causal=True)
    assert not seen.triu(1).any()
    assert seen.tril(-1).amax() == 1
    assert influence(Attention, causal=False).triu(1).any()


def test_positions_in_training_and_testing() -> None:
    assert torch.equal(positions_of(Consecutive(), True)[0], torch.arange(12))
    assert positions_of(Shifted(9), True).unique(dim=0).shape[0] > 1
    assert torch.equal(positions_of(Shifted(9), False)[0], torch.arange(12))
    assert positions_of(Graph([[0, 1], [1, 2]]), False)[0].tolist() == [
        [0, 1, 2],
        [1, 0, 1],
        [2, 1, 0],
    ]


def test_recorded_figures_are_found_by_class() -> None:
    found = read(ROOT)
    cases = {case.name for case in CASES if type(case.factory(dims(True))).__name__ == "RoPE"}
    named = {row[0] for row in of_class(found.oracles, "RoPE", 1)}
    assert named == cases
    assert of_class(found.peers, "T5Bias")[0][1].startswith("transformers")
    assert found.mixers[found.pairs[0].index("yes") - 1] in [
        m.__name__ for m in classes_of_mixers()
    ]
    assert found.accuracy["NoPE"][-1] < 0.2


def classes_of_mixers() -> list[Any]:
    return list(classes(KINDS["mixers"]).values())


def test_text_of_a_docstring_is_shown_as_it_is() -> None:
    said = plain("b_h[i] = -m_h · |i| * 2, `x[i]`, arXiv:2108.12409")
    assert r"b\_h\[i\]" in said
    assert "`x[i]`" in said
    assert "[arXiv:2108.12409](https://arxiv.org/abs/2108.12409)" in said
