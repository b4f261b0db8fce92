"""Uploads land completely or not at all; repeats, revisions, quarantine, the four first steps."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from adapters.calendar import load_calendar
from adapters.db.engine import begin, create_engine
from adapters.db.frames import signals as tables
from adapters.db.repos.instruments import load_instruments, read_derivative_listings, read_instruments
from adapters.db.repos.pipeline import oldest_referred_day
from adapters.db.repos.signal_flags import advisor_conduct
from adapters.db.repos.signal_log import APPEND_LIVE, inbox_chain
from adapters.db.repos.uploads import (
    QuarantineFilter,
    UploadWriter,
    count_quarantine,
    find_quarantined,
    list_quarantine,
)
from adapters.settings import Settings
from adapters.ticks.store import ParquetPriceStore
from adapters.uploads import (
    UploadFault,
    UploadLimits,
    UploadProgress,
    UploadSummary,
    ingest_documents,
    ingest_file,
    load_aliases,
    load_profile,
)
from adapters.uploads.quarantine import export_rows, retry_rows
from propdesk.core.calendar import IST
from propdesk.core.clock import ManualClock, from_ns, to_ns
from propdesk.intake import FullExport
from propdesk.model.enums import Category
from propdesk.model.instrument import Instrument, instrument_key
from propdesk.model.live import KeyedDocument
from propdesk.pipeline.conduct import ConductRule, flag_conduct
from propdesk.pipeline.normalise import normalise_signals
from propdesk.pipeline.raw import current_revisions
from propdesk.pipeline.resolve import resolve_signals
from propdesk.pipeline.validate import validate_signals

pytestmark = pytest.mark.integration

COLUMNS = [
    "kind",
    "source_message_id",
    "advisor_id",
    "advisor_name",
    "sebi_reg_no",
    "posted_at",
    "received_at",
    "category",
    "symbol",
    "expiry",
    "strike",
    "option_type",
    "side",
    "entry_type",
    "entry_low",
    "entry_high",
    "stoploss",
    "targets",
    "period",
    "group_key",
    "refers_to",
    "followup_kind",
    "fraction",
    "edited_at",
]
DAY = date(2025, 1, 2)
NOW = to_ns(datetime(2025, 7, 1, 8, 0, tzinfo=IST))


def row(number: int, **changes: str) -> dict[str, str]:
    base = {
        "kind": "SIGNAL",
        "source_message_id": f"m{number}",
        "advisor_id": "A1",
        "advisor_name": "Anand",
        "sebi_reg_no": "INH000001234",
        "posted_at": f"2025-01-02T09:{20 + number % 40}:00+05:30",
        "category": "NSE_EQ",
        "symbol": "TCS",
        "side": "BUY",
        "entry_type": "LIMIT",
        "entry_low": f"{100 + number}",
        "entry_high": f"{100 + number}",
        "stoploss": f"{90 + number}",
        "targets": f"{110 + number}/{120 + number}",
    }
    return base | changes


def csv_file(path: Path, rows: list[dict[str, str]]) -> Path:
    lines = [",".join(COLUMNS)]
    lines += [",".join(f'"{one.get(name, "")}"' for name in COLUMNS) for one in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Desk:
    """What every upload needs, with a clock that can be set."""

    def __init__(self, engine: Engine, settings: Settings, folder: Path) -> None:
        self.engine = engine
        self.settings = settings
        self.folder = folder
        self.clock = ManualClock(NOW)

    def ingest(self, rows: list[dict[str, str]], name: str = "f.csv", **options: Any) -> UploadSummary:
        self.clock.advance_to(self.clock.now_ns() + 1_000_000_000)
        path = csv_file(self.folder / name, rows)
        return ingest_file(self.engine, path, "sample", load_calendar(), self.clock, self.settings, **options)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with begin(self.engine) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
def desk(settings: Settings, pg_url: str, tmp_path: Path) -> Iterator[Desk]:
    engine = create_engine(pg_url, "test")
    with begin(engine) as connection:
        connection.execute("ALTER TABLE raw.signal_log DISABLE TRIGGER append_only")
        connection.execute(
            "TRUNCATE raw.signal_log, raw.uploads,"
            " raw.landed_rows, raw.raw_signals, raw.quarantine, ref.instruments,"
            " research.validated_signals, research.followups, research.normalised_signals,"
            " research.resolved_signals, research.signal_flags"
        )
        connection.execute("ALTER TABLE raw.signal_log ENABLE TRIGGER append_only")
    yield Desk(engine, settings, tmp_path)
    engine.dispose()


def test_the_same_file_twice_gives_each_signal_once(desk: Desk) -> None:
    first = desk.ingest([row(i) for i in range(10)])
    again = desk.ingest([row(i) for i in range(10)])
    assert (first.rows_read, first.rows_accepted, first.rows_duplicate) == (10, 10, 0)
    assert (again.rows_read, again.rows_accepted, again.rows_duplicate) == (10, 0, 10)
    assert first.trade_dates == (DAY,)
    assert again.trade_dates == ()
    assert first.sha256 == again.sha256
    assert desk.query("SELECT count(*) FROM raw.landed_rows") == [(10,)]


def test_overlapping_files_and_repeats_within_one(desk: Desk) -> None:
    desk.ingest([row(1), row(2), row(2)])
    summary = desk.ingest([row(2), row(3)])
    assert (summary.rows_accepted, summary.rows_duplicate) == (1, 1)
    assert desk.query("SELECT count(*), count(DISTINCT record_id) FROM raw.landed_rows") == [(3, 3)]


def test_a_changed_row_becomes_a_revision_and_an_old_export_does_not_undo_it(desk: Desk) -> None:
    desk.ingest([row(1), row(2)])
    revised = desk.ingest([row(1, stoploss="95"), row(2)])
    assert (revised.rows_accepted, revised.rows_revised, revised.rows_duplicate) == (0, 1, 1)
    desk.ingest([row(1)])
    assert desk.query("SELECT revision, content->>'stoploss' FROM raw.landed_rows ORDER BY 1, 2") == [
        (1, "91"),
        (1, "92"),
        (2, "95"),
    ]
    with begin(desk.engine) as connection:
        raw = current_revisions(tables.read_landed(connection, DAY, DAY))
    assert sorted(content["stoploss"] for content in raw["content"]) == ["92", "95"]


def test_a_revision_that_moves_to_another_day_leaves_its_old_one(desk: Desk) -> None:
    desk.ingest([row(1)])
    moved = desk.ingest([row(1, posted_at="2025-01-03T10:00:00+05:30")])
    assert moved.trade_dates == (DAY, date(2025, 1, 3))
    with begin(desk.engine) as connection:
        assert current_revisions(tables.read_landed(connection, DAY, DAY)).empty
        whole = current_revisions(tables.read_landed(connection, DAY, date(2025, 1, 3)))
    assert whole["trade_date"].tolist() == [date(2025, 1, 3)]


def test_when_a_message_was_heard_is_no_revision(desk: Desk) -> None:
    desk.ingest([row(1, received_at="2025-01-02T09:22:00+05:30")])
    assert desk.ingest([row(1, received_at="2025-01-02T11:00:00+05:30")]).rows_duplicate == 1


def test_received_at_defaults_to_posted_at_and_the_lag_whatever_the_clock_says(desk: Desk) -> None:
    desk.ingest([row(1)])
    posted, received = desk.query("SELECT posted_at, received_at FROM raw.landed_rows")[0]
    assert (received - posted).total_seconds() == desk.settings.default_receive_lag_s


def test_after_hours_and_weekends_belong_to_the_next_market_day(desk: Desk) -> None:
    desk.ingest(
        [
            row(1, posted_at="2025-01-03T15:29:00+05:30"),
            row(2, posted_at="2025-01-03T15:29:45+05:30"),
            row(3, posted_at="2025-01-04T11:00:00+05:30"),
            row(4, posted_at="2025-01-31T20:00:00+05:30"),
        ]
    )
    assert desk.query("SELECT trade_date FROM raw.landed_rows ORDER BY row_number") == [
        (date(2025, 1, 3),),
        (date(2025, 1, 6),),
        (date(2025, 1, 6),),
        (date(2025, 2, 1),),  # the Budget session, a Saturday
    ]


def test_rows_that_cannot_land_are_quarantined_and_counted(desk: Desk) -> None:
    rows = [
        row(1),
        row(2, posted_at=""),
        row(3, posted_at="04/05/2025 10:00"),
        row(4, posted_at="2026-01-02T09:20:00+05:30"),
        row(5, posted_at="2015-01-02T09:20:00+05:30"),
        row(6, advisor_name="x" * 5000),
        row(7, kind="NEWS"),
        row(8, advisor_name="a\x00b"),
    ]
    summary = desk.ingest(rows)
    assert summary.rows_quarantined == 7
    assert summary.rows_read == summary.rows_accepted + summary.rows_quarantined
    found = desk.query(
        "SELECT row_number, reason_codes[1], trade_date FROM raw.quarantine ORDER BY row_number"
    )
    assert [(number, code) for number, code, _ in found] == [
        (2, "MISSING_FIELD"),
        (3, "BAD_TIME"),
        (4, "FUTURE_TIME"),
        (5, "BEYOND_CALENDAR"),
        (6, "FIELD_TOO_LONG"),
        (7, "BAD_KIND"),
        (8, "BAD_CHARACTER"),
    ]
    assert {day for _, _, day in found} == {date(2025, 7, 1)}  # the market day of the upload


def test_a_failed_file_leaves_its_record_and_nothing_else(desk: Desk) -> None:
    path = csv_file(desk.folder / "bad.csv", [row(i) for i in range(100)])
    path.write_text(path.read_text() + '"m1","unclosed', encoding="utf-8")
    with pytest.raises(UploadFault, match=r"bad\.csv was not taken: .* never closed"):
        ingest_file(desk.engine, path, "sample", load_calendar(), desk.clock, desk.settings)
    assert desk.query("SELECT count(*) FROM raw.landed_rows") == [(0,)]
    assert desk.query("SELECT count(*) FROM raw.quarantine") == [(0,)]
    status, error, rows = desk.query("SELECT status, error, rows_accepted FROM raw.uploads")[0]
    assert (status, rows) == ("FAILED", 0)
    assert "never closed" in error


def test_an_error_of_the_server_halfway_rolls_all_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: UploadWriter, *_: object) -> None:
        raise psycopg.errors.DiskFull("could not extend file: No space left on device")

    monkeypatch.setattr(UploadWriter, "land", fail)
    with pytest.raises(UploadFault, match="No space left"):
        desk.ingest([row(1), row(2, posted_at="")])
    assert desk.query("SELECT count(*) FROM raw.landed_rows") == [(0,)]
    assert desk.query("SELECT count(*) FROM raw.quarantine") == [(0,)]
    assert desk.query("SELECT status FROM raw.uploads") == [("FAILED",)]


def test_limits_hold_for_http_uploads(desk: Desk) -> None:
    limits = replace(UploadLimits.for_http(desk.settings), rows_max=5)
    with pytest.raises(UploadFault, match="more than 5 rows"):
        desk.ingest([row(i) for i in range(6)], limits=limits)


def test_progress_is_told(desk: Desk) -> None:
    told: list[UploadProgress] = []
    desk.ingest([row(1), row(2, posted_at="")], progress=told.append)
    assert told[-1].rows_read == 2
    assert told[-1].rows_quarantined == 1
    assert told[-1].rows_per_second > 0


def test_documents_and_file_name_a_signal_alike(desk: Desk) -> None:
    desk.ingest([row(1)])
    documents = [{name: value for name, value in row(i).items() if value} for i in (1, 2)]
    documents[1]["entry_low"] = 102  # type: ignore[assignment]  # numbers are as good as text
    keyless = [KeyedDocument(one, None) for one in documents]
    summary = ingest_documents(
        desk.engine, keyless, "sample", load_calendar(), desk.clock, desk.settings, name="mongodb:signals"
    )
    assert (summary.rows_accepted, summary.rows_duplicate) == (1, 1)
    assert summary.sha256


def test_a_telegram_export_is_read_and_the_rest_is_unreadable(desk: Desk) -> None:
    path = desk.folder / "chat.jsonl.gz"
    messages = [
        {"msg_no": 1, "ts_ist": "2025-01-02 09:30:00", "text": "CASH-BUY TCS ABOVE 142 TGT 150-160-SL 135"},
        {"msg_no": 2, "ts_ist": "2025-01-02 09:31:00", "text": "Good morning, markets look strong"},
        {
            "msg_no": 3,
            "ts_ist": "2025-01-02 09:32:00",
            "text": "FUTURES-BUY INFY ABOVE 607 TGT 611-SL 604\nBUY NIFTY 24000 CE AT 100 SL 80",
        },
    ]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, messages)).encode()))
    summary = ingest_file(desk.engine, path, "telegram_export", load_calendar(), desk.clock, desk.settings)
    assert (summary.rows_read, summary.rows_accepted, summary.rows_quarantined) == (4, 3, 1)
    landed = desk.query(
        "SELECT content->>'category', content->>'entry_type', content->>'ordinal' FROM raw.landed_rows"
        " ORDER BY row_number, content->>'ordinal'"
    )
    assert landed == [("NSE_EQ", "STOP", "0"), ("STOCK_FUT", "STOP", "0"), ("INDEX_OPT", "LIMIT", "1")]
    assert desk.query("SELECT reason_codes FROM raw.quarantine") == [(["UNREADABLE"],)]


# ------------------------------------------------------------------------------------------ quarantine


def test_quarantine_is_listed_shown_exported_and_retried(desk: Desk) -> None:
    summary = desk.ingest(
        [row(1, posted_at="2025-07-01T09:30:00+05:30", advisor_name="=cmd|' /C calc'!A0"), row(2)]
    )
    assert summary.rows_quarantined == 1
    where = QuarantineFilter(upload_id=summary.upload_id, reason="FUTURE_TIME")
    with begin(desk.engine) as connection:
        listed = list(list_quarantine(connection, where))
        assert count_quarantine(connection) == [("INGEST", "FUTURE_TIME", 1)]
        assert len(find_quarantined(connection, listed[0]["quarantine_id"][:8])) == 1
        stored = connection.execute("SELECT rows_quarantined FROM raw.uploads").fetchall()
        assert stored == [(1,)]
        assert export_rows([{**listed[0], "message": "=1+1"}], desk.folder / "q.csv") == 1
    assert "'=1+1" in (desk.folder / "q.csv").read_text()
    kept = retry_rows(desk.engine, where, load_calendar(), desk.clock, desk.settings)
    assert (kept.retried, kept.landed, kept.still_quarantined) == (1, 0, 1)
    desk.clock.advance_to(to_ns(datetime(2025, 7, 2, 8, 0, tzinfo=IST)))
    done = retry_rows(desk.engine, where, load_calendar(), desk.clock, desk.settings)
    assert (done.landed, done.trade_dates) == (1, (date(2025, 7, 1),))
    assert retry_rows(desk.engine, where, load_calendar(), desk.clock, desk.settings).retried == 0


# -------------------------------------------------------------------------------------- steps 1 to 4


def test_the_four_steps_run_and_repeat_byte_for_byte(desk: Desk) -> None:
    _list_tcs(desk)
    desk.ingest(
        [
            row(1),
            row(2, stoploss="200"),
            row(3, symbol="NOSUCH"),
            row(4, category="INDEX_FUT"),
            row(
                5,
                kind="FOLLOWUP",
                refers_to="m1",
                followup_kind="EXIT",
                entry_low="",
                entry_high="",
                targets="",
            ),
        ]
    )
    assert _four_steps(desk) == (1, 3, 1)
    first = desk.query(
        "SELECT md5(string_agg(r::text, '|' ORDER BY signal_id)) FROM research.resolved_signals r"
    )
    stages = desk.query("SELECT stage, reason_codes[1] FROM raw.quarantine ORDER BY stage")
    assert stages == [
        ("NORMALISE", "CATEGORY_MISMATCH"),
        ("RESOLVE", "UNKNOWN_SYMBOL"),
        ("VALIDATE", "STOPLOSS_WRONG_SIDE"),
    ]
    assert _four_steps(desk) == (1, 3, 1)
    assert (
        desk.query("SELECT md5(string_agg(r::text, '|' ORDER BY signal_id)) FROM research.resolved_signals r")
        == first
    )
    linked = desk.query(
        "SELECT s.source_message_id FROM research.followups f"
        " JOIN research.resolved_signals s USING (signal_id)"
    )
    assert linked == [("m1",)]


def _list_tcs(desk: Desk) -> None:
    share = Instrument(
        instrument_key=instrument_key(Category.NSE_EQ, "TCS"),
        category=Category.NSE_EQ,
        underlying="TCS",
        expiry=None,
        strike_paise=None,
        option_type=None,
        exchange_segment="NSE_EQ",
        security_id="11536",
        lot_size=1,
        tick_paise=5,
        freeze_quantity=0,
        series="EQ",
        has_derivatives=True,
        valid_from=date(2024, 1, 1),
        valid_to=date(9999, 12, 31),
    )
    load_instruments(desk.engine, [share], "test")


def _four_steps(desk: Desk) -> tuple[int, int, int]:
    now = datetime(2025, 7, 1, tzinfo=UTC)
    with begin(desk.engine) as connection:
        raw = current_revisions(tables.read_landed(connection, DAY, DAY))
        tables.write_raw_signals(connection, raw, DAY, DAY)
        validated = validate_signals(
            tables.read_raw_signals(connection, DAY, DAY),
            now,
            tables.read_earlier_signals(connection, DAY, date(2024, 12, 1)),
        )
        tables.write_validated_signals(connection, validated.signals, DAY, DAY)
        tables.write_followups(connection, validated.followups, DAY, DAY)
        tables.write_rejected(connection, "VALIDATE", validated.rejected, DAY, DAY)
        normalised = normalise_signals(
            tables.read_validated_signals(connection, DAY, DAY),
            load_calendar(),
            load_aliases(),
            read_derivative_listings(connection, DAY, DAY),
        )
        tables.write_normalised_signals(connection, normalised.signals, DAY, DAY)
        tables.write_rejected(connection, "NORMALISE", normalised.rejected, DAY, DAY)
        resolved = resolve_signals(
            tables.read_normalised_signals(connection, DAY, DAY),
            read_instruments(connection, DAY, DAY),
            tables.read_earlier_resolved(connection, DAY, DAY),
        )
        tables.write_resolved_signals(connection, resolved.signals, DAY, DAY)
        tables.write_rejected(connection, "RESOLVE", resolved.rejected, DAY, DAY)
        refused = sum(len(one) for one in (validated.rejected, normalised.rejected, resolved.rejected))
        return len(resolved.signals), refused, len(validated.followups)


def test_a_file_names_the_oldest_signal_that_its_followups_reach(desk: Desk) -> None:
    """By id or by the advisor's newest idea on the symbol; never what lies in the file's own days."""
    old = [row(n, posted_at=f"2024-12-{n:02d}T09:20:00+05:30") for n in (16, 18, 20)]
    desk.ingest([*old, row(19, posted_at="2024-12-19T09:20:00+05:30", symbol="INFY", advisor_id="A2")])

    def reached(name: str, **said: str) -> date | None:
        base = row(1, kind="FOLLOWUP", source_message_id=name, followup_kind="EXIT", category="", side="")
        done = desk.ingest([base | said, row(7)], f"{name}.csv")
        with begin(desk.engine) as connection:
            return oldest_referred_day(connection, done.upload_id, DAY, 90)

    assert reached("named", refers_to="m16") == date(2024, 12, 16)
    assert reached("by symbol", symbol=" t-cs") == date(2024, 12, 20)
    assert reached("other", symbol="INFY", advisor_id="A2") == date(2024, 12, 19)
    assert reached("nobody's", symbol="INFY") is None
    assert reached("own day", refers_to="m7") is None


def test_an_edit_counts_from_the_moment_that_somebody_can_prove(desk: Desk) -> None:
    """A file proves when it came, a message the stamp it carries, the inbox its own clock."""
    _list_tcs(desk)
    desk.ingest([row(1), row(2, edited_at="2025-01-02T11:00:00+05:30"), row(3), row(4)])
    desk.ingest([row(1, stoploss="80"), row(3, stoploss="80", edited_at="2025-01-02T12:00:00+05:30")])
    came = from_ns(desk.clock.now_ns())
    heard = datetime(2025, 1, 2, 9, 25, tzinfo=IST)
    with begin(desk.engine) as connection:
        known = connection.execute(
            "SELECT source_message_id, signal_id FROM (SELECT content ->> 'source_message_id' AS"
            " source_message_id, record_id AS signal_id FROM raw.landed_rows) AS l"
        ).fetchall()
        ids = {str(name): str(signal_id) for name, signal_id in known}
        logged = {"chain": inbox_chain("desk"), "logged_at": came, "origin": "1", "change": "EDITED"}
        said = {"kind": "SIGNAL", "record": ids["m4"], "revision": 2, "advisor": "A1", "posted": heard}
        connection.execute(APPEND_LIVE, {**logged, **said, "received": heard, "hash": "h"})
    _four_steps(desk)
    with begin(desk.engine) as connection:
        found = tables.read_versions(connection, DAY, DAY)
        elsewhere = tables.read_versions(connection, date(2025, 1, 3), date(2025, 1, 3))
    lag = timedelta(seconds=desk.settings.default_receive_lag_s)
    assert set(found["change"]) == {"EDITED"}
    assert dict(zip(found["record_id"], found["changed_at"], strict=True)) == {
        ids["m1"]: came,
        ids["m2"]: datetime(2025, 1, 2, 11, tzinfo=IST) + lag,
        ids["m3"]: datetime(2025, 1, 2, 12, tzinfo=IST) + lag,
        ids["m4"]: heard,
    }
    assert elsewhere.empty


def test_who_took_everything_back_stays_in_every_count(desk: Desk) -> None:
    _list_tcs(desk)
    desk.ingest([row(1), row(2, advisor_id="A2"), row(3, kind="FOLLOWUP", followup_kind="EXIT", symbol="X")])
    whole = replace(load_profile("sample"), full_export=FullExport.SOURCE)
    desk.clock.advance_to(desk.clock.now_ns() + 1_000_000_000)
    path = csv_file(desk.folder / "whole.csv", [row(1, stoploss="80")])
    gone = ingest_file(desk.engine, path, whole, load_calendar(), desk.clock, desk.settings)
    assert (gone.rows_revised, gone.rows_deleted, gone.trade_dates) == (1, 2, (DAY,))
    assert _four_steps(desk)[0] == 2, "what was taken back is still resolved"
    with begin(desk.engine) as connection:
        prices = ParquetPriceStore(f"file://{desk.folder}/prices", load_calendar())
        flagged = flag_conduct(
            tables.read_resolved_signals(connection, DAY, DAY),
            tables.read_versions(connection, DAY, DAY),
            prices, load_calendar(), ConductRule(), desk.clock.now_ns(),
        )  # fmt: skip
        for _ in range(2):  # the range is replaced, not added to
            tables.write_signal_flags(connection, flagged, DAY, DAY)
        counts = advisor_conduct(connection)
    names = ("advisor_id", "ideas", "edited", "deleted", "back_dated", "orphans")
    assert [tuple(one[name] for name in names) for one in counts] == [
        ("A1", 1, 1, 1, 0, 1),  # its follow-up was taken back, and matched nothing
        ("A2", 1, 0, 1, 0, 0),
    ]
    stored = desk.query("SELECT advisor_id, flags FROM research.signal_flags ORDER BY 1")
    assert stored == [("A1", ["EDITED"]), ("A2", ["DELETED"])]
