"""Directories of shards in which a pickle lies: looked through before torch opens them.

`torch.distributed.checkpoint` reads its `.metadata`, and every value that is no tensor, with the
ordinary unpickler, which runs what the file says.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import torch

METADATA = ".metadata"

# What torch itself writes there.
_OF_TORCH = {
    "torch": {"Size", "device"},
    "torch.serialization": {"_get_layout"},
    "torch._utils": {"_get_layout"},
    "torch.distributed.checkpoint.metadata": {
        "Metadata", "MetadataIndex", "TensorStorageMetadata", "BytesStorageMetadata",
        "ChunkStorageMetadata", "TensorProperties", "StorageMeta", "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "collections": {"OrderedDict"},
    "pathlib": {"PosixPath", "PurePosixPath", "Path"},
    "pathlib._local": {"PosixPath"},
}  # fmt: skip


class _Plain(pickle.Unpickler):
    """Builds what torch writes into `.metadata`, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if is_dtype or name in _OF_TORCH.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(
            f"it holds more than tensors and plain values, {module}.{name}"
        )


def check_shards(directory: Path) -> None:
    """Check that a directory of shards can be read without running anything.

    Raises:
        ValueError: If it cannot.
        Exception: As reading raises where it is damaged.
    """
    metadata = _metadata(directory)
    kinds = metadata.state_dict_metadata
    for index, place in metadata.storage_data.items():
        file = directory / place.relative_path
        if file.resolve().parent != directory.resolve():
            raise ValueError(f"{place.relative_path} lies elsewhere")
        if getattr(place, "transform_descriptors", None):
            raise ValueError("it is compressed")
        if not file.is_file():
            raise ValueError(f"{place.relative_path} is missing")
        if type(kinds.get(index.fqn)).__name__ == "BytesStorageMetadata":
            with file.open("rb") as shard:
                shard.seek(place.offset)
                torch.load(io.BytesIO(shard.read(place.length)), "cpu", weights_only=True)


def shapes_of_shards(directory: Path, of: str) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of one part of a directory of shards, by name.

    Args:
        directory: That is whole.
        of: The part, such as "state_dict".
    """
    return {
        name.removeprefix(f"{of}."): tuple(kind.size)
        for name, kind in _metadata(directory).state_dict_metadata.items()
        if name.startswith(f"{of}.") and type(kind).__name__ == "TensorStorageMetadata"
    }


def _metadata(directory: Path) -> Any:
    return _Plain(io.BytesIO((directory / METADATA).read_bytes())).load()
