"""Where a price store's files lie: a folder, an object store or anything fsspec knows."""

import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import fsspec
import pyarrow as pa
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.implementations.local import LocalFileSystem
from pyarrow.fs import FileSystem

from propdesk.core.errors import ConfigFault, DataFault

_NATIVE: Final = ("s3", "gs")
"""Object stores that pyarrow speaks to by itself, without a further package."""
_USER_INFO: Final = re.compile(r"(?<=://)[^/@]*@")
_STAGING: Final = ".staging-"
_COMMIT: Final = "commit.json"


class Place:
    """Files below one address, by relative names.

    Parameters
    ----------
    url : str
        Folder or address: ``s3://bucket/prices`` and ``gs://…`` by pyarrow, ``memory://prices`` and others by
        fsspec. Credentials, region and endpoint come from the provider's own variables
        (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``).

    Raises
    ------
    ConfigFault
        If nothing here can open such an address.

    Notes
    -----
    A file of an object store is replaced as a whole: a reader gets the old one or the new one, and reads it
    in one request, so that it never sees half of each. Listings are asked for anew each time: another
    process may have written.
    """

    def __init__(self, url: str) -> None:
        self.url = _USER_INFO.sub("", url)
        try:
            self._fs, root = _opened(url)
        except (ImportError, ValueError, OSError, pa.ArrowException) as error:
            raise ConfigFault(
                f"The price store {self.url} cannot be opened ({_first_line(error)}): name a folder, "
                "s3://bucket/folder or gs://bucket/folder (PROPDESK_PRICE_STORE_URL)."
            ) from error
        self._root = root.rstrip("/")
        self._is_local = isinstance(self._fs, LocalFileSystem)

    @property
    def folder(self) -> Path | None:
        """The folder of this machine that it is; None of an object store or a store in memory."""
        return Path(self._root) if self._is_local else None

    def path(self, name: str) -> str:
        """Give the whole address of a name, for people and error messages."""
        return f"{self._root}/{name}"

    def exists(self, name: str) -> bool:
        """Whether there is such a file or folder."""
        with self._reached():
            self._forget_listings()
            return bool(self._fs.exists(self.path(name)))

    def names(self, folder: str) -> list[str]:
        """Names in a folder, sorted; empty without one."""
        with self._reached():
            self._forget_listings()
            try:
                found = self._fs.ls(self.path(folder).rstrip("/"), detail=False)
            except FileNotFoundError:
                return []
            return sorted(str(path).rstrip("/").rsplit("/", 1)[-1] for path in found)

    def read(self, name: str) -> bytes:
        """Read a file; raises OSError."""
        return bytes(self._fs.cat_file(self.path(name)))

    def source(self, name: str) -> tuple[Any, bool]:
        """Give what pyarrow reads a file from, and whether it can be mapped into memory; raises OSError."""
        return (self.path(name), True) if self._is_local else (io.BytesIO(self.read(name)), False)

    def put(self, name: str, payload: bytes) -> None:
        """Write a file; raises OSError."""
        self._make_folder(name)
        self._fs.pipe_file(self.path(name), payload)

    def move(self, name: str, target: str) -> None:
        """Move a file over another one; a name that is gone was moved before. Raises OSError."""
        self._make_folder(target)
        try:
            if self._is_local:
                os.replace(self.path(name), self.path(target))
            else:
                self._fs.mv(self.path(name), self.path(target))
        except FileNotFoundError:
            if self.exists(name):
                raise

    def remove(self, folder: str) -> None:
        """Remove a folder and what is in it; raises OSError."""
        if self.exists(folder):
            self._fs.rm(self.path(folder), recursive=True)

    def commit(self, folder: str, moves: Sequence[tuple[str, str]]) -> None:
        """Move staged files to their places, all of them: from here on a death only delays the rest.

        Parameters
        ----------
        folder : str
            The staging folder, named by `staging_name`.
        moves : sequence of (str, str)
            Staged file and place.

        Raises
        ------
        OSError
            If the list of moves cannot be written (nothing happens then), or a move fails (`finish_commits`
            does the rest).
        """
        self.put(f"{folder}/{_COMMIT}", json.dumps(list(moves)).encode())
        self._finish(folder, moves)

    def is_left_behind(self) -> bool:
        """Whether a writer died here, before its commit or in it."""
        return any(folder.startswith(_STAGING) for folder in self.names(""))

    def finish_commits(self) -> None:
        """Do what is left of commits that were cut off, and remove what had none; raises OSError.

        Only for who holds the turn to write: another writer's staging folder looks the same.
        """
        for folder in self.names(""):
            if not folder.startswith(_STAGING):
                continue
            name = f"{folder}/{_COMMIT}"
            if self.exists(name):
                self._finish(folder, [(staged, target) for staged, target in json.loads(self.read(name))])
            else:
                self.remove(folder)

    def is_committed(self, folder: str) -> bool:
        """Whether a staging folder waits for `finish_commits`."""
        return self.exists(f"{folder}/{_COMMIT}")

    def _finish(self, folder: str, moves: Sequence[tuple[str, str]]) -> None:
        for staged, target in moves:
            self.move(staged, target)
        self.remove(folder)

    def _make_folder(self, name: str) -> None:
        # objects need no folder; asking for one would leave an empty object behind
        if self._is_local:
            os.makedirs(self.path(name).rsplit("/", 1)[0], exist_ok=True)

    def _forget_listings(self) -> None:
        if not self._is_local:
            self._fs.invalidate_cache()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise DataFault(
                f"The price store {self.url} cannot be read ({_first_line(error)}); is it reachable, and are "
                "its credentials right?"
            ) from error


def staging_name(number: int) -> str:
    """Name a staging folder of this process."""
    return f"{_STAGING}{os.getpid()}-{number}"


def _opened(url: str) -> tuple[Any, str]:
    if url.split("://", 1)[0] in _NATIVE:
        found, root = FileSystem.from_uri(url)
        return ArrowFSWrapper(found), str(root)
    found, root = fsspec.core.url_to_fs(url)
    return found, str(root)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
