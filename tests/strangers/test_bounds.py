"""E3, G17: size, nesting, aliases, loops of links; what reaches a terminal, a page, a table."""

import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_posenc.cli import main
from lightning_posenc.data.text.vocabulary import read_tokenizer
from lightning_posenc.mistakes import escaping
from lightning_posenc.runs.checkpoint_sizes import oversized
from lightning_posenc.runs.untrusted import read_json, read_yaml
from tests.report.made_runs import class_of, config, write
from tests.strangers.conftest import KEY, QUICKSTART, TINY, Marks, said, spoiled

LETTERS = "abcdefghij"
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{former}'] * 10)}]\n" for former, name in pairwise(LETTERS)
)
BAD = {
    "aliases": (LAUGHS, "more than 200,000 nodes"),
    "nesting": ("a: " + "[" * 20_000 + "]" * 20_000, "levels deep"),
    "nesting in lines": ("- " * 5000 + "x", "levels deep"),
    "a list in itself": ("a: &a [*a]", "within what it names"),
    "tag": ("a: !!python/object/apply:os.system [touch mark]", "not YAML"),
    "binary": ("\0\1\2", "not YAML"),
}


COMMANDS = dict(zip(BAD, 2 * ("fit", "test", "diagnose"), strict=True))


@pytest.mark.parametrize("kind", BAD)
def test_yaml_from_disk(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In each file that is YAML, quickly, in one line, with no mark left."""
    text, why = BAD[kind]
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    start = time.monotonic()
    with pytest.raises(ValueError, match=why):
        read_yaml(file)
    assert time.monotonic() - start < 5
    assert main(["sweep", str(file)]) == 2
    assert why in said(capsys)
    if kind in ("aliases", "nesting", "tag"):  # the others are refused by the same reader
        assert main([COMMANDS[kind], f"--config={file}"]) == 2
        assert said(capsys)
    assert not (tmp_path / "mark").exists()


def test_yaml_below_a_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that a value of a config names, and a value itself, are read within bounds too."""
    (tmp_path / "below.yaml").write_text(LAUGHS)
    for value in ("below.yaml", BAD["nesting"][0]):
        assert main(["fit", "--config", QUICKSTART, *TINY, f"--model.encoder={value}"]) == 2
        assert said(capsys)


def test_json_from_disk(tmp_path: Path) -> None:
    for text in ("[" * 20_000 + "]" * 20_000, "{", "\x80"):
        (tmp_path / "bad.json").write_text(text, "latin-1")
        with pytest.raises(ValueError, match=r"bad\.json: not"):
            read_json(tmp_path / "bad.json")
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ValueError, match=r"large\.json: larger than"):
        read_json(tmp_path / "large.json")


def test_a_tokenizers_file_of_too_many_pieces(tmp_path: Path) -> None:
    model = {"type": "WordLevel", "vocab": {"a": 2**31}, "unk_token": "a"}
    (tmp_path / "t.json").write_text(json.dumps({"version": "1.0", "model": model}))
    with pytest.raises(ValueError, match="no table is so large"):
        read_tokenizer(tmp_path / "t.json")


SPOILT: dict[str, Callable[[Path], object]] = {
    "config.yaml: not YAML": lambda run: (run / "config.yaml").write_text(LAUGHS),
    "summary.json: not JSON": lambda run: (run / "summary.json").write_text("[" * 20_000),
    "config.yaml: not YAML (could": lambda run: (run / "config.yaml").write_text(BAD["tag"][0]),
}


def test_a_folder_of_runs(tmp_path: Path, mark: Marks, capsys: pytest.CaptureFixture[str]) -> None:
    """Links that lead back end; a bad run is left out with a line; nothing shown is obeyed."""
    runs = tmp_path / "runs"
    hostile = f"\x1b]0;{mark.command}\x07<script>x</script>[x](javascript:x)"
    for n, spoil in enumerate([None, *SPOILT.values()]):
        made = config(class_of("positional", "RoPE"), class_of("tasks", "Reverse"), n)
        if n == 0:
            made["data"]["init_args"]["task"] = {"class_path": f"mine.={hostile}"}
        run = write(runs / str(n), made, {20: 0.5})
        if spoil is not None:
            spoil(run)
    for name in ("again", "once_more"):
        (runs / name).symlink_to(runs, target_is_directory=True)
    start = time.monotonic()
    assert main(["report", str(runs), "--export", "csv"]) == 0
    assert time.monotonic() - start < 60
    shown = capsys.readouterr().out
    page, html = ((runs / f"report.{kind}").read_text() for kind in ("md", "html"))
    for text in (shown, page, html):
        assert "\x1b]" not in text
        assert "\x07" not in text
    for text in (page, html):
        assert "<script>x" not in text
        for why in SPOILT:
            assert why in text.replace("&#39;", "'")
    assert "](javascript" not in page
    assert mark.none()


@pytest.mark.parametrize(
    ("part", "option", "size"),
    [
        ("encoder", "n_layers", 9999),
        ("encoder", "d_model", 65536),
        ("positional", "max_length", 2**24),
    ],
)
def test_a_config_asks_for_no_larger_model_than_its_weights(
    part: str,
    option: str,
    size: int,
    whole: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """E3: 9999 layers were built, for half a minute, before the weights were seen not to fit."""

    def change(config: dict[str, Any]) -> None:
        options = config["model"]["init_args"][part]
        options.get("init_args", options)[option] = size

    path = spoiled(whole, tmp_path / "bad.ckpt", change)
    for command in ("test", "diagnose", "fit"):
        began = time.monotonic()
        assert main([command, f"--ckpt_path={path}"]) == 2
        assert f"its config asks for model.{part}.{option}={size}" in said(capsys)
        assert time.monotonic() - began < 10  # half a second, but for imports


def test_own_sizes_are_served(whole: dict[str, Any], tmp_path: Path) -> None:
    """A whole number that is no size, and sizes that the command itself gives."""
    contents = torch.load(spoiled(whole, tmp_path / "own.ckpt", lambda _: None), weights_only=True)
    config = yaml.safe_load(contents[KEY])["model"]
    weights = contents["state_dict"]
    assert oversized(config, weights) is None
    config["init_args"]["positional"] = {
        "class_path": "lightning_posenc.positional.RoPE",
        "init_args": {"base": 10**9},
    }
    config["init_args"]["encoder"]["mask"] = {"init_args": {"size": 2**19}}
    assert oversized(config, weights) is None
    renamed = {f"model._forward_module.{name}": value for name, value in weights.items()}
    config["init_args"]["encoder"]["n_layers"] += 1
    assert oversized(config, renamed) is not None
    assert oversized(config, {}) is None  # shards: their weights lie in other files


def test_escaping() -> None:
    assert escaping.plain("a\x1b[31mb\u202ec\td\n") == "a\\x1b[31mb\\u202ec\td\n"
    assert escaping.visible({"\x1b": ["\x07", 1, None]}) == {"\\x1b": ["\\x07", 1, None]}
    assert escaping.markdown("<b>\n![x](y) p < 0.1") == "&lt;b> ![x]\\(y) p < 0.1"
    assert escaping.code("```\nrm") == "''' rm"
    assert [escaping.cell(x) for x in ("=1+1", "@x", "x=1", -1.0)] == ["'=1+1", "'@x", "x=1", -1.0]


def test_an_error_is_not_obeyed_by_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", "\x1b[2Jx.yaml"]) == 2
    assert "\x1b" not in said(capsys)


def test_a_name_stays_below_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.yaml").write_text(f"name: ../../x\n{Path(QUICKSTART).read_text()}")
    assert main(["fit", "--config=c.yaml", *TINY]) == 2
    assert "leads out of runs/" in said(capsys)
    assert not (tmp_path / "runs").exists()
