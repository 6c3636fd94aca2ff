"""Whatever a library says of a source that it cannot read, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from lightning_posenc.data.text.files import KINDS

GIVE = f"a readable file ({KINDS}), python_docs, or the name of a dataset on the Hub"


@contextmanager
def readable(path: str, give: str = GIVE) -> Iterator[None]:
    """Turn whatever a library says of an unreadable source into one line.

    Args:
        path: the source.
        give: what may be given in its place.

    Raises:
        ValueError: for any other exception within.
    """
    try:
        yield
    except Exception as error:  # the library's errors differ by kind of source and of failure
        told = error if isinstance(error, UnicodeError) else error.__cause__ or error
        reason = (str(told).strip() or type(told).__name__).splitlines()[0]
        if isinstance(told, UnicodeError) or "UTF8" in reason or "UTF-8" in reason:
            raise _not_utf8(path, reason) from error
        raise ValueError(f"data.path={path} could not be loaded ({reason}): give {give}") from error


@contextmanager
def decodable(path: str) -> Iterator[None]:
    """Turn the error of text that is not UTF-8 into one line; a table tells when it is read.

    Raises:
        ValueError: for a UnicodeError within.
    """
    try:
        yield
    except UnicodeError as error:
        raise _not_utf8(path, str(error)) from error


@contextmanager
def whole_cache(path: str) -> Iterator[None]:
    """Name the cache where what is made of no file cannot be read back from it.

    Raises:
        ValueError: for any other exception within.
    """
    import datasets

    try:
        yield
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"data.path={path}: its copy in {datasets.config.HF_DATASETS_CACHE} is broken "
            f"({reason}): remove that folder, and it is made anew"
        ) from error


def _not_utf8(path: str, reason: str) -> ValueError:
    return ValueError(
        f"data.path={path} is not UTF-8 text ({reason}): "
        "convert it (iconv -t UTF-8), or give a text file if it is a binary one"
    )
