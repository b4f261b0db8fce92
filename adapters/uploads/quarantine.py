"""Work on quarantined rows: export for a spreadsheet, retry after a correction."""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine

from adapters.db.engine import begin
from adapters.db.repos.instruments import read_derivative_listings
from adapters.db.repos.uploads import (
    IncomingRow,
    LandedCounts,
    QuarantineFilter,
    UploadRecord,
    UploadWriter,
    free_upload_id,
    incoming_table,
    list_quarantine,
    mark_retried,
    record_upload,
)
from adapters.settings import Settings
from adapters.uploads.blocks import Row
from adapters.uploads.ingest import Sorter, intake_times
from adapters.uploads.profiles import load_profile
from propdesk.core.calendar import MarketCalendar
from propdesk.core.clock import Clock
from propdesk.core.errors import ConfigFault
from propdesk.core.ids import derived_id

EXPORT_COLUMNS = (
    "quarantine_id",
    "file_name",
    "row_number",
    "stage",
    "trade_date",
    "record_id",
    "reason_codes",
    "message",
    "content",
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class RetryResult:
    """What a retry brought, in rows; ``trade_dates`` that changed, rising."""

    retried: int
    landed: int
    still_quarantined: int
    trade_dates: tuple[date, ...]


def escape_cell(text: str) -> str:
    """Make a cell safe for spreadsheets: what would run as a formula is marked as text.

    Examples
    --------
    >>> escape_cell("=1+1"), escape_cell("-5.25"), escape_cell("BUY")
    ("'=1+1", '-5.25', 'BUY')
    """
    if not text.startswith(_FORMULA_STARTS):
        return text
    try:
        float(text)
    except ValueError:
        return "'" + text
    return text  # a negative number stays a number


def export_rows(rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write quarantined rows as CSV; the same name is replaced only when all is written.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    ConfigFault
        If the file cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    count = 0
    try:
        with partial.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(EXPORT_COLUMNS)
            for row in rows:
                writer.writerow([escape_cell(_cell(row.get(name))) for name in EXPORT_COLUMNS])
                count += 1
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ConfigFault(f"{path} cannot be written ({error.strerror}): choose another place.") from error
    return count


def retry_rows(
    engine: Engine,
    where: QuarantineFilter,
    calendar: MarketCalendar,
    clock: Clock,
    settings: Settings,
) -> RetryResult:
    """Read refused rows of uploads anew, with today's profiles and rules, in one transaction.

    Parameters
    ----------
    where : QuarantineFilter
        Which rows; only those of stage INGEST are kept as they came. Rows of later stages are retried by
        materialising their partition.

    Returns
    -------
    RetryResult
        Landed rows are marked RETRIED; the others stay as they were.
    """
    now_ns = clock.now_ns()
    times = intake_times(now_ns, settings)
    landed = tried = 0
    touched: set[date] = set()
    with begin(engine) as connection:
        rows = [row for row in list_quarantine(connection, where) if row["stage"] == "INGEST"]
        listings = read_derivative_listings(connection)
        for name, chain in sorted({(row["source_profile"], row["chain"]) for row in rows}):
            sorter = Sorter(
                load_profile(name),
                calendar,
                times,
                first_day=settings.first_day,
                listings=listings,
                field_length_max=settings.upload_field_length_max,
            )
            own = [row for row in rows if (row["source_profile"], row["chain"]) == (name, chain)]
            done, counts = _retry_door(connection, name, chain, own, sorter, now_ns)
            tried, landed = tried + len(own), landed + done
            touched.update(counts.trade_dates)
    return RetryResult(tried, landed, tried - landed, tuple(sorted(touched)))


def _retry_door(
    connection: psycopg.Connection[Any],
    name: str,
    chain: str,
    rows: list[dict[str, Any]],
    sorter: Sorter,
    now_ns: int,
) -> tuple[int, LandedCounts]:
    """Try the rows that came by one door; they are an upload of their own in its chain.

    A document keeps its source's key there, so that its deletion is noticed.
    """
    incoming: list[IncomingRow] = []
    landed: list[str] = []
    for number, row in enumerate(rows, start=1):
        fields = _fields(row["content"])
        found = [] if fields is None else list(sorter.sort(Row(number, fields, row["source_key"])))
        good = [one for one in found if isinstance(one, IncomingRow)]
        incoming += good
        if good and len(good) == len(found):
            landed.append(row["quarantine_id"])
    retry_id = free_upload_id(connection, derived_id("retry", chain, name, now_ns))
    with UploadWriter(connection, retry_id, chain=chain, logged_ns=now_ns) as writer:
        writer.add(incoming_table(incoming), [])
        counts = writer.land()
    if incoming:
        record_upload(
            connection,
            UploadRecord(
                upload_id=retry_id,
                file_name="quarantine retry",
                sha256="",
                source_profile=name,
                format="RETRY",
                uploaded_by="quarantine",
                ingested_ns=now_ns,
                rows_read=len(incoming),
                rows_accepted=counts.accepted,
                rows_duplicate=counts.duplicate,
                rows_revised=counts.revised,
                first_trade_date=min(counts.trade_dates, default=None),
                last_trade_date=max(counts.trade_dates, default=None),
            ),
        )
    mark_retried(connection, landed)
    return len(landed), counts


def _fields(content: str) -> dict[str, str] | None:
    """Take the row's fields back from the quarantine; None for a row that never had any."""
    try:
        fields = json.loads(content)
    except ValueError:
        return None
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        return None
    return fields


def _cell(value: object) -> str:
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
