"""Signals by file: what is dropped into a folder while the day runs is heard at once (§5.9).

A file is taken by renaming it, read, put down, and moved on. Whoever dies in between finds it again where it
was renamed to; putting the same down twice adds nothing.
"""

import asyncio
import fcntl
import json
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from adapters.mongo.batch import MongoUnreachable
from adapters.mongo.landing import DocumentFault, SignalLanding
from adapters.settings import Settings
from adapters.uploads.folder import (
    ACCEPTED,
    REJECTED,
    Stamp,
    choose_stable,
    look_at_folder,
    profile_of,
)
from adapters.uploads.limits import UploadFault, UploadLimits
from adapters.uploads.profiles import load_profile
from adapters.uploads.readers import BadRow, UploadFormat, UploadReader
from propdesk.core.clock import NS_PER_SECOND, Clock, from_ns
from propdesk.core.errors import ConfigFault
from propdesk.intake.parse import IntakeTimes, land_row
from propdesk.intake.profile import SourceProfile
from propdesk.intake.reasons import Rejection
from trading_daemon.landing import Landing, judge_document
from trading_daemon.ports import Log

TAKEN: Final = "taken"
"""Subfolder of files that are being read."""
LOOK_S: Final = 1.0
"""A file that did not change between two looks, and that nobody has open for writing, is complete."""
REST_S: Final = 30
"""How long a file is left unchanged where nobody can be asked who writes it, s."""
UNENDED_S: Final = 600
"""A file whose last line has not ended is waited for so long, s, and then put aside."""
RETRY_S: Final = 60
"""A file that could not be moved is tried again after this, s."""
_ACCEPTED_MAX: Final = 1_000
"""Accepted files that are watched for late writers."""
_COMPRESSED: Final = (b"\x1f\x8b", b"PK")
_BATCH: Final = 500
_RAW_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Reading:
    """A file taken apart: documents to put down, and rows that cannot be, each with its reason."""

    documents: list[dict[str, object]]
    bad: list[dict[str, object]]


class Writer(StrEnum):
    """Whether somebody of this machine writes a file."""

    NOBODY = "nobody"
    SOMEBODY = "somebody"
    UNKNOWN = "unknown"
    """Whoever looks may not ask: the file is another user's, or its file system does not tell."""


class SignalFolder:
    """Watches a folder.

    Parameters
    ----------
    folder : Path
        Made if it is not there. Files may lie in it or in a subfolder named after a source profile.
    landing : Landing
    clock : Clock
    log : Log
    limits : UploadLimits
        Of one file.
    age_max_s : int
        As `judge_document` has it.
    """

    def __init__(
        self, folder: Path, landing: Landing, clock: Clock, log: Log, limits: UploadLimits, *, age_max_s: int
    ) -> None:
        self._folder = folder
        self._landing = landing
        self._clock = clock
        self._log = log
        self._limits = limits
        self._age_max_s = age_max_s
        self._seen: dict[str, Stamp] = {}
        self._since: dict[Path, tuple[Stamp, int]] = {}
        self._stuck: dict[Path, int] = {}
        self._told: set[Path] = set()
        self._accepted: dict[Path, Stamp] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Look again and again until asked to stop."""
        self._folder.mkdir(parents=True, exist_ok=True)
        while not stop.is_set():
            try:
                await self.look()
            except (OSError, MongoUnreachable) as fault:
                self._log.error("signal_folder_waits", folder=str(self._folder), reason=str(fault))
            try:
                async with asyncio.timeout(LOOK_S):
                    await stop.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Take the files that are complete, after those that an earlier life left behind.

        Raises
        ------
        MongoUnreachable
            The file at hand stays where it is, and comes first at the next look.
        """
        self._watch_accepted()
        for left in sorted((*self._folder.glob(f"{TAKEN}/*"), *self._folder.glob(f"*/{TAKEN}/*"))):
            if self._is_complete(left):
                await self._bring(left)
        now = look_at_folder(self._folder, put_away=(ACCEPTED, REJECTED, TAKEN), on_fault=self._pass_over)
        before, self._seen = self._seen, now
        known = {self._folder / name for name in now}
        self._since = {p: since for p, since in self._since.items() if p in known or p.parent.name == TAKEN}
        complete = {
            name: stamp
            for name, stamp in now.items()
            if before.get(name) == stamp and self._is_complete(self._folder / name)
        }
        for name in choose_stable(complete, complete):
            await self._bring(self._folder / name)

    def _is_complete(self, path: Path) -> bool:
        """Tell whether a file has rested long enough, and is not one that cannot be moved."""
        now_ns = self._clock.now_ns()
        if self._stuck.get(path, 0) > now_ns:
            return False
        try:
            stamp, writer, has_end = _stamp(path), writer_of(path), self._has_end(path)
        except OSError:
            return True  # taking it says what is wrong
        held, since_ns = self._since.get(path, (stamp, now_ns))
        if held != stamp:
            since_ns = now_ns
        self._since[path] = (stamp, since_ns)
        if writer is Writer.SOMEBODY:
            return False
        wanted_s = (0 if writer is Writer.NOBODY else REST_S) if has_end else UNENDED_S
        if wanted_s and now_ns == since_ns:
            self._log.warning(
                "signal_file_rests", file=path.name, rest_s=wanted_s, writer=writer.value, has_end=has_end
            )
        return now_ns - since_ns >= wanted_s * NS_PER_SECOND

    def _has_end(self, path: Path) -> bool:
        """Tell whether the last line of a file of lines has ended; other formats say themselves."""
        try:
            profile = load_profile(profile_of(self._name(path)))
            kind = UploadReader(path, profile, self._limits).format
        except (UploadFault, ConfigFault):
            return True  # reading it says what is wrong
        return kind not in (UploadFormat.CSV, UploadFormat.JSON_LINES) or _ends_a_line(path)

    def _name(self, path: Path) -> str:
        """Name a file below the folder as if it had not been taken."""
        home = path.parent.parent if path.parent.name == TAKEN else path.parent
        return (home.relative_to(self._folder) / path.name).as_posix()

    def _pass_over(self, place: Path, fault: OSError) -> None:
        if place not in self._told:
            self._told.add(place)
            self._log.error("signal_place_passed_over", place=str(place), reason=str(fault))

    def _watch_accepted(self) -> None:
        """Cry out where somebody wrote on after a file had been read: those rows are not heard."""
        for path, stamp in list(self._accepted.items()):
            with suppress(OSError):  # moved on by a person
                if _stamp(path) == stamp:
                    continue
                sentence = "it was written to after it had been read: drop what is new as a file of its own\n"
                _write(path.parent.parent / REJECTED / f"{path.name}.reason.txt", sentence)
                self._log.error("signal_file_grew_after_it_was_read", file=path.name)
            del self._accepted[path]

    async def _bring(self, path: Path) -> None:
        """Bring one file in; one that cannot be moved holds up no other."""
        try:
            await self._put_down(path if path.parent.name == TAKEN else self._take(path))
        except OSError as fault:
            if path not in self._stuck:
                self._log.error("signal_file_stuck", file=path.name, reason=str(fault))
            self._stuck[path] = self._clock.now_ns() + RETRY_S * NS_PER_SECOND
        else:
            self._stuck.pop(path, None)

    def _take(self, path: Path) -> Path:
        """Rename a file, so that the same name can be dropped again and nobody takes it twice."""
        stamp = from_ns(self._clock.now_ns()).strftime("%Y%m%dT%H%M%S.%fZ")
        taken = _moved(path, path.parent / TAKEN, f"{stamp}-{path.name}")
        if path in self._since:
            self._since[taken] = self._since.pop(path)
        return taken

    async def _read(self, taken: Path, profile: SourceProfile) -> Reading:
        now_ns = self._clock.now_ns()
        try:
            return await asyncio.to_thread(read_file, taken, profile, self._limits, now_ns, self._age_max_s)
        except OSError as error:
            raise UploadFault(f"it cannot be read ({error.strerror}): let this process read it") from None

    async def _put_down(self, taken: Path) -> None:
        home = taken.parent.parent
        stamp = _stamp(taken)
        try:
            profile = load_profile(profile_of(taken.parent.relative_to(self._folder).as_posix()))
            if not self._has_end(taken):
                raise UploadFault(
                    "its last line has not ended, so that part of it may be missing: end the line"
                )
            read = await self._read(taken, profile)
            for first in range(0, len(read.documents), _BATCH):
                await self._landing.land(f"folder:{profile.name}", read.documents[first : first + _BATCH])
        except (UploadFault, ConfigFault, DocumentFault) as fault:
            _write(home / REJECTED / f"{taken.name}.reason.txt", f"{fault}\n")
            _moved(taken, home / REJECTED, taken.name)
            self._log.error("signal_file_rejected", file=taken.name, reason=str(fault))
            return
        if _stamp(taken) != stamp:
            return  # written to meanwhile: it is read anew at the next look, which adds what is new
        if read.bad:
            rows = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in read.bad)
            _write(home / REJECTED / f"{taken.name}.rows.jsonl", rows)
            self._log.warning("signal_rows_rejected", file=taken.name, rows=len(read.bad))
        self._accepted[_moved(taken, home / ACCEPTED, taken.name)] = stamp
        self._since.pop(taken, None)
        if len(self._accepted) > _ACCEPTED_MAX:
            del self._accepted[next(iter(self._accepted))]
        self._log.info("signal_file_taken", file=taken.name, documents=len(read.documents))


def read_file(
    path: Path, profile: SourceProfile, limits: UploadLimits, now_ns: int, age_max_s: int
) -> Reading:
    """Take a file apart.

    Parameters
    ----------
    path : Path
    profile : SourceProfile
    limits : UploadLimits
    now_ns : int
        Moment of receipt, ns UTC.
    age_max_s : int
        Ideas posted longer ago are history, and left out with that reason.

    Returns
    -------
    Reading
        In the order of the file.

    Raises
    ------
    UploadFault
        If it cannot be read as a whole.
    """
    if path.is_symlink():
        raise UploadFault("it is a link, which may lead anywhere: put the file itself here")
    documents: list[dict[str, object]] = []
    bad: list[dict[str, object]] = []
    for row in UploadReader(path, profile, limits):
        if isinstance(row, BadRow):
            bad.append(_bad(row.number, [row.reason.value], row.message, row.raw))
            continue
        for record in land_row(
            row.fields, profile, IntakeTimes(now_ns), field_length_max=limits.field_length_max
        ):
            if isinstance(record, Rejection):
                reasons = [reason.value for reason in record.reasons]
                bad.append(_bad(row.number, reasons, record.message, json.dumps(row.fields)))
                continue
            judged = judge_document(record.content, now_ns, age_max_s)
            if judged.is_history:
                bad.append(_bad(row.number, ["HISTORY"], judged.problem, json.dumps(row.fields)))
            else:
                documents.append(judged.document)
    return Reading(documents, bad)


def writer_of(path: Path) -> Writer:
    """Ask whether a process of this machine has a file open for writing.

    Notes
    -----
    Linux grants a read lease only on a file that nobody writes, to its owner or a privileged process.
    """
    try:
        with path.open("rb") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return Writer.SOMEBODY
    except OSError:
        return Writer.UNKNOWN
    return Writer.NOBODY


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(2) in _COMPRESSED:
            return True  # it says itself where it ends
        file.seek(-1, os.SEEK_END)
        return file.read(1) in b"\r\n"


def watch_folder(settings: Settings, clock: Clock, log: Log) -> None:
    """Watch the folder of the settings until a signal asks to stop.

    Raises
    ------
    NotConfigured
        If MongoDB is not known.
    """
    asyncio.run(_watch(settings, clock, log))


async def _watch(settings: Settings, clock: Clock, log: Log) -> None:
    stop = asyncio.Event()
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # sent to who holds a lease when somebody begins to write
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    landing = SignalLanding(settings.mongo_dsn(), settings.mongo_database, settings.mongo_collection, clock)
    limits = UploadLimits.for_http(settings)
    try:
        await SignalFolder(
            settings.signal_dir, landing, clock, log, limits, age_max_s=settings.door_age_max_s
        ).run(stop)
    finally:
        await landing.close()


def _bad(number: int, reasons: Sequence[str], message: str, raw: str) -> dict[str, object]:
    return {"row": number, "reasons": list(reasons), "message": message, "raw": raw[:_RAW_MAX]}


def _stamp(path: Path) -> Stamp:
    stat = path.lstat()
    return stat.st_size, stat.st_mtime_ns


def _moved(path: Path, folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    return path.rename(folder / name)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
