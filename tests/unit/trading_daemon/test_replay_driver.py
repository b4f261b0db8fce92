from datetime import date

import pytest

from adapters.calendar import load_calendar
from propdesk.core.calendar import Segment, ist_text
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.core.errors import SchemaFault
from trading_daemon.replay_driver import ItemKind, Timeline, build_timeline

DAY = date(2025, 7, 1)


def document(message_id: str, received_at: str, **changes: object) -> dict[str, object]:
    return {
        "kind": "SIGNAL",
        "source": "test",
        "source_message_id": message_id,
        "advisor_id": "A01",
        "posted_at": "2025-06-30T15:00:00+05:30",
        "received_at": received_at,
        "category": "NSE_EQ",
        "symbol": "TSTA",
        "side": "BUY",
        "entry_type": "MARKET",
        "period": "INTRADAY",
        **changes,
    }


def build(*documents: dict[str, object]) -> Timeline:
    return build_timeline(DAY, documents, load_calendar())


def test_a_day_without_signals_is_opened_and_has_every_minute() -> None:
    items = build().items
    hours = load_calendar().hours(DAY, Segment.CASH)
    assert items[0].kind is ItemKind.OPEN
    assert ist_text(items[0].at_ns) == "2025-07-01 08:45:00 IST"
    minutes = [item for item in items if item.kind is ItemKind.MINUTE]
    assert minutes[0].at_ns == hours.open_ns + NS_PER_MINUTE
    assert minutes[-1].at_ns == hours.close_ns
    assert [item.is_last for item in minutes] == [False] * (len(minutes) - 1) + [True]


def test_at_one_moment_bars_are_known_before_signals() -> None:
    items = build(document("m", "2025-07-01T09:30:00+05:30")).items
    place = next(i for i, item in enumerate(items) if item.kind is ItemKind.DOCUMENT)
    assert (items[place - 1].kind, items[place - 1].at_ns) == (ItemKind.MINUTE, items[place].at_ns)


def test_the_day_opens_before_its_first_signal() -> None:
    items = build(document("m", "2025-07-01T06:00:00+05:30")).items
    assert [item.kind for item in items[:2]] == [ItemKind.OPEN, ItemKind.DOCUMENT]


def test_repeats_are_taken_once_changes_twice_and_other_days_not_at_all() -> None:
    items = build(
        document("m", "2025-07-01T10:00:00+05:30"),
        document("m", "2025-07-01T10:05:00+05:30"),
        document("m", "2025-07-01T10:10:00+05:30", side="SELL"),
        document("before", "2025-06-30T15:29:00+05:30"),
        document("evening", "2025-06-30T20:00:00+05:30"),
        document("afternoon", "2025-07-01T15:30:00+05:30"),
        document("after", "2025-07-02T00:00:00+05:30"),
    ).items
    documents = [item for item in items if item.kind is ItemKind.DOCUMENT]
    assert [ist_text(item.at_ns)[:16] for item in documents] == [
        "2025-06-30 20:00",
        "2025-07-01 10:00",
        "2025-07-01 10:10",
    ]


def test_every_message_is_heard_by_one_day_whatever_segment_has_closed() -> None:
    """Since 3 August 2026 cash closes at 15:30 and derivatives at 15:40."""
    calendar, day = load_calendar(), date(2026, 8, 4)
    moments = ("15:29:59", "15:30:00", "15:32:00", "15:39:59", "15:40:00", "20:00:00")
    ideas = [document(f"m{moment}", f"2026-08-04T{moment}+05:30") for moment in moments]
    heard = [
        [ist_text(item.at_ns)[11:19] for item in build_timeline(one, ideas, calendar).items if item.row]
        for one in (calendar.previous_day(day), day, calendar.next_day(day))
    ]
    assert heard == [[], list(moments[:4]), list(moments[4:])]


def test_the_hash_names_the_timeline() -> None:
    one = build(document("m", "2025-07-01T10:00:00+05:30"))
    assert one.timeline_hash == build(document("m", "2025-07-01T10:00:00+05:30")).timeline_hash
    assert one.timeline_hash != build(document("m", "2025-07-01T10:00:01+05:30")).timeline_hash


@pytest.mark.parametrize("received_at", [None, "", "10:00", "2025-07-01T10:00:00", 5])
def test_a_document_without_a_readable_receipt_is_refused(received_at: object) -> None:
    with pytest.raises(SchemaFault, match="document 1 has no received_at"):
        build(document("m", "x") | {"received_at": received_at})
