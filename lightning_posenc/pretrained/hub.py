"""From a name to a folder: one that is there, or a model of the hub in the local cache."""

from pathlib import Path

from lightning_posenc.mistakes.one_line import reason
from lightning_posenc.pretrained.folder import Refused

_WANTED = (  # nothing that runs: no .py, no .bin
    "config.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json",
    "model-*-of-*.safetensors",
)  # fmt: skip
_TOKENIZER = (
    "tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt",
    "merges.txt", "*.model",
)  # fmt: skip


def folder_of(source: str | Path, gguf_file: str | None = None) -> tuple[Path, str | None]:
    """Give the folder that a source stands for, and the GGUF file in it.

    Args:
        source: A folder, a GGUF file, or a model's name on the hub, as owner/name. What of it is
            not in the local cache is fetched, unless HF_HUB_OFFLINE says no.
        gguf_file: The file's name in the folder, or None.

    Raises:
        Refused: If there is none.
    """
    path = Path(source)
    if path.is_dir():
        return path, gguf_file
    if path.is_file():
        if path.suffix != ".gguf" or gguf_file is not None:
            raise Refused("a file: name its folder")
        return path.parent, path.name
    name = str(source)
    if name.count("/") != 1 or name.startswith((".", "/", "~")) or name.endswith("/"):
        raise Refused("no config.json there: no such folder (on the hub a name is owner/name)")
    return _fetched(name, gguf_file), gguf_file


def _fetched(name: str, gguf_file: str | None) -> Path:
    from huggingface_hub import is_offline_mode, snapshot_download

    offline = is_offline_mode()
    wanted = [gguf_file] if gguf_file else list(_WANTED)
    try:
        return Path(
            snapshot_download(name, allow_patterns=[*wanted, *_TOKENIZER], local_files_only=offline)
        )
    except Exception as error:  # of whichever HTTP library `huggingface_hub` uses
        why = "HF_HUB_OFFLINE is set, and the cache does not hold it" if offline else reason(error)
        raise Refused(f"no such folder, and not to be had from the hub ({why})") from None
