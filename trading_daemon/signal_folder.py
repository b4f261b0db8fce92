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
from dataclasses import dataclass
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
from adapters.uploads.readers import BadRow, UploadReader
from propdesk.core.clock import Clock, from_ns
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
_BATCH: Final = 500
_RAW_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Reading:
    """A file taken apart: documents to put down, and rows that cannot be, each with its reason."""

    documents: list[dict[str, object]]
    bad: list[dict[str, object]]


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
        for left in sorted((*self._folder.glob(f"{TAKEN}/*"), *self._folder.glob(f"*/{TAKEN}/*"))):
            await self._bring(left)
        now = look_at_folder(self._folder, put_away=(ACCEPTED, REJECTED, TAKEN))
        before, self._seen = self._seen, now
        for name in choose_stable(now, before):
            if not is_being_written(self._folder / name):
                await self._bring(self._folder / name)

    async def _bring(self, path: Path) -> None:
        """Bring one file in; one that cannot be moved holds up no other."""
        try:
            await self._put_down(path if path.parent.name == TAKEN else self._take(path))
        except OSError as fault:
            self._log.error("signal_file_stuck", file=path.name, reason=str(fault))

    def _take(self, path: Path) -> Path:
        """Rename a file, so that the same name can be dropped again and nobody takes it twice."""
        stamp = from_ns(self._clock.now_ns()).strftime("%Y%m%dT%H%M%S.%fZ")
        return _moved(path, path.parent / TAKEN, f"{stamp}-{path.name}")

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
        _moved(taken, home / ACCEPTED, taken.name)
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


def is_being_written(path: Path) -> bool:
    """Tell whether a process of this machine has a file open for writing.

    Notes
    -----
    Linux grants a read lease only on a file that nobody writes. Where the file system grants none at all, or
    the file is somebody else's, the two looks have to do.
    """
    try:
        with path.open("rb") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


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
