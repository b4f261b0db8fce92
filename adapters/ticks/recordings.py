"""What a daemon's feed showed of a day: an append-only log per account and day, written by one process.

``<home>/recordings/<account>/<YYYY-MM-DD>.recording`` is lines of JSON: first an object that says what it is,
then lists. A list of `_FIELDS` is the state of one minute, of which the newest counts; a list of two numbers
says from when to when the feed was heard without a break (ns UTC), of equal beginnings the latest end counts.
A process that dies leaves at most one torn line; one that died before its first is an empty recording.
"""

import contextlib
import errno
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from adapters.ticks.turns import FileLock
from propdesk.core.calendar import ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE
from propdesk.core.errors import DataFault
from propdesk.core.limits import PRICE_PAISE_MAX
from propdesk.intake.minutes import UNKNOWN, MinuteSeen, cut_off

SUFFIX: Final = ".recording"
_FORMAT: Final = 1
_FIELDS: Final = (
    "price_key", "start_ns", "since_ns", "open_paise", "high_paise", "low_paise", "close_paise", "volume_to",
    "bid_paise", "ask_paise", "is_broken",
)  # fmt: skip
_LINES_AT_ONCE: Final = 64 * 1024
_HEAD_MAX: Final = 4_096
_LOCK: Final = "writer"


class AlreadyRecorded(DataFault):
    """Another process records this account."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a log holds.

    Attributes
    ----------
    day : date
        IST day.
    account_id, origin : str
        Whose daemon recorded it, and from which feed.
    minutes : tuple of MinuteSeen
        One per series and minute, by both; those in which the watch ended are marked so.
    watches : tuple of (int, int)
        First and last moment heard of each watch without a break, ns UTC, rising.
    unreadable : tuple of str
        Lines that are no state of a minute of that day.
    """

    day: date
    account_id: str
    origin: str
    minutes: tuple[MinuteSeen, ...]
    watches: tuple[tuple[int, int], ...]
    unreadable: tuple[str, ...]


def recordings_folder(home: Path, account_id: str) -> Path:
    """Name the folder of an account's recordings."""
    return home / "recordings" / account_id


def recording_path(folder: Path, day: date) -> Path:
    """Name the recording of an IST day in an account's folder."""
    return folder / f"{day.isoformat()}{SUFFIX}"


def past_recordings(home: Path, today: date) -> list[Path]:
    """List the recordings of all accounts whose day is over, by day and account."""
    found = []
    for path in (home / "recordings").glob(f"*/*{SUFFIX}"):
        with contextlib.suppress(ValueError):
            found.append((date.fromisoformat(path.stem), path.parent.name, path))
    return [path for day, _, path in sorted(found) if day < today]


def split_recordings(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Tell recordings, also those in folders, from what else was named.

    Returns
    -------
    tuple of (list of Path, list of Path)
        Other files and folders, without the folders that hold recordings alone; and the recordings.
    """
    others, found = [], []
    for path in paths:
        inside = sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else []
        if path.suffix == SUFFIX:
            found.append(path)
        elif not inside or any(
            one.is_file() and one not in inside and one.name != _LOCK for one in path.rglob("*")
        ):
            others.append(path)
        found += inside
    return others, found


class Recorder:
    """Writes the recording of one account and day; whoever holds the account's lock is the only one.

    Parameters
    ----------
    folder : Path
        The account's (`recordings_folder`).
    day : date
        IST day.
    account_id, origin : str
        As of `Recording`.

    Notes
    -----
    Nothing is synced to the disk: what was written outlives the process, not the machine's power.
    """

    def __init__(self, folder: Path, day: date, account_id: str, origin: str) -> None:
        self._folder = folder
        self._path = recording_path(folder, day)
        self._head = {"format": _FORMAT, "day": day.isoformat(), "account": account_id, "origin": origin}
        self._lock = FileLock(folder / _LOCK, f"The recording in {folder}")
        self._file = -1
        self._size = 0

    def open(self) -> tuple[MinuteSeen, ...]:
        """Take the account's lock and give what is recorded of the day already; blocks on a slow disk.

        Raises
        ------
        AlreadyRecorded
            If another process has the lock.
        DataFault, OSError
            If the folder cannot be written, or what is there is no recording from this feed: it may be tried
            again.
        """
        if not self._lock.take(shared=False):
            holder = self._lock.holder()
            self._lock.release()
            raise AlreadyRecorded(f"{self._folder} is being written by {holder}: nothing is recorded here.")
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._size = _whole_lines(self._path)
            if not self._size:
                return ()
            origin = recorded_origin(self._path)
            if origin != self._head["origin"]:
                raise DataFault(
                    f"{self._path} is a recording of the feed {origin}, not of {self._head['origin']}: "
                    "move it away to record this one."
                )
            return read_recording(self._path).minutes
        except (OSError, DataFault):
            self.close()
            raise

    def append(self, minutes: Sequence[MinuteSeen], watch: tuple[int, int] | None) -> None:
        """Write states of minutes, then from when to when the feed was heard; all of it or nothing.

        Raises
        ------
        OSError
            If the disk is full or takes nothing, or the file was removed; it may be tried again.
        """
        lines = [] if self._size else [_line(self._head)]
        lines += [_line([getattr(one, name) for name in _FIELDS]) for one in minutes]
        if watch is not None:
            lines.append(_line(watch))
        data = "".join(lines).encode()
        stands = os.fstat(self._file)
        if not stands.st_nlink:
            raise FileNotFoundError(
                errno.ENOENT, "the recording was removed while it was written: start again"
            )
        if stands.st_size != self._size:  # the rest of a write that failed, or of a dead process
            os.ftruncate(self._file, self._size)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def close(self) -> None:
        """Let go of file and lock."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._lock.release()


def recorded_origin(path: Path) -> str:
    """Tell from which feed a recording is, by its first line alone; empty where nothing was written.

    Raises
    ------
    DataFault
        If it cannot be read or is none.
    """
    return _head_of(path)[0]


def read_recording(path: Path) -> Recording:
    """Read a recording, as far as it was written.

    Raises
    ------
    DataFault
        If it cannot be read or is none.
    """
    origin, account_id = _head_of(path)
    day = date.fromisoformat(path.stem)
    try:
        minutes, watches, unreadable = _fold(_newest(path), day)
        if unreadable:  # what a damaged line hides may stand in an older one
            minutes, watches, unreadable = _fold(_lines(path), day)
    except OSError as error:
        raise _unreadable(path, error) from error
    alive_ns = max(watches.values(), default=0)
    ordered = sorted(cut_off(minutes, alive_ns), key=lambda one: (one.price_key, one.start_ns))
    return Recording(day, account_id, origin, tuple(ordered), tuple(sorted(watches.items())), unreadable)


def _head_of(path: Path) -> tuple[str, str]:
    """Give origin and account; a file that ends in its first line holds nothing yet."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            first = file.readline(_HEAD_MAX)
    except OSError as error:
        raise _unreadable(path, error) from error
    head = _json(first)
    if not first.endswith("\n") and len(first) < _HEAD_MAX:
        return "", path.parent.name
    if not isinstance(head, dict) or head.get("format") != _FORMAT or head.get("day") != path.stem:
        raise DataFault(f"{path} is no recording of its day by this version: its first line does not say so.")
    return str(head.get("origin")), str(head.get("account"))


def _unreadable(path: Path, error: OSError) -> DataFault:
    return DataFault(f"{path} cannot be read ({error.strerror}): repeat this when that is mended.")


def _lines(path: Path) -> Iterator[str]:
    """Give the lines after the first; what follows the last line end is torn, or nothing."""
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        file.readline()
        for line in file:
            if line.endswith("\n"):
                yield line[:-1]


def _newest(path: Path) -> Iterable[str]:
    """Give of each minute the newest line, and every other line; a day has a dozen lines of each minute.

    What tells them apart is the text up to the second comma, key and start: reading all of them as JSON
    would take minutes for a day of many series.
    """
    newest: dict[str, str] = {}
    for line in _lines(path):
        newest[line[: line.find(",", line.find('",') + 2)]] = line
    return newest.values()


def _fold(lines: Iterable[str], day: date) -> tuple[list[MinuteSeen], dict[int, int], tuple[str, ...]]:
    """Give the newest state of each minute, the watches by their beginning, and what is neither."""
    newest: dict[tuple[str, int], MinuteSeen] = {}
    watches: dict[int, int] = {}
    unreadable = []
    for line in lines:
        row = _json(line)
        if _is_watch(row):
            watches[row[0]] = max(watches.get(row[0], row[0]), row[1])
        elif isinstance(row, list) and (minute := _minute(row, day)) is not None:
            newest[minute.price_key, minute.start_ns] = minute
        else:
            unreadable.append(line)
    return list(newest.values()), watches, tuple(unreadable)


def _is_watch(row: object) -> bool:
    is_pair = isinstance(row, list) and len(row) == 2 and all(type(one) is int for one in row)
    return is_pair and 0 < row[0] <= row[1]  # type: ignore[index] # a list, see above


def _line(value: object) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _minute(row: list[Any], day: date) -> MinuteSeen | None:
    """Read the state of a minute; None where it is none of that day, or impossible."""
    if len(row) != len(_FIELDS):
        return None
    key, *numbers, is_broken = row
    if not isinstance(key, str) or not key or type(is_broken) is not bool:
        return None
    if not all(type(number) is int and abs(number) < 2**63 for number in numbers):
        return None
    minute = MinuteSeen(*row)
    since_midnight = minute.start_ns - ist_midnight_ns(day)
    is_of_day = 0 <= since_midnight < NS_PER_DAY and since_midnight % NS_PER_MINUTE == 0
    return minute if is_of_day and _is_possible(minute) else None


def _is_possible(minute: MinuteSeen) -> bool:
    prices = (minute.low_paise, minute.open_paise, minute.close_paise, minute.high_paise)
    is_bar = 0 < min(prices) == minute.low_paise and max(prices) == minute.high_paise <= PRICE_PAISE_MAX
    quoted = (minute.bid_paise, minute.ask_paise)
    is_quote = all(one == UNKNOWN or 0 < one <= PRICE_PAISE_MAX for one in quoted)
    return is_quote and minute.volume_to >= UNKNOWN and (is_bar or not any(prices))


def _whole_lines(path: Path) -> int:
    """Give the bytes up to the last line end."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        for stop, start in pairwise(_steps_back(end)):
            file.seek(start)
            at = file.read(stop - start).rfind(b"\n")
            if at >= 0:
                return start + at + 1
    return 0


def _steps_back(end: int) -> Iterator[int]:
    yield end
    while end > 0:
        end = max(end - _LINES_AT_ONCE, 0)
        yield end
