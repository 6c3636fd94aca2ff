"""What somebody has changed in the caches of text runs nothing (kind 2)."""

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import pyarrow as pa
import pytest

from lightning_posenc.data import TextData
from tests.strangers.conftest import Marks

TEXT = "to be or not to be, that is the question\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    yield tmp_path / "cache"
    datasets.enable_progress_bars()


def pickled(mark: Marks, was: bytes) -> bytes:
    return pickle.dumps(mark.pickled)


def typed(mark: Marks, was: bytes) -> bytes:
    """The same table, whose column is of a type that pyarrow once unpickled from its metadata."""
    try:
        table = pa.ipc.open_stream(was).read_all()
    except pa.ArrowException:
        return pickle.dumps(mark.pickled)
    extension = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(mark.pickled),
    }
    fields = [field.with_metadata(extension) for field in table.schema]
    changed = table.cast(pa.schema(fields, metadata=table.schema.metadata))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, changed.schema) as writer:
        writer.write_table(changed)
    return sink.getvalue().to_pybytes()


def named(mark: Marks, was: bytes) -> bytes:
    """JSON in which every class that is named is another."""
    spec = {"_type": "os.system", "class_path": "os.system", "command": mark.command}
    try:
        found = json.loads(was)
    except ValueError:
        return json.dumps(spec).encode()
    return json.dumps({**found, **spec, "features": {"text": spec}, "model": spec}).encode()


@pytest.mark.parametrize("payload", [pickled, typed, named])
def test_a_cache_that_was_changed_runs_nothing(
    payload: Callable[[Marks, bytes], bytes], mark: Marks, cache: Path, tmp_path: Path
) -> None:
    file = tmp_path / "text.txt"
    file.write_text(TEXT * 50)

    def tokens() -> list[int]:
        data = TextData(
            str(file), vocabulary="bpe", vocabulary_size=270, train_length=8, batch_size=2
        )
        data.prepare_data()
        data.setup("fit")
        return next(iter(data.val_dataloader())).tokens.flatten().tolist()

    expected = tokens()
    cached = [path for path in cache.rglob("*") if path.suffix in (".arrow", ".json")]
    assert {path.suffix for path in cached} == {".arrow", ".json"}
    assert any("bpe" in path.name for path in cached)
    for path in cached:
        before = path.read_bytes()
        path.write_bytes(payload(mark, before))
        try:
            found = tokens()
        except ValueError:  # or it is refused
            path.write_bytes(before)
            found = expected
        assert found == expected, path
        assert mark.none(), path
    assert pickle.loads(pickle.dumps(mark.pickled)) == 0  # the payload works where it is read
    assert not mark.none()
