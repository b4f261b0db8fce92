"""Turns at a price store: one writer at a time, and no file is replaced while a step of the pipeline reads.

On a folder a turn is a lock of the operating system on a file in it, on an object store a session lock of
PostgreSQL under the store's address. Either is gone with the process that held it, however that ends; a child
that was forked while it was held counts as that process. Whoever waits to replace files keeps new readers
waiting, so that readers who overlap do not keep a writer out for ever.
"""

import errno
import fcntl
import hashlib
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import psycopg

from adapters.db.engine import CONNECT_TIMEOUT_S, psycopg_dsn
from adapters.log import get_logger
from propdesk.core.errors import DataFault

WAIT_S: Final = 900.0
"""Longest wait for a turn, s: step 5 over a year of days is through by then."""
POLL_S: Final = 0.2
"""How often it is asked again whether the turn is free, s."""
_IDLE_S: Final = 30
_PROBE_S: Final = 10
_PROBES: Final = 3
_LOST_S: Final = _IDLE_S + _PROBES * _PROBE_S
"""A database and a host that were cut off from each other both know it after so long, s."""

_SERVER_OPTIONS: Final = (
    f"-c tcp_keepalives_idle={_IDLE_S} -c tcp_keepalives_interval={_PROBE_S} "
    f"-c tcp_keepalives_count={_PROBES} -c tcp_user_timeout={_LOST_S * 1000}"
)

Say = Callable[[str], None]


class Turns(Protocol):
    """What a price store asks before it writes, replaces files, or is read as a whole."""

    def writing(self) -> AbstractContextManager["Turn"]:
        """Hold the one turn to write, from the first look at what is there until all is in place."""
        ...

    def replacing(self) -> AbstractContextManager["Turn"]:
        """Hold new readers back, wait for those that read, and put files into place; only while writing."""
        ...

    def reading(self) -> AbstractContextManager["Turn"]:
        """Hold back whoever would replace files; readers share it.

        Never within another one: the inner would wait for who waits for the outer to end.
        """
        ...


class Turn(Protocol):
    """A turn that is held."""

    def verify(self) -> None:
        """Raise DataFault if it was lost since it was taken."""
        ...


class _Lock(Turn, Protocol):
    def take(self, *, shared: bool) -> bool:
        """Try; never waits."""
        ...

    def holder(self) -> str:
        """Say who has it."""
        ...

    def release(self) -> None:
        """Give it back, or up."""
        ...


class _Waiting:
    """The three turns of a store, whatever its locks are made of.

    Parameters
    ----------
    url : str
        The store, for people.
    lock : callable
        Makes the lock of a name.
    say : callable, optional
        Told once per wait whom one waits for; the log by default.
    wait_s : float
        Longest wait, s, >= 0.
    """

    def __init__(self, url: str, lock: Callable[[str], _Lock], say: Say | None, wait_s: float) -> None:
        self._url = url
        self._lock = lock
        self._say = say or _log
        self._wait_s = wait_s

    def writing(self) -> AbstractContextManager[Turn]:
        """See `Turns`."""
        return self._taken("writer", "is being written by", shared=False)

    @contextmanager
    def replacing(self) -> Iterator[Turn]:
        """See `Turns`."""
        what = "is being read by"
        with self._taken("next", what, shared=False), self._taken("content", what, shared=False) as turn:
            yield turn

    @contextmanager
    def reading(self) -> Iterator[Turn]:
        """See `Turns`."""
        what = "gets new files from"
        with ExitStack() as held:
            with self._taken("next", what, shared=True):
                turn = held.enter_context(self._taken("content", what, shared=True))
            yield turn

    @contextmanager
    def _taken(self, name: str, what: str, *, shared: bool) -> Iterator[Turn]:
        lock = self._lock(name)
        try:
            self._wait_for(lock, what, shared=shared)
            yield lock
        finally:
            lock.release()

    def _wait_for(self, lock: _Lock, what: str, *, shared: bool) -> None:
        deadline, is_told = time.monotonic() + self._wait_s, False
        while not lock.take(shared=shared):
            whom = f"The price store {self._url} {what} {lock.holder()}"
            if time.monotonic() >= deadline:
                raise DataFault(
                    f"{whom}, for more than {self._wait_s:.0f} s: nothing was done; repeat this when that is "
                    "over, or end it."
                )
            if not is_told:
                self._say(f"{whom}: waiting until it is done.")
                is_told = True
            threading.Event().wait(POLL_S)


class FolderTurns(_Waiting):
    """Turns at a store in a folder, by locks on files in it."""

    def __init__(self, folder: Path, say: Say | None = None, wait_s: float = WAIT_S) -> None:
        super().__init__(
            str(folder),
            lambda name: FileLock(folder / "locks" / name, f"The price store {folder}"),
            say,
            wait_s,
        )


class DatabaseTurns(_Waiting):
    """Turns at an object store, by session locks of PostgreSQL.

    Parameters
    ----------
    url : str
        The store; writers that name it by the same address take turns.
    database_url : callable
        Gives the database; asked at the first turn.
    """

    def __init__(
        self, url: str, database_url: Callable[[], str], say: Say | None = None, wait_s: float = WAIT_S
    ) -> None:
        super().__init__(url, lambda name: _SessionLock(database_url(), url, name), say, wait_s)


class FreeTurns:
    """Turns that nobody waits for: of a store that no other process can see."""

    @contextmanager
    def writing(self) -> Iterator[Turn]:
        """See `Turns`."""
        yield self

    replacing = reading = writing

    def verify(self) -> None:
        """Do nothing: there is nothing to lose."""


class FileLock:
    """A lock of the operating system; the file stays.

    Parameters
    ----------
    path : Path
        One called ``writer`` names who holds it.
    what : str
        What it guards, as a sentence begins.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._file = -1
        self._is_named = True

    def take(self, *, shared: bool) -> bool:
        """Try; never waits.

        Raises
        ------
        DataFault
            If the file cannot be opened or written.
        """
        # Readers share a lock and leave no name: whoever waits to replace files would read an old one.
        self._is_named = shared or self._path.name == "writer"
        if self._file < 0 and not self._open(shared=shared):
            return True
        try:
            fcntl.flock(self._file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not shared:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, _own_name().encode(), 0)
        return True

    def _open(self, *, shared: bool) -> bool:
        """Open the file; a reader goes without where there is no store, or none may be written."""
        try:
            self._path.parent.mkdir(parents=not shared, exist_ok=True)
            access = os.O_RDONLY if shared else os.O_RDWR
            self._file = os.open(self._path, access | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if shared and error.errno in (errno.ENOENT, errno.EROFS):
                return False
            raise self._refused(error, "read" if shared else "written") from error
        return True

    def _refused(self, error: OSError, done: str) -> DataFault:
        remedy = "make room or move it." if done == "written" else "repeat this when that is mended."
        if isinstance(error, PermissionError):
            remedy = f"give this account the right to have {self._path} {done}, or to make it."
        return DataFault(f"{self._what} cannot be {done} ({error.strerror}): {remedy}")

    def holder(self) -> str:
        """Say who has it."""
        written = os.pread(self._file, 200, 0).decode(errors="replace")
        return written if self._is_named and written else "another process"

    def verify(self) -> None:
        """Do nothing: the system keeps the lock as long as this process lives."""

    def release(self) -> None:
        """Give it back, or up."""
        if self._file >= 0:
            # Closing alone would leave the lock with a child that was forked meanwhile.
            fcntl.flock(self._file, fcntl.LOCK_UN)
            os.close(self._file)
            self._file = -1


class _SessionLock:
    """An advisory lock of PostgreSQL, on a connection of its own whose ends soon miss each other."""

    def __init__(self, database_url: str, store_url: str, name: str) -> None:
        self._database_url = database_url
        self._store_url = store_url
        digest = hashlib.sha256(f"propdesk-prices|{store_url}|{name}".encode()).digest()
        self._key = int.from_bytes(digest[:8], "big") >> 1
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def take(self, *, shared: bool) -> bool:
        function = "pg_try_advisory_lock_shared" if shared else "pg_try_advisory_lock"
        try:
            if self._connection is None:
                self._connection = psycopg.connect(
                    psycopg_dsn(self._database_url),
                    autocommit=True,
                    application_name=f"propdesk-prices {_own_name()}"[:63],
                    connect_timeout=CONNECT_TIMEOUT_S,
                    keepalives_idle=_IDLE_S,
                    keepalives_interval=_PROBE_S,
                    keepalives_count=_PROBES,
                    tcp_user_timeout=_LOST_S * 1000,
                    options=_SERVER_OPTIONS,
                )
            row = self._connection.execute(f"SELECT {function}(%s)".encode(), (self._key,)).fetchone()
        except psycopg.Error as error:
            raise DataFault(
                f"The price store {self._store_url} lies on an object store, where writers and readers take "
                f"turns by the database, which does not answer ({_first_line(error)}): start the system with "
                "`python3 run.py up`."
            ) from error
        return row is not None and bool(row[0])

    def holder(self) -> str:
        assert self._connection is not None  # noqa: S101 - asked after `take` said no
        found = self._connection.execute(
            "SELECT string_agg(DISTINCT a.application_name, ', ') FROM pg_locks l"
            " JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted"
            " AND l.objsubid = 1 AND l.database = (SELECT oid FROM pg_database"
            " WHERE datname = current_database()) AND (l.classid::bigint << 32 | l.objid::bigint) = %s",
            (self._key,),
        ).fetchone()
        return str(found[0]) if found and found[0] else "another process"

    def verify(self) -> None:
        try:
            assert self._connection is not None  # noqa: S101 - a turn is verified while it is held
            self._connection.execute("SELECT 1")
        except psycopg.Error as error:
            raise DataFault(
                f"The turn at the price store {self._store_url} was lost with the database's connection "
                f"({_first_line(error)}): nothing was stored; repeat this."
            ) from error

    def release(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _own_name() -> str:
    return f"process {os.getpid()} on {platform.node()}"


def _log(sentence: str) -> None:
    get_logger().warning("price store is busy", detail=sentence)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
