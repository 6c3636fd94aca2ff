"""Datasets of the Hugging Face Hub, or their copies in the cache."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from lightning_posenc.compat.datasets import setting
from lightning_posenc.data.text.reading import readable


def no_counting() -> AbstractContextManager[None]:
    """Keep the library from telling a remote counter of every load, local files included."""
    return setting("HF_UPDATE_DOWNLOAD_COUNTS", False)


def from_hub(path: str, subset: str | None, **options: Any) -> Mapping[str, Any]:
    """A dataset of the Hub, or its copy in the cache where the Hub cannot be asked."""
    import datasets

    set_offline = datasets.config.HF_HUB_OFFLINE
    why = "HF_HUB_OFFLINE is set" if set_offline else unreachable()
    # Without a network the library tries six times over 23 s, which no setting shortens; offline
    # it goes to its cache at once.
    with setting("HF_HUB_OFFLINE", bool(why)):
        if not why:
            with readable(path):
                return datasets.load_dataset(path, name=subset, **options)
        try:
            return datasets.load_dataset(path, name=subset, **options)
        except Exception as error:
            do = "unset HF_HUB_OFFLINE" if set_offline else "connect"
            raise ValueError(
                f"data.path={path} is no file here, and as a dataset on the Hub it cannot be "
                f"fetched ({why}) and is not in the cache {datasets.config.HF_DATASETS_CACHE}: "
                f"{do} to download it once, or give a local file or python_docs"
            ) from error


def unreachable() -> str | None:
    """Why the Hub cannot be reached, or None if it can."""
    import datasets
    from huggingface_hub import get_session

    try:
        get_session().head(datasets.config.HF_ENDPOINT, timeout=10)
    except Exception as error:  # of whichever HTTP library `huggingface_hub` uses
        return f"no network: {str(error).strip() or type(error).__name__}"
    return None
