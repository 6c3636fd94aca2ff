"""`diagnose --hf`: what is found of models of Hugging Face, and that it is true."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_posenc.cli import main
from lightning_posenc.diagnose import whereabouts_page
from lightning_posenc.diagnose.ailments import judged
from lightning_posenc.diagnose.ailments.base import Finding, Verdict
from lightning_posenc.diagnose.examination import Examination, examine
from lightning_posenc.diagnose.hugging_face import subject_in_folder
from lightning_posenc.diagnose.language import measure_language
from lightning_posenc.diagnose.leaks import measure_other_leaks
from lightning_posenc.diagnose.other_positions import precision_of
from lightning_posenc.diagnose.other_strengths import strengths_of
from lightning_posenc.diagnose.subject import OtherModel
from lightning_posenc.diagnose.whereabouts import Whereabouts
from lightning_posenc.pretrained.doubts import NOT_APPLIED, Doubt
from lightning_posenc.pretrained.reading import read
from lightning_posenc.pretrained.telling import told
from lightning_posenc.pretrained.where_positions import InRotation, what_positions
from tests.pretrained.tiny import saved, tiny, word_tokenizer

HEADS = {"bert": "AutoModelForMaskedLM", "t5": "AutoModelForSeq2SeqLM"}
FAMILIES = ("llama", "gpt2", "bert", "bloom", "t5")
SOME = [
    family if family in ("llama", "gpt2", "bert") else pytest.param(family, marks=pytest.mark.slow)
    for family in FAMILIES
]
N_TOKENS, N_SEQUENCES = 48, 8


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words of the tests' tokenizer, in lines of JSON."""
    path = tmp_path_factory.mktemp("text") / "words.jsonl"
    vocabulary = [word for word in word_tokenizer().get_vocab() if word.isalnum()]
    generator = torch.Generator().manual_seed(1)
    lines = [
        " ".join(vocabulary[i] for i in torch.randint(len(vocabulary), (300,), generator=generator))
        for _ in range(4)
    ]
    path.write_text("\n".join(json.dumps({"text": line}) for line in lines), "utf-8")
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models that are saved once for all tests."""
    home = tmp_path_factory.mktemp("models")
    tokenizer = word_tokenizer()
    tokenizer.mask_token = "w3"
    for family in FAMILIES:
        saved(tiny(family, HEADS.get(family, "AutoModelForCausalLM")), home / family)
        tokenizer.save_pretrained(home / family)
    return {family: home / family for family in FAMILIES}


class Examined(dict[str, Examination]):
    """Examinations on text by family, each made when it is asked for."""

    def __init__(self, folders: dict[str, Path], text: Path) -> None:
        self._folders, self._text = folders, text

    def __missing__(self, family: str) -> Examination:
        subject = subject_in_folder(
            self._folders[family], [self._text], length=N_TOKENS, sequences=N_SEQUENCES
        )
        self[family] = examine(subject)
        return self[family]


@pytest.fixture(scope="module")
def examined(folders: dict[str, Path], text: Path) -> Examined:
    return Examined(folders, text)


def finding(examination: Examination, number: int) -> Finding:
    return next(found for ailment, found in judged(examination) if ailment.number == number)


@pytest.mark.parametrize("family", SOME)
def test_every_family_is_measured_as_a_whole(family: str, examined: Examined) -> None:
    e = examined[family]
    assert e.finite
    assert e.n_layers == 2
    for name, layers in e.by_layer.items():
        n = {"attn/similarity": 1}.get(name, 2 if name.startswith("attn") else 3)
        assert len(layers) == n, name
    assert {"attn/sink", "attn/max_logit", "rank/residual", "pos_share", "probe/mae"} <= set(
        e.by_layer
    )
    assert len(e.sizes) == len(e.order.states) == 3
    assert not e.is_own


def test_planes_of_a_rotation_are_seen(examined: Examined) -> None:
    """As many as its map has, held against its trained length; where nothing turns, none."""
    e = examined["llama"]
    positions = e.positions
    assert isinstance(positions, InRotation)
    (of,) = positions.maps.values()
    assert list(e.bands) == [0, 1]
    for each in e.bands.values():
        assert each.shares.shape == (2, len(of.inv_freq))
        assert each.extent == positions.trained_length
        assert 0 < each.shares.sum(dim=-1).max() <= 1.0001
    assert finding(e, 19).verdict in (Verdict.HEALTHY, Verdict.WATCH)
    assert not examined["gpt2"].bands
    assert finding(examined["gpt2"], 19).verdict == Verdict.NOT_APPLICABLE


@pytest.mark.parametrize("family", [*SOME[:2], SOME[3]])
def test_loss_is_measured_where_there_is_one(family: str, examined: Examined) -> None:
    found = examined[family].language
    assert found is not None
    assert found.texts == ("words.jsonl",)
    assert found.n_tokens == N_SEQUENCES * (N_TOKENS - 1)
    assert list(found.by_length) == list(found.by_context) == [24, 48]
    assert found.guess is not None
    assert abs(found.by_length[48].mean - math.log(50)) < 1.5
    assert found.stretches[0][0] == 0
    assert found.stretches[-1][1] == 47
    assert found.by_length[48].low < found.by_length[48].mean < found.by_length[48].high


def test_loss_of_a_masked_model(examined: Examined) -> None:
    found = examined["bert"].language
    assert found is not None
    assert list(found.by_length) == [48]
    assert "sees both sides" in found.without["effective context"]


@pytest.mark.slow
def test_two_sides_have_no_loss_of_running_text(examined: Examined) -> None:
    found = examined["t5"].language
    assert found is not None
    assert "kind seq2seq" in found.without["loss"]


@pytest.mark.parametrize("family", SOME)
def test_positional_parameters_are_known(family: str, examined: Examined) -> None:
    both_sides = 2 * 32 * 2  # T5's encoder and decoder have 32 buckets for each of 2 heads
    counts = {"llama": 0, "gpt2": 64 * 16, "bert": 64 * 16, "bloom": 0, "t5": both_sides}
    assert examined[family].positional == counts[family]


def test_gradients_of_a_table(examined: Examined) -> None:
    gradients = examined["gpt2"].gradients
    assert gradients is not None
    assert list(gradients.parameters) == ["transformer.wpe.weight"]
    assert gradients.positional_rms is not None
    assert gradients.contributions["embed"][0] > 0
    assert 0 < (gradients.agreement or 0) <= 1.001
    assert finding(examined["gpt2"], 6).verdict != Verdict.NOT_JUDGED
    assert "there are none" in finding(examined["llama"], 6).said


def test_gradients_by_positions_of_a_rotation_sum_to_nothing(
    examined: Examined,
) -> None:
    gradients = examined["llama"].gradients
    assert gradients is not None
    assert gradients.positions is not None
    assert gradients.positions > 0
    assert abs(gradients.positions_sum or 0) < 1e-3
    assert list(gradients.contributions["transform"]) == [0, 1]
    assert len(gradients.residual) == len(gradients.share) == 3


@pytest.mark.parametrize("family", SOME)
def test_what_the_encoding_adds(family: str, examined: Examined) -> None:
    gradients = examined[family].gradients
    added = gradients.strength if gradients else {}
    if family == "llama":
        assert list(added["transform"]) == [0, 1]
        assert 0.05 < added["transform"][0] < 3
    elif family == "gpt2":
        assert added["embed"][0] == pytest.approx(1.0, rel=0.3)  # both of std 0.02
    elif family == "bert":
        assert added["embed"][0] > 0
    elif family == "bloom":
        assert list(added["bias"]) == [0, 1]


def test_a_rotation_that_hardly_turns_adds_little(folders: dict[str, Path]) -> None:
    subject = subject_in_folder(folders["llama"])
    whole = strengths_of(subject, what_positions(subject.pretrained.model))
    turning: Any = subject.pretrained.model.model.rotary_emb
    turning.inv_freq *= 1e-4
    still = strengths_of(subject, what_positions(subject.pretrained.model))
    assert max(still["transform"].values()) < 0.02 * min(whole["transform"].values())


def test_shift(examined: Examined) -> None:
    relative, absolute = (examined[family].language for family in ("llama", "gpt2"))
    assert relative is not None
    assert absolute is not None
    assert max((relative.shift or {1: 1.0}).values()) < 1e-4
    assert max((absolute.shift or {1: 0.0}).values()) > 1e-3


@pytest.mark.parametrize("family", SOME)
def test_precision(family: str, examined: Examined) -> None:
    assert finding(examined[family], 12).verdict == Verdict.HEALTHY


def test_a_map_that_is_off_loses_precision(examined: Examined, folders: dict[str, Path]) -> None:
    model = read(folders["llama"]).model
    turning: Any = model.model.rotary_emb
    turning.inv_freq = (turning.inv_freq * 1.02).bfloat16()
    precision = precision_of(model, what_positions(model))
    rounded = finding(examined["llama"]._replace(precision=precision), 12)
    assert rounded.verdict == Verdict.ILL
    assert "as it is loaded" in rounded.said
    assert "dtype to from_pretrained" in rounded.remedies[0].why


def test_a_map_that_grows_with_the_length_is_no_loss_of_precision() -> None:
    rope = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 4.0}
    model = tiny("llama", rope_parameters=rope)
    model(torch.zeros(1, 100, dtype=torch.long))
    positions = what_positions(model)
    precision = precision_of(model, positions)
    assert precision is not None
    assert precision.error is not None
    assert precision.error < 1e-3
    shown = dict(told(positions))["the map shows"]
    assert "it grows with the length" in shown


def test_context_beyond_the_trained_length_that_harms_is_named(
    folders: dict[str, Path], text: Path, examined: Examined
) -> None:
    subject = subject_in_folder(folders["llama"], [text], length=128, sequences=4)
    language = measure_language(subject)
    longer = examined["llama"]._replace(language=language, length=128)
    assert finding(longer, 11).verdict in (Verdict.HEALTHY, Verdict.WATCH, Verdict.ILL)
    harm = {n: gain._replace(mean=-0.5, low=-0.6, high=-0.4) for n, gain in language.gains.items()}
    harmed = finding(longer._replace(language=language._replace(gains=harm)), 11)
    assert harmed.verdict == Verdict.ILL
    assert "extend" in harmed.remedies[0].why
    assert finding(examined["llama"], 11).verdict == Verdict.NOT_JUDGED


def test_a_loss_above_that_of_one_answer_is_to_watch(examined: Examined) -> None:
    e = examined["gpt2"]
    assert e.language is not None
    few = finding(e, 16)
    assert few.verdict == Verdict.NOT_JUDGED
    assert "too few" in few.said
    many = e._replace(language=e.language._replace(n_tokens=2000, guess=3.0))
    assert finding(many, 16).verdict == Verdict.WATCH
    knows = e._replace(language=e.language._replace(n_tokens=2000, guess=9.0))
    assert finding(knows, 16).verdict == Verdict.HEALTHY


def test_the_future_is_not_read(examined: Examined, folders: dict[str, Path]) -> None:
    assert finding(examined["llama"], 15).verdict == Verdict.HEALTHY
    assert "both sides" in finding(examined["bert"], 15).said
    subject = subject_in_folder(folders["llama"])
    subject.observed.layers[0].register_forward_hook(  # type: ignore[union-attr,index]
        lambda module, args, output: output + output.mean(dim=1, keepdim=True)
    )
    leaking = examined["llama"]._replace(leaks=measure_other_leaks(subject))
    assert finding(leaking, 15).verdict == Verdict.ILL


@pytest.mark.parametrize("family", SOME)
def test_no_remedy_is_an_argument_of_fit(family: str, examined: Examined) -> None:
    remedies = [each for _, found in judged(examined[family]) for each in found.remedies]
    assert [each.line for each in remedies if each.line] == []
    if family == "gpt2":
        assert "`extend --hf" in finding(examined["gpt2"], 5).remedies[0].why


def test_parts_give_what_the_whole_gives(
    folders: dict[str, Path], text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightning_posenc.diagnose import long_pass as module

    subject = subject_in_folder(folders["llama"], [text], length=16, sequences=9)
    whole = module.long_pass(subject)
    monkeypatch.setattr(module, "TOKENS", 48)
    parts = module.long_pass(subject)
    for name, layers in whole.by_layer.items():
        rtol = 0.2 if name == "massive/ratio" else 2e-3  # each part has a median of its own
        torch.testing.assert_close(
            torch.tensor(parts.by_layer[name]), torch.tensor(layers), rtol=rtol, atol=1e-4
        )
    monkeypatch.setattr(module, "PAIRS", 1)
    some = module.long_pass(subject).by_layer
    assert some["attn/entropy"] != parts.by_layer["attn/entropy"], "the first two alone were seen"
    assert some["rank/cosine"] == parts.by_layer["rank/cosine"]


def test_the_page_shows_it(
    folders: dict[str, Path], text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--hf", str(folders["llama"]), "--text", str(text), str(text), "--out", str(tmp_path)]
    assert main(["diagnose", *args, "--length=32", "--sequences=4", "--dtype=bfloat16"]) == 0
    printed = capsys.readouterr().out
    page = (tmp_path / "diagnosis.md").read_text("utf-8")
    html = (tmp_path / "diagnosis.html").read_text("utf-8")
    for title in ("How it knows order", "What the model makes of text"):
        assert f"{title}:" in printed
        assert f"## {title}" in page
        assert f"<h2>{title}" in html
    for name in (
        "trained length", "the map shows", "was a scaling applied?", "files and model",
        "loss by length", "loss by position", "effective context", "shift of all",
    ):  # fmt: skip
        assert f"  {name}" in printed
        assert f"- {name}" in page
        assert f"<th>{name}" in html
    assert "Loss by position, and by context" in html
    assert "Sinks: weight on the first token" in html
    assert "http" not in re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", html)


def test_a_doubt_is_a_row_of_its_own() -> None:
    doubt = Doubt("ill", NOT_APPLIED, "config.json names yarn by 4, and the map is unscaled")
    found = Whereabouts((), "no: …", (doubt,))
    said = dict(whereabouts_page.rows(found))
    assert said[f"✖ {NOT_APPLIED}"] == doubt.sentence
    assert "files and model" not in said


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--length=100"], "the table of positions ends at 64 tokens"),
        (["--length=1"], "--length=1 must be at least 8"),
        (["--sequences=1"], "--sequences=1 must be at least 2"),
        (["--device=tpu"], "device='tpu'"),
        (["--dtype=int8"], "dtype='int8'"),
        (["--text", "missing.txt"], "no such file"),
    ],
)
def test_mistakes_end_in_one_line(
    args: list[str], said: str, folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", "--hf", str(folders["gpt2"]), *args]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_length_belongs_to_hf(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "--config", "x.yaml", "--length=10"]) == 2
    assert "--length goes with --hf" in capsys.readouterr().err


def test_a_subject_without_text_is_drawn(folders: dict[str, Path]) -> None:
    subject: OtherModel = subject_in_folder(folders["llama"])
    assert subject.batch.tokens.shape == (32, 64)
    assert not subject.texts
    assert (subject.batch.tokens != 2).all(), "nothing is padding"
    assert set(subject.batch.tokens.flatten().tolist()) == set(range(50)) - {2}


def test_beyond_what_a_family_takes_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(tiny("mpt", "AutoModelForCausalLM"), tmp_path / "mpt")
    assert main(["diagnose", "--hf", str(tmp_path / "mpt"), "--length=128"]) == 2
    assert "at 128 tokens, beyond its 64, not a model" in capsys.readouterr().err
