"""A MongoDB collection as a source of step 1: the rules of files, resumable, deletions seen (§1.4)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Any, Final

import psycopg
from sqlalchemy import Engine

from adapters.db.engine import begin
from adapters.db.repos.collections import known_keys, read_position, save_position
from adapters.db.repos.signal_log import LogEntry, log_deleted_keys, mongo_chain
from adapters.mongo.batch import posted_documents
from adapters.mongo.follow import CollectionReader, HistoryLost
from adapters.settings import Settings
from adapters.uploads.ingest import Door, ProgressCallback, UploadProgress, UploadSummary, ingest_documents
from propdesk.core.calendar import MarketCalendar
from propdesk.core.clock import Clock, from_ns
from propdesk.intake import SourceProfile
from propdesk.model.live import CollectionBatch, CollectionPosition, KeyedDocument

BATCH_SIZE: Final = 20_000
"""Documents of one transaction; a reading that is cut off goes on after the last of them."""
_KEYS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class CollectionSummary:
    """What a reading brought, summed over its batches; counts as in `UploadSummary`."""

    collection: str
    batches: int
    rows_read: int
    rows_accepted: int
    rows_duplicate: int
    rows_revised: int
    rows_quarantined: int
    rows_deleted: int
    history_lost: bool
    upload_ids: tuple[str, ...]
    trade_dates: tuple[date, ...]


class _Intake:
    """Takes batches of one collection in, each in one transaction with the position after it."""

    def __init__(
        self,
        engine: Engine,
        collection: str,
        profile: SourceProfile | str,
        calendar: MarketCalendar,
        clock: Clock,
        settings: Settings,
        progress: ProgressCallback | None,
        uploaded_by: str,
    ) -> None:
        self.engine = engine
        self.collection = collection
        self.chain = mongo_chain(settings.mongo_database, collection)
        self._profile = profile
        self._calendar = calendar
        self._clock = clock
        self._settings = settings
        self._progress = progress
        self._uploaded_by = uploaded_by
        self._done: list[UploadSummary] = []

    def take(self, batch: CollectionBatch) -> None:
        """Land one batch; one that is empty leaves the position and no upload record."""

        def finish(connection: psycopg.Connection[Any], entry: LogEntry) -> int:
            gone = log_deleted_keys(connection, entry, batch.deleted_keys) if batch.deleted_keys else 0
            save_position(connection, self.chain, batch.position, entry.logged_at)
            return gone

        if batch.documents or batch.deleted_keys:
            self.ingest(batch.documents, Door(self.chain, finish=finish))
            return
        with begin(self.engine) as connection:
            moment = from_ns(self._clock.now_ns())
            save_position(connection, self.chain, batch.position, moment)

    def ingest(self, documents: Iterable[KeyedDocument], door: Door) -> None:
        """Land documents in one transaction."""
        before = sum(one.rows_read for one in self._done)
        refused = sum(one.rows_quarantined for one in self._done)

        def told(state: UploadProgress) -> None:
            if self._progress is not None:
                rows, bad = before + state.rows_read, refused + state.rows_quarantined
                self._progress(UploadProgress(rows, bad, state.rows_per_second))

        self._done.append(
            ingest_documents(
                self.engine,
                documents,
                self._profile,
                self._calendar,
                self._clock,
                self._settings,
                told,
                name=self.chain,
                uploaded_by=self._uploaded_by,
                door=door,
            )
        )

    def take_deletions(self, reader: CollectionReader, keys: list[str], batch: CollectionBatch) -> None:
        """Log which of these known documents are no longer there."""
        gone = sorted(set(keys) - reader.present(keys))
        if gone:
            self.take(CollectionBatch((), tuple(gone), batch.position))

    def summary(self, *, history_lost: bool) -> CollectionSummary:
        """Sum up."""
        days = sorted({day for one in self._done for day in one.trade_dates})

        def total(name: str) -> int:
            return sum(int(getattr(one, name)) for one in self._done)

        return CollectionSummary(
            self.collection,
            len(self._done),
            total("rows_read"),
            total("rows_accepted"),
            total("rows_duplicate"),
            total("rows_revised"),
            total("rows_quarantined"),
            total("rows_deleted"),
            history_lost,
            tuple(one.upload_id for one in self._done),
            tuple(days),
        )


def ingest_collection(
    engine: Engine,
    collection: str,
    profile: SourceProfile | str,
    calendar: MarketCalendar,
    clock: Clock,
    settings: Settings,
    progress: ProgressCallback | None = None,
    *,
    days: tuple[date, date] | None = None,
    uploaded_by: str = "cli",
    batch_size: int = BATCH_SIZE,
) -> CollectionSummary:
    """Bring a collection in.

    Parameters
    ----------
    collection : str
        In the database of the settings.
    days : (date, date), optional
        Only documents posted on these IST days, both included, in one transaction; deletions cannot be seen
        this way. Without it the collection is read through once and then followed by its change stream:
        each call takes what is new, edited or deleted since the last one, whose position is stored in the
        transaction of the rows.

    Returns
    -------
    CollectionSummary
        Records; a repeat costs nothing.

    Raises
    ------
    MongoUnreachable
        If the server does not answer; what was taken before stays, with its position.
    """
    intake = _Intake(engine, collection, profile, calendar, clock, settings, progress, uploaded_by)
    if days is not None:
        place = (settings.mongo_dsn(), settings.mongo_database, collection)
        with posted_documents(*place, *days) as documents:
            first = next(documents, None)
            if first is not None:  # no upload record for nothing
                intake.ingest(chain([first], documents), Door(intake.chain))
        return intake.summary(history_lost=False)
    with CollectionReader(settings.mongo_dsn(), settings.mongo_database, collection, batch_size) as reader:
        return _follow(intake, reader)


def _follow(intake: _Intake, reader: CollectionReader) -> CollectionSummary:
    with begin(intake.engine) as connection:
        position = read_position(connection, intake.chain)
        had_documents = bool(known_keys(connection, intake.chain, "", 1))
    is_lost = False
    token = None if position is None or position.last_key is not None else position.token
    if token is not None:
        try:
            for batch in reader.changes(token):
                intake.take(batch)
        except HistoryLost:
            is_lost, position = True, None
        else:
            return intake.summary(history_lost=False)
    last = None
    for batch in reader.read_through(position):
        intake.take(batch)
        last = batch
    if last is None or last.position.token is None:
        return intake.summary(history_lost=is_lost)
    if had_documents:
        _sweep(intake, reader, last)
    # Only now: a process that dies before must compare again, for no change stream tells of the gap.
    intake.take(CollectionBatch((), (), CollectionPosition(last.position.token, None)))
    for batch in reader.changes(last.position.token):
        intake.take(batch)
    return intake.summary(history_lost=is_lost)


def _sweep(intake: _Intake, reader: CollectionReader, last: CollectionBatch) -> None:
    """After a reading of the whole collection, log the documents known before that it no longer holds."""
    after = ""
    while True:
        with begin(intake.engine) as connection:
            keys = known_keys(connection, intake.chain, after, _KEYS_AT_ONCE)
        if not keys:
            return
        intake.take_deletions(reader, keys, last)
        after = keys[-1]
