"""A file lock that says which process may work in a directory, and that dies with the process."""

import errno
import os
import weakref
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked
    fcntl = None  # type: ignore[assignment]

# What a file system without locks answers: some network disks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class Taken(Exception):
    """Another process holds the lock."""


class Lock:
    """Holds a lock on a file from the moment it is made until `release` or the process's end.

    Processes that are forked do not hold it: workers that outlive their run keep nobody out. A
    program that is started keeps it if it is handed `descriptor`.

    Args:
        path: The file, made if there is none; its directory must exist.
        shared: Whether others may hold it too, if they share it.
        wait: Whether to wait for those who hold it.

    Raises:
        Taken: If another process holds it, and `wait` is false.
    """

    def __init__(self, path: Path, *, shared: bool = False, wait: bool = False) -> None:
        self.path = path
        self.descriptor = -1
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                _lock(descriptor, shared, wait)
            except BaseException:
                os.close(descriptor)
                raise
            if _is_at(descriptor, path):
                break
            os.close(descriptor)  # whoever held it removed the file meanwhile
        self.descriptor = descriptor
        _held.add(self)

    def release(self, *, remove: bool = False) -> None:
        """Let go; nothing happens the second time.

        Args:
            remove: Whether to remove the file, which nobody else may share then.
        """
        if self.descriptor < 0:
            return
        if remove and _is_at(self.descriptor, self.path):
            self.path.unlink()
        os.close(self.descriptor)
        self.descriptor = -1


_held: "weakref.WeakSet[Lock]" = weakref.WeakSet()


def _lock(descriptor: int, shared: bool, wait: bool) -> None:
    if fcntl is None:
        return
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        raise Taken from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))


def _forget_in_child() -> None:
    # The parent's lock stays as long as any copy of its descriptor is open.
    for lock in _held:
        if lock.descriptor >= 0:
            os.close(lock.descriptor)
            lock.descriptor = -1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
