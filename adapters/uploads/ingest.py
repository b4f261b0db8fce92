"""Step 1's door: a file or a batch of documents lands completely or not at all (§1.3)."""

import hashlib
import json
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
from sqlalchemy import Engine

from adapters.ahead import one_ahead
from adapters.db.engine import DatabaseUnreachable, begin
from adapters.db.repos.instruments import read_derivative_listings
from adapters.db.repos.signal_log import LogEntry, changed_days, file_chain
from adapters.db.repos.uploads import (
    IncomingRow,
    QuarantinedRow,
    UploadRecord,
    UploadWriter,
    free_upload_id,
    incoming_schema,
    incoming_table,
    record_upload,
)
from adapters.settings import Settings
from adapters.uploads.blocks import Block, Row, block_of
from adapters.uploads.limits import UploadFault, UploadLimits
from adapters.uploads.profiles import load_profile
from adapters.uploads.readers import BadRow, UploadReader
from propdesk.core.calendar import IST_OFFSET_MINUTES, MarketCalendar, Segment, ist_date, segment_of
from propdesk.core.clock import NS_PER_MICROSECOND, NS_PER_MINUTE, NS_PER_SECOND, Clock
from propdesk.core.errors import GapFault
from propdesk.core.ids import derived_id
from propdesk.intake import (
    DerivativeListings,
    FullExport,
    IntakeTimes,
    LandedRecord,
    Rejection,
    RejectReason,
    SourceProfile,
    document_to_row,
    fold_symbol,
    land_row,
)
from propdesk.intake.parse import content_text
from propdesk.intake.reasons import RejectStage
from propdesk.model.enums import Category
from propdesk.model.live import KeyedDocument

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from propdesk.intake.plain_rows import PlainRows

_CHUNK = 10_000
_TOGETHER_MIN = 50
"""Fewer rows are sorted sooner one by one than column by column."""
_CONTENT_LENGTH_MAX = 20_000
_DAYS_KEPT = 100_000
"""Minutes whose trade date is remembered: a year of a busy market's."""
_DAY_MINUTES = 24 * 60
_DERIVATIVES = frozenset(category.value for category in Category if category.is_derivative)


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """How far an upload is; ``rows_per_second`` since its start."""

    rows_read: int
    rows_quarantined: int
    rows_per_second: float


ProgressCallback = Callable[[UploadProgress], None]


@dataclass(frozen=True, slots=True)
class UploadSummary:
    """What an upload brought.

    ``rows_read = rows_accepted + rows_duplicate + rows_revised + rows_quarantined``, counted in records
    (a message with two calls is two). ``rows_deleted``: records known before that the source has taken back;
    they stay where they are and are logged as DELETED. ``rows_unnamed``: refused rows of a full export that
    do not say which message they are; each may be any known record: nothing is taken for missing then.
    ``trade_dates``: partitions that changed, rising. ``seconds`` of wall time.
    """

    upload_id: str
    file_name: str
    sha256: str
    format: str
    rows_read: int
    rows_accepted: int
    rows_duplicate: int
    rows_revised: int
    rows_quarantined: int
    rows_deleted: int
    rows_unnamed: int
    trade_dates: tuple[date, ...]
    seconds: float

    @property
    def first_trade_date(self) -> date | None:
        """Oldest partition that changed; None where nothing landed."""
        return min(self.trade_dates, default=None)

    @property
    def last_trade_date(self) -> date | None:
        """Newest partition that changed; None where nothing landed."""
        return max(self.trade_dates, default=None)


@dataclass(frozen=True, slots=True)
class Door:
    """By which door rows come in.

    Attributes
    ----------
    chain : str
        Chain of the signal log (`adapters.db.repos.signal_log`).
    full_export : FullExport
        What the rows' silence about a known record says.
    finish : callable, optional
        Called in the same transaction once all has landed; returns how many records it logged as deleted.
    """

    chain: str
    full_export: FullExport = FullExport.NO
    finish: Callable[[psycopg.Connection[Any], LogEntry], int] | None = None


class Sorter:
    """Sorts rows into records to land and rows to quarantine, and dates them.

    Parameters
    ----------
    profile, calendar, times
        How to read, date and judge a row.
    first_day : date
        First partition; nothing lands before it.
    listings : DerivativeListings
        When cash stocks had listed derivatives.
    """

    def __init__(
        self,
        profile: SourceProfile,
        calendar: MarketCalendar,
        times: IntakeTimes,
        *,
        first_day: date,
        listings: DerivativeListings,
        field_length_max: int,
    ) -> None:
        self._profile = profile
        self._calendar = calendar
        self._times = times
        self._first_day = max(first_day, calendar.first_day)
        self._listings = listings
        self._field_length_max = field_length_max
        self.is_record_per_row = not profile.free_text
        self._days: dict[tuple[int, Segment], date | None] = {}
        self._day_spans: dict[tuple[int, Segment], list[tuple[int, date | None]]] = {}
        self._upload_day = calendar.trade_date(times.ingested_ns, Segment.CASH)

    def sort(self, outcome: Row | BadRow) -> Iterator[IncomingRow | QuarantinedRow]:
        """Sort one row; a message may hold several records."""
        if isinstance(outcome, BadRow):
            refusal = Rejection(RejectStage.INGEST, (outcome.reason,), outcome.message)
            yield self._refused(outcome, refusal, outcome.raw, outcome.message_id)
            return
        records = land_row(
            outcome.fields, self._profile, self._times, field_length_max=self._field_length_max
        )
        for record in records:
            dated = record if isinstance(record, Rejection) else self._date(outcome, record)
            if isinstance(dated, Rejection):
                raw = json.dumps(outcome.fields)
                message_id = outcome.fields.get("source_message_id")
                yield self._refused(outcome, dated, raw, message_id)
            else:
                yield dated

    def sort_together(
        self, outcomes: Block | Sequence[Row | BadRow]
    ) -> "tuple[pa.Table, list[QuarantinedRow]]":
        """Sort rows of a file, each of which is one record: plain ones column by column, others one by one.

        Parameters
        ----------
        outcomes : Block or sequence of Row and BadRow
            Without keys of their source, and not of a profile of free text.

        Returns
        -------
        (Table, list of QuarantinedRow)
            Records as `adapters.db.repos.uploads.incoming_table` gives them, and what was refused, each in
            the order of the rows. The same as `sort` gives.
        """
        import pyarrow as pa

        places, plain = self._plain(outcomes)
        rest = np.setdiff1d(np.arange(len(outcomes)), places, assume_unique=True).tolist()
        taken: list[int] = []
        good: list[IncomingRow] = []
        bad: list[QuarantinedRow] = []
        for place in rest:
            for one in self.sort(outcomes.row(place) if isinstance(outcomes, Block) else outcomes[place]):
                if isinstance(one, IncomingRow):
                    taken.append(place)
                    good.append(one)
                else:
                    bad.append(one)
        if not good:
            return plain, bad
        order = np.argsort(np.concatenate([places, np.array(taken, dtype=np.int64)]), kind="stable")
        return pa.concat_tables([plain, incoming_table(good)]).take(pa.array(order)), bad

    def _plain(self, outcomes: Block | Sequence[Row | BadRow]) -> "tuple[NDArray[np.int64], pa.Table]":
        """Land plain rows column by column; gives their positions and records."""
        if isinstance(outcomes, Block):
            block, own = outcomes, np.arange(len(outcomes))
        else:
            rows = [(place, one) for place, one in enumerate(outcomes) if isinstance(one, Row)]
            made = block_of([row for _, row in rows]) if len(rows) >= _TOGETHER_MIN else None
            if made is None:
                return np.empty(0, dtype=np.int64), incoming_table([])
            block, own = made, np.array([place for place, _ in rows])
        return self._plain_block(block, own)

    def _plain_block(self, block: Block, own: "NDArray[np.int64]") -> "tuple[NDArray[np.int64], pa.Table]":
        import pyarrow as pa

        from propdesk.intake.plain_rows import land_plain_rows

        landed = land_plain_rows(
            block.columns, self._profile, self._times, field_length_max=self._field_length_max
        )
        days = self._trade_dates(landed)
        columns = {
            "row_number": pa.array(np.asarray(block.numbers, dtype=np.int32)[landed.places]),
            "record_id": landed.record_ids,
            "trade_date": days,
            "kind": landed.kinds,
            "content_hash": landed.content_hashes,
            "received_at": pa.array(landed.received_ns // NS_PER_MICROSECOND, pa.int64()),
            "posted_at": pa.array(landed.posted_ns // NS_PER_MICROSECOND, pa.int64()),
            "content": landed.contents,
            "advisor_id": landed.advisor_ids,
            "source_key": pa.nulls(len(landed.places), pa.string()),
        }
        table = pa.table(columns).cast(incoming_schema())
        places = own[landed.places]
        if days.null_count:
            is_dated = days.is_valid()
            return places[is_dated.to_numpy(zero_copy_only=False)], table.filter(is_dated)
        return places, table

    def _trade_dates(self, landed: "PlainRows") -> "pa.Array":
        """Date landed rows; null outside the calendar."""
        import pyarrow as pa

        categories = landed.categories.dictionary_encode()
        is_derivative = [text.upper() in _DERIVATIVES for text in categories.dictionary.to_pylist()]
        symbols = landed.symbols.dictionary_encode()
        folded = [fold_symbol(text) for text in symbols.dictionary.to_pylist()]
        # What decides over the hours besides the day: being a derivative, or which symbol one is, if it ever
        # had any.
        names = ["", "", *sorted({name for name in folded if name in self._listings.spans})]
        codes = np.array([names.index(name) if name in names else 0 for name in folded], dtype=np.int64)
        derivative = np.array(is_derivative, dtype=bool)[categories.indices.to_numpy()]
        kinds = np.where(derivative, 1, codes[symbols.indices.to_numpy()])
        ist_days, minutes = np.divmod(landed.received_ns // NS_PER_MINUTE + IST_OFFSET_MINUTES, _DAY_MINUTES)
        found, inverse = np.unique(ist_days * len(names) + kinds, return_inverse=True)
        begins: list[int] = []
        days: list[date | None] = []
        for place, key in enumerate(found.tolist()):
            ist_day, kind = divmod(key, len(names))
            midnight = ist_day * _DAY_MINUTES - IST_OFFSET_MINUTES
            segment = self._segment(kind == 1, names[kind], midnight * NS_PER_MINUTE)
            for minute, day in self._spans(midnight, segment):
                begins.append(place * _DAY_MINUTES + minute)
                days.append(day)
        spans = np.searchsorted(np.array(begins), inverse * _DAY_MINUTES + minutes, side="right") - 1
        return pa.array(days, pa.date32()).take(pa.array(spans))

    def _spans(self, midnight: int, segment: Segment) -> list[tuple[int, date | None]]:
        """Trade dates over an IST day that begins with a minute: from which of its minutes on which one."""
        known = self._day_spans.get((midnight, segment))
        if known is not None:
            return known
        spans = [(0, self._trade_date(midnight, segment))]
        while spans[-1][1] != self._trade_date(midnight + _DAY_MINUTES - 1, segment):
            begin, current = spans[-1]
            # A date that has passed does not come back within a day: the next one can be halved for.
            rest = range(begin, _DAY_MINUTES)
            place = bisect_left(
                rest, True, key=lambda minute: self._trade_date(midnight + minute, segment) != current
            )
            spans.append((rest[place], self._trade_date(midnight + rest[place], segment)))
        if len(self._day_spans) >= _DAYS_KEPT:
            self._day_spans.clear()
        self._day_spans[midnight, segment] = spans
        return spans

    def _date(self, row: Row, record: LandedRecord) -> IncomingRow | Rejection:
        is_derivative = record.content.get("category", "").upper() in _DERIVATIVES
        symbol = "" if is_derivative else fold_symbol(record.content.get("symbol", ""))
        segment = self._segment(is_derivative, symbol, record.received_ns)
        trade_date = self._trade_date(record.received_ns // NS_PER_MINUTE, segment)
        if trade_date is None:
            sentence = (
                f"it was received outside the market days from {self._first_day} to "
                f"{self._calendar.last_day} (setting first_day, config/market_calendar.yaml)"
            )
            return Rejection(RejectStage.INGEST, (RejectReason.BEYOND_CALENDAR,), sentence, record.record_id)
        return IncomingRow(
            row.number,
            record.record_id,
            trade_date,
            record.kind.value,
            record.content_hash,
            record.received_ns,
            record.posted_ns,
            content_text(record.content),
            record.content.get("advisor_id"),
            row.source_key,
        )

    def _trade_date(self, minute: int, segment: Segment) -> date | None:
        """Trade date of what was received in a minute (hours begin and end on one), if any."""
        if (minute, segment) in self._days:
            return self._days[minute, segment]
        received_ns = minute * NS_PER_MINUTE
        try:
            early = ist_date(received_ns) < self._first_day
            day = None if early else self._calendar.trade_date(received_ns, segment)
        except GapFault:
            day = None
        if len(self._days) >= _DAYS_KEPT:
            self._days.clear()
        self._days[minute, segment] = day
        return day

    def _segment(self, is_derivative: bool, symbol: str, received_ns: int) -> Segment:
        """Tell which hours decide; the symbol, folded, matters only where it is no derivative."""
        # By the day of receipt: its close is the one the record came before or after.
        has_derivatives = symbol in self._listings.spans and self._listings.include(
            symbol, ist_date(received_ns)
        )
        return segment_of(is_derivative=is_derivative, has_derivatives=has_derivatives)

    def _refused(
        self, outcome: Row | BadRow, refusal: Rejection, raw: str, message_id: str | None
    ) -> QuarantinedRow:
        return QuarantinedRow(
            outcome.number,
            self._upload_day,
            refusal.record_id,
            tuple(reason.value for reason in refusal.reasons),
            refusal.message,
            raw[:_CONTENT_LENGTH_MAX],
            (message_id or "").strip() or None,  # as `land_row` strips what it names a record by
            outcome.source_key,
        )


def ingest_file(
    engine: Engine,
    path: Path,
    profile: SourceProfile | str,
    calendar: MarketCalendar,
    clock: Clock,
    settings: Settings,
    progress: ProgressCallback | None = None,
    *,
    limits: UploadLimits | None = None,
    uploaded_by: str = "cli",
    file_name: str | None = None,
) -> UploadSummary:
    """Bring a signal file in, in one transaction.

    Parameters
    ----------
    path : Path
        CSV, JSON array, JSON lines or Parquet, plain or gzip.
    profile : SourceProfile or str
        How to read it, or the name of a profile under ``config/source_profiles``.
    clock : Clock
        Its time is ingested_at and bounds the stamps in the file.
    progress : callable, optional
        Called about every ten thousand rows.
    limits : UploadLimits, optional
        Default: those of files on this machine.
    file_name : str, optional
        Name to record, if not the path's.

    Returns
    -------
    UploadSummary
        Also stored in ``raw.uploads``.

    Raises
    ------
    UploadFault
        If the file as a whole cannot be taken; nothing of it stays but its record with the reason.
    """
    chosen = load_profile(profile) if isinstance(profile, str) else profile
    bounds = limits or UploadLimits.for_files(settings)
    name = file_name or path.name
    now_ns = clock.now_ns()
    digest = _sha256(path, name)
    record = UploadRecord(
        upload_id=derived_id("upload", digest, chosen.name, now_ns),
        file_name=name,
        sha256=digest,
        source_profile=chosen.name,
        format="UNKNOWN",
        uploaded_by=uploaded_by,
        ingested_ns=now_ns,
    )
    try:
        reader = UploadReader(path, chosen, bounds)
        record = replace(record, format=reader.format.value)
        door = Door(file_chain(chosen.name), chosen.full_export)
        return _ingest(engine, record, reader.pieces(), chosen, calendar, settings, bounds, progress, door)
    except DatabaseUnreachable:
        raise
    except (UploadFault, OSError, psycopg.Error) as error:
        raise _failed(engine, record, error) from error


def ingest_documents(
    engine: Engine,
    documents: Iterable[KeyedDocument],
    profile: SourceProfile | str,
    calendar: MarketCalendar,
    clock: Clock,
    settings: Settings,
    progress: ProgressCallback | None = None,
    *,
    name: str = "mongodb",
    uploaded_by: str = "pipeline",
    door: Door | None = None,
) -> UploadSummary:
    """Bring a batch of documents in, in one transaction; otherwise as `ingest_file`.

    Parameters
    ----------
    documents : iterable of KeyedDocument
        For example of a MongoDB cursor; read once.
    name : str
        Recorded as file name.
    door : Door, optional
        Default: the chain of ``name``.
    """
    chosen = load_profile(profile) if isinstance(profile, str) else profile
    now_ns = clock.now_ns()
    record = UploadRecord(
        upload_id=derived_id("upload", name, chosen.name, now_ns),
        file_name=name,
        sha256="",
        source_profile=chosen.name,
        format="DOCUMENTS",
        uploaded_by=uploaded_by,
        ingested_ns=now_ns,
    )
    bounds = UploadLimits.for_files(settings)
    try:
        rows = _document_rows(documents, chosen)
        entry = door or Door(name)
        return _ingest(engine, record, rows, chosen, calendar, settings, bounds, progress, entry)
    except DatabaseUnreachable:
        raise
    except (UploadFault, OSError, psycopg.Error) as error:
        raise _failed(engine, record, error) from error


def _document_rows(documents: Iterable[KeyedDocument], profile: SourceProfile) -> Iterator[Row | BadRow]:
    for number, (document, key) in enumerate(documents, start=1):
        row = document_to_row(document, profile)
        if isinstance(row, Rejection):
            raw = json.dumps(dict(document), default=str)
            yield BadRow(number, row.reasons[0], row.message, raw, source_key=key)
        else:
            yield Row(number, row, key)


def _ingest(
    engine: Engine,
    record: UploadRecord,
    rows: Iterator[Row | BadRow | Block],
    profile: SourceProfile,
    calendar: MarketCalendar,
    settings: Settings,
    limits: UploadLimits,
    progress: ProgressCallback | None,
    door: Door,
) -> UploadSummary:
    started = time.monotonic()
    times = intake_times(record.ingested_ns, settings)
    with begin(engine) as connection:
        sorter = Sorter(
            profile,
            calendar,
            times,
            first_day=settings.first_day,
            listings=read_derivative_listings(connection),
            field_length_max=limits.field_length_max,
        )
        record = replace(record, upload_id=free_upload_id(connection, record.upload_id))
        sent = _Sent(record.sha256)
        with UploadWriter(
            connection, record.upload_id, chain=door.chain, logged_ns=record.ingested_ns
        ) as writer:
            _send(_chunks(rows, sorter, sent), writer, sent, progress, started)
            landed = writer.land(door.full_export)
        finished = 0 if door.finish is None else door.finish(connection, writer.entry)
        days = sorted({*landed.trade_dates, *changed_days(connection, writer.entry)})
        record = replace(
            record,
            sha256=sent.digest,
            rows_read=sent.rows_read,
            rows_accepted=landed.accepted,
            rows_duplicate=landed.duplicate,
            rows_revised=landed.revised,
            rows_quarantined=sent.rows_quarantined,
            rows_deleted=landed.deleted + finished,
            first_trade_date=min(days, default=None),
            last_trade_date=max(days, default=None),
        )
        writer.record(record)
    return UploadSummary(
        record.upload_id,
        record.file_name,
        record.sha256,
        record.format,
        record.rows_read,
        record.rows_accepted,
        record.rows_duplicate,
        record.rows_revised,
        record.rows_quarantined,
        record.rows_deleted,
        landed.unnamed,
        tuple(days),
        time.monotonic() - started,
    )


@dataclass(slots=True)
class _Sent:
    """What has been read and sent, in records, and the digest of it all once it is at its end."""

    digest: str
    rows_read: int = 0
    rows_quarantined: int = 0


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Sorted rows: ``incoming`` by `incoming_table`; ``rows_read`` counts records."""

    incoming: "pa.Table"
    refused: list[QuarantinedRow]
    rows_read: int


def _send(
    chunks: Iterator[_Chunk],
    writer: UploadWriter,
    sent: _Sent,
    progress: ProgressCallback | None,
    started: float,
) -> None:
    """Land chunk after chunk; a thread reads and sorts the next one while the server takes one in."""
    with closing(one_ahead(chunks)) as ready:
        for chunk in ready:
            writer.add(chunk.incoming, chunk.refused)
            sent.rows_read += chunk.rows_read
            sent.rows_quarantined += len(chunk.refused)
            if progress is not None:
                rate = sent.rows_read / max(time.monotonic() - started, 1e-9)
                progress(UploadProgress(sent.rows_read, sent.rows_quarantined, rate))


def _chunks(rows: Iterable[Row | BadRow | Block], sorter: Sorter, sent: _Sent) -> Iterator[_Chunk]:
    """Sort all rows, together where each is a record and their digest is known; else find it on the way."""
    if not sent.digest or not sorter.is_record_per_row:
        yield from _one_by_one(rows, sorter, sent)
        return
    import pyarrow as pa

    tables: list[pa.Table] = []
    refused: list[QuarantinedRow] = []
    count = 0
    for outcomes in gathered(rows):
        incoming, bad = sorter.sort_together(outcomes)
        tables.append(incoming)
        refused += bad
        count += len(outcomes)
        if count == _CHUNK:
            yield _Chunk(pa.concat_tables(tables), refused, count)
            tables, refused, count = [], [], 0
    if count:
        yield _Chunk(pa.concat_tables(tables), refused, count)


def gathered(pieces: Iterable[Row | BadRow | Block]) -> Iterator[Block | list[Row | BadRow]]:
    """Gather what comes one by one, and part blocks where a chunk is full, for `Sorter.sort_together`."""
    waiting: list[Row | BadRow] = []
    room = _CHUNK
    for piece in pieces:
        if not isinstance(piece, Block):
            waiting.append(piece)
            if len(waiting) == room:
                yield waiting
                waiting, room = [], _CHUNK
            continue
        if waiting:
            yield waiting
            room -= len(waiting)
            waiting = []
        start = 0
        while start < len(piece):
            stop = min(len(piece), start + room)
            yield piece.part(start, stop)
            room = room - (stop - start) or _CHUNK
            start = stop
    if waiting:
        yield waiting


def _one_by_one(rows: Iterable[Row | BadRow | Block], sorter: Sorter, sent: _Sent) -> Iterator[_Chunk]:
    """Sort rows that may hold several records each, and find a digest of what they say if there is none."""
    digest = hashlib.sha256()
    good: list[IncomingRow] = []
    bad: list[QuarantinedRow] = []
    for piece in rows:
        for row in piece.rows() if isinstance(piece, Block) else (piece,):
            for one in sorter.sort(row):
                text = one.content_hash if isinstance(one, IncomingRow) else one.content
                digest.update(text.encode("utf-8", "replace"))
                if isinstance(one, IncomingRow):
                    good.append(one)
                else:
                    bad.append(one)
            if len(good) + len(bad) >= _CHUNK:
                yield _Chunk(incoming_table(good), bad, len(good) + len(bad))
                good, bad = [], []
    sent.digest = sent.digest or digest.hexdigest()
    yield _Chunk(incoming_table(good), bad, len(good) + len(bad))


def intake_times(ingested_ns: int, settings: Settings) -> IntakeTimes:
    """Give the moment of ingestion with the lags that the settings allow."""
    return IntakeTimes(
        ingested_ns,
        settings.default_receive_lag_s * NS_PER_SECOND,
        settings.future_tolerance_s * NS_PER_SECOND,
    )


def _failed(engine: Engine, record: UploadRecord, error: Exception) -> UploadFault:
    """Keep the reason of a failed upload, in a transaction of its own, and word the fault."""
    if isinstance(error, UploadFault):
        reason = str(error)
    elif isinstance(error, psycopg.errors.LockNotAvailable):
        reason = "another upload has not ended yet; nothing was stored, try again when it has"
    elif isinstance(error, psycopg.Error):
        reason = (
            f"PostgreSQL refused it ({str(error).strip().splitlines()[0]}); nothing was stored, try again"
        )
    else:
        reason = f"it could not be read to the end ({error}); nothing was stored, try again"
    try:
        with begin(engine) as connection:
            name = free_upload_id(connection, record.upload_id)
            record_upload(connection, replace(record, upload_id=name, status="FAILED", error=reason))
    except (DatabaseUnreachable, psycopg.Error):
        pass  # the fault itself is still raised; a dead server cannot take the note
    return UploadFault(f"{record.file_name} was not taken: {reason}.")


def _sha256(path: Path, name: str) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as raw:
            while block := raw.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise UploadFault(
            f"{name} was not taken: it cannot be opened ({error.strerror}): check the path and its rights."
        ) from error
    return digest.hexdigest()


def as_plain(summary: UploadSummary) -> dict[str, Any]:
    """Give a summary as plain values for JSON."""
    plain = {name: getattr(summary, name) for name in UploadSummary.__slots__}
    plain["trade_dates"] = [day.isoformat() for day in summary.trade_dates]
    return plain
