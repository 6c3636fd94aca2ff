"""The task SCAN: what it reads from files, and what it draws from them."""

from collections import Counter

import pytest
import torch

from lightning_posenc.tasks import SCAN, generate
from tests.tasks.helpers import assert_shares, rows
from tests.tasks.solvers.algorithmic import SCAN_FILE, read


def test_scan_holds_what_its_length_says():
    task = SCAN(str(SCAN_FILE), longest_train=4)
    lines = [line.split("OUT:")[1].split() for line in SCAN_FILE.read_text().splitlines()]
    for length, low in ((2, 1), (4, 1), (8, 5), (10, 5)):
        shares = Counter(
            len(read(task, *row)[1])
            for row in rows(generate(task, 0, "train", torch.arange(5000), length))
        )
        expected = Counter(len(line) for line in lines if low <= len(line) <= length)
        assert shares.keys() == expected.keys()
        lengths = sorted(expected)
        assert_shares([shares[n] for n in lengths], [expected[n] for n in lengths])
    with pytest.raises(ValueError, match=r"no command in path=.* has 5 to 7 actions"):
        task.check_length(7)


def test_scan_reads_folders_and_says_what_is_missing(tmp_path):
    missing = r"^SCAN: path=.* is no file of SCAN"
    for path in (None, str(tmp_path / "none.txt"), str(tmp_path)):
        with pytest.raises(FileNotFoundError, match=missing):
            SCAN(path).check_length(5)
    lines = SCAN_FILE.read_text().splitlines(keepends=True)
    (tmp_path / "a.txt").write_text("".join(lines[:5]))
    (tmp_path / "b.txt").write_text("".join(lines[5:]) + "\n")
    whole, parts = SCAN(str(SCAN_FILE)), SCAN(str(tmp_path))
    for one, other in zip(whole.commands, parts.commands, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "line", ["IN: walk OUT:", "OUT: I_WALK", "walk", "IN: hop OUT: I_WALK", "IN: walk OUT: WALK"]
)
def test_scan_refuses_other_files(tmp_path, line):
    (tmp_path / "a.txt").write_text(line)
    with pytest.raises(ValueError, match=r"^SCAN: path=.* has the line '.*': give a file of SCAN"):
        SCAN(str(tmp_path / "a.txt")).check_length(5)
    (tmp_path / "a.txt").write_text("\n")
    with pytest.raises(ValueError, match="is empty: give a file of SCAN"):
        SCAN(str(tmp_path / "a.txt")).check_length(5)
