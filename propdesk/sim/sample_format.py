"""The ``sample`` profile of a signal file: columns, text of every value, CSV lines and live documents."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from propdesk.core.calendar import IST
from propdesk.sim.advisor_rows import SampleRow

COLUMNS = (
    "kind", "source_message_id", "advisor_id", "advisor_name", "sebi_reg_no", "posted_at", "received_at",
    "category", "symbol", "expiry", "strike", "option_type", "side", "entry_type", "entry_low", "entry_high",
    "stoploss", "targets", "period", "group_key", "reported_status", "reported_exit_price",
    "reported_exit_at", "refers_to", "followup_kind", "fraction",
)  # fmt: skip

_LINES_AT_ONCE = 2_000


def text_row(row: SampleRow) -> dict[str, str]:
    """Write a message as text per column.

    Parameters
    ----------
    row : SampleRow
        Prices in paise, stamps in s UTC.

    Returns
    -------
    dict of str to str
        Every column of ``COLUMNS``: rupees with two decimals, stamps with +05:30, empty = not given.
    """
    values = {
        "kind": row.kind,
        "source_message_id": row.source_message_id,
        "advisor_id": row.advisor_id,
        "advisor_name": row.advisor_name,
        "sebi_reg_no": row.sebi_reg_no,
        "posted_at": _stamp(row.posted_s),
        "received_at": _stamp(row.received_s) if row.states_receipt else "",
        "category": row.category or "",
        "symbol": row.symbol,
        "expiry": row.expiry.isoformat() if row.expiry else "",
        "strike": rupees(row.strike_paise),
        "option_type": row.option_type or "",
        "side": row.side or "",
        "entry_type": row.entry_type or "",
        "entry_low": rupees(row.entry_low_paise),
        "entry_high": rupees(row.entry_high_paise),
        "stoploss": rupees(row.stoploss_paise),
        "targets": "/".join(rupees(target) for target in row.targets_paise),
        "period": row.period or "",
        "group_key": row.group_key,
        "reported_status": row.reported_status,
        "reported_exit_price": rupees(row.reported_exit_paise),
        "reported_exit_at": _stamp(row.reported_exit_s) if row.reported_exit_s is not None else "",
        "refers_to": row.refers_to,
        "followup_kind": row.followup_kind or "",
        "fraction": "" if row.fraction is None else f"{row.fraction:g}",
    }
    return {**values, **row.raw}


def document(row: SampleRow) -> dict[str, str]:
    """Write a message as a live document: the same keys, those without a value left out.

    ``received_at`` is never part of it: whoever takes a live document stamps its receipt.
    """
    return {name: str(text) for name, text in text_row(row).items() if text != "" and name != "received_at"}


def csv_lines(rows: Iterable[SampleRow]) -> Iterator[str]:
    """Write messages as CSV text, header first, in pieces of a few thousand lines."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for number, row in enumerate(rows, start=1):
        writer.writerow(text_row(row))
        if number % _LINES_AT_ONCE == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def rupees(paise: int | None) -> str:
    """Show paise as rupees with two decimals; empty for None.

    Examples
    --------
    >>> rupees(14205)
    '142.05'
    """
    if paise is None:
        return ""
    sign = "-" if paise < 0 else ""
    return f"{sign}{abs(paise) // 100}.{abs(paise) % 100:02d}"


def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).astimezone(IST).isoformat()


def live_document(row: SampleRow) -> dict[str, str]:
    """Write a message for the replay: the live document plus the moment at which it is to arrive.

    The replay takes ``received_at`` out, waits until its clock stands there and inserts the rest.
    """
    return {**document(row), "received_at": _stamp(row.received_s)}
