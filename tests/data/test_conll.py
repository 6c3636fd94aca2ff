"""CoNLL's columns: tabs, comments, ranges, and what is no word (B10)."""

import pytest

from lightning_posenc.data import TaggingData
from lightning_posenc.data.text.conll import read_sentences

CONLLU = """# sent_id = 1
# text = the cat
1-2\tthecat\t_\t_
1\tthe\tthe\tDET
1.1\tgone\tgo\tVERB
2\tNew York\tcat\tPROPN
3\t10\u00a0000\tn\tNUM
4\t1-2\tn\tNUM

#
# newpar
1\t#\t#\tSYM
"""


def read(tmp_path, text, token=0, tag=-1, **options):
    file = tmp_path / "words.conll"
    file.write_text(text, encoding="utf-8")
    return [list(s) for s in read_sentences(file, token, tag, **options)]


def test_conll_u(tmp_path):
    assert read(tmp_path, "\ufeff" + CONLLU, 1, 3) == [
        [("the", "DET"), ("New York", "PROPN"), ("10\u00a0000", "NUM"), ("1-2", "NUM")],
        [("#", "SYM")],
    ]


def test_spaces(tmp_path):
    """A pound sign is a word of CoNLL-2000, first in its sentence or not; an odd line is none."""
    text = "the DT B\n# # I\n\n# # B\n10\u00a0000 CD I\n\n# a comment of more words\nend NN B\n"
    assert read(tmp_path, text, 0, 2) == [
        [("the", "B"), ("#", "I")],
        [("#", "B"), ("10\u00a0000", "I")],
        [("end", "B")],
    ]


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("the DT\nNew York NNP\n", (0, -1), "line 2: has 3 columns, the lines before it 2"),
        ("the\tDT\ncat\t\n", (0, -1), "line 2: the word 'cat' has no tag"),
        ("the DT\n", (0, -2), "line 1: .* are the same column: name two"),
    ],
)
def test_mistakes(tmp_path, text, columns, said):
    with pytest.raises(ValueError, match=said):
        read(tmp_path, text, *columns)


def test_one_column_twice(tmp_path):
    (tmp_path / "a").write_text("a X\n")
    with pytest.raises(ValueError, match="tag_column=0 must be another column than token_column"):
        TaggingData(str(tmp_path / "a"), tag_column=0)


def test_words_without_tags(tmp_path):
    """B4."""
    sentences = [[("the", None), ("cat", None)], [("end", None)]]
    assert read(tmp_path, "the\ncat\n\nend\n", untagged=True) == sentences
