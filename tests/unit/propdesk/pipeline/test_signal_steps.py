"""Steps 1 to 4 on small frames."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propdesk.core.calendar import HoursRule, MarketCalendar, Segment
from propdesk.core.clock import from_ns
from propdesk.intake import (
    DOCUMENT_PROFILE,
    Aliases,
    DerivativeListings,
    IntakeTimes,
    LandedRecord,
    land_row,
    normalise_signal,
)
from propdesk.intake.normalise import Dimensions
from propdesk.model.enums import Category, Period
from propdesk.model.instrument import Instrument, instrument_key
from propdesk.pipeline.columns import objects, stamps, to_ns
from propdesk.pipeline.normalise import normalise_signals
from propdesk.pipeline.raw import current_revisions
from propdesk.pipeline.resolve import resolve_signals
from propdesk.pipeline.validate import Validated, validate_signals

DAY = date(2025, 1, 2)
NOW = datetime(2025, 7, 1, tzinfo=UTC)
CALENDAR = MarketCalendar(
    [
        date(2025, 1, 1) + timedelta(days=i)
        for i in range(60)
        if (date(2025, 1, 1) + timedelta(days=i)).weekday() < 5
    ],
    [HoursRule(segment, date(2000, 1, 1), 555, 930, 910) for segment in Segment],
)
ALIASES = Aliases.build({"NIFTY": ["NIFTY 50"]}, {"TCS": ["TATA CONSULTANCY"]})


def share(symbol: str = "TCS", tick: int = 5) -> Instrument:
    return Instrument(
        instrument_key(Category.NSE_EQ, symbol),
        Category.NSE_EQ,
        symbol,
        None,
        None,
        None,
        "NSE_EQ",
        "11536",
        1,
        tick,
        0,
        "EQ",
        True,
        date(2024, 1, 1),
        date(9999, 12, 31),
    )


def future(expiry: date) -> Instrument:
    return Instrument(
        instrument_key(Category.INDEX_FUT, "NIFTY", expiry),
        Category.INDEX_FUT,
        "NIFTY",
        expiry,
        None,
        None,
        "NSE_FNO",
        "35000",
        75,
        5,
        1800,
        "XX",
        False,
        date(2024, 10, 1),
        expiry,
    )


def content(number: int, **changes: str) -> dict[str, str]:
    base = {
        "kind": "SIGNAL",
        "source_message_id": f"m{number}",
        "advisor_id": "A1",
        "posted_at": f"2025-01-02T09:{20 + number}:00+05:30",
        "category": "NSE_EQ",
        "symbol": "TCS",
        "side": "BUY",
        "entry_low": "100.00",
        "stoploss": "95",
        "targets": "110/120",
    }
    return {key: value for key, value in (base | changes).items() if value}


def raw_frame(*rows: dict[str, str], trade_date: date = DAY) -> pd.DataFrame:
    times = IntakeTimes(1_751_000_000 * 10**9)
    landed = [land_row(row, DOCUMENT_PROFILE, times)[0] for row in rows]
    good = [one for one in landed if isinstance(one, LandedRecord)]
    assert len(good) == len(rows)
    return pd.DataFrame(
        {
            "trade_date": objects([trade_date] * len(good)),
            "record_id": [one.record_id for one in good],
            "kind": [one.kind.value for one in good],
            "revision": np.ones(len(good), dtype=np.int64),
            "upload_id": ["u"] * len(good),
            "row_number": np.arange(1, len(good) + 1),
            "posted_at": stamps([one.posted_ns for one in good]),
            "received_at": stamps([one.received_ns for one in good]),
            "content": objects([one.content for one in good]),
            "content_hash": [one.content_hash for one in good],
        }
    )


EARLIER = ["trade_date", "signal_id", "advisor_id", "symbol_text", "received_at"]


def validated(*rows: dict[str, str], earlier: pd.DataFrame | None = None) -> Validated:
    return validate_signals(raw_frame(*rows), NOW, earlier)


def resolved(
    *rows: dict[str, str], instruments: list[Instrument] | None = None, **options: Any
) -> pd.DataFrame:
    normalised = normalise_signals(validated(*rows).signals, CALENDAR, ALIASES)
    return resolve_signals(normalised.signals, instruments or [share()], **options).signals.sort_values(
        "row_number", ignore_index=True
    )


def test_the_newest_revision_counts() -> None:
    frame = raw_frame(content(1), content(2))
    newer = raw_frame(content(1, stoploss="96")).assign(revision=2, upload_id="v")
    current = current_revisions(pd.concat([newer, frame]))
    assert len(current) == 2
    assert sorted(current["upload_id"]) == ["u", "v"]
    assert current["record_id"].tolist() == sorted(current["record_id"])


def test_every_row_ends_in_exactly_one_frame() -> None:
    found = validated(
        content(1),
        content(2, stoploss="105"),
        content(3, kind="FOLLOWUP", refers_to="m1", followup_kind="EXIT"),
        content(4, side="HOLD", entry_low="NaN"),
    )
    assert (len(found.signals), len(found.followups), len(found.rejected)) == (1, 1, 2)
    assert found.rejected["reason_codes"].tolist() == [["STOPLOSS_WRONG_SIDE"], ["BAD_SIDE", "BAD_PRICE"]]
    assert found.rejected["stage"].unique().tolist() == ["VALIDATE"]


def test_stamps_after_now_are_refused() -> None:
    early = datetime(2025, 1, 2, 3, 40, tzinfo=UTC)
    assert validate_signals(raw_frame(content(1)), early).rejected["reason_codes"].tolist() == [
        ["FUTURE_TIME"]
    ]


def test_no_rows_give_typed_empty_frames() -> None:
    empty = raw_frame(content(1)).iloc[:0]
    found = validate_signals(empty, NOW)
    normalised = normalise_signals(found.signals, CALENDAR, ALIASES)
    signals = resolve_signals(normalised.signals, [share()]).signals
    assert (len(found.signals), len(found.rejected), len(signals)) == (0, 0, 0)
    assert {"signal_id", "instrument_key", "duplicate_of", "lot_size"} <= set(signals.columns)


# --------------------------------------------------------------------------------------- follow-ups


def test_a_followup_without_id_goes_to_the_newest_signal_before_it() -> None:
    found = validated(
        content(1),
        content(5),
        content(9),
        content(7, kind="FOLLOWUP", followup_kind="EXIT", source_message_id="f1"),
        content(8, kind="FOLLOWUP", followup_kind="EXIT", source_message_id="f2", symbol="INFY"),
        content(8, kind="FOLLOWUP", followup_kind="EXIT", source_message_id="f3", advisor_id="A2"),
    )
    links = dict(zip(found.followups["source_message_id"], found.followups["signal_id"], strict=True))
    names = dict(zip(found.signals["signal_id"], found.signals["source_message_id"], strict=True))
    assert names[links["f1"]] == "m5"
    assert pd.isna(links["f2"])
    assert pd.isna(links["f3"])


def test_followups_reach_signals_of_earlier_days_and_orphans_stay() -> None:
    before = validated(content(1)).signals[EARLIER]
    exits = [
        content(5, kind="FOLLOWUP", followup_kind="EXIT", source_message_id="f1"),
        content(6, kind="FOLLOWUP", followup_kind="EXIT", source_message_id="f2", refers_to="m1"),
        content(7, kind="FOLLOWUP", followup_kind="EXIT", source_message_id="f3", refers_to="gone"),
    ]
    found = validated(*exits, earlier=before).followups.sort_values("source_message_id")
    assert found["signal_id"].iloc[:2].tolist() == [before["signal_id"].iloc[0]] * 2
    assert pd.isna(found["signal_id"].iloc[2])
    assert found["refers_to"].iloc[2] == "gone"


def test_a_followup_is_linked_alike_in_any_range() -> None:
    """Neither to a signal that came after it nor to one beyond reach, though a long range holds both."""
    rows = [
        content(1, posted_at="2024-10-03T09:20:00+05:30"),
        content(9),
        content(5, kind="FOLLOWUP", followup_kind="EXIT", source_message_id="named", refers_to="m9"),
        content(6, kind="FOLLOWUP", followup_kind="EXIT", source_message_id="old", refers_to="m1"),
        content(7, kind="FOLLOWUP", followup_kind="EXIT", source_message_id="by symbol"),
    ]
    old = raw_frame(rows[0], trade_date=date(2024, 10, 3))
    long = pd.concat([old, raw_frame(*rows[1:])], ignore_index=True)
    nothing = validated(content(1)).signals[EARLIER].iloc[:0]
    found = validate_signals(long, NOW, nothing).followups
    assert found["signal_id"].isna().tolist() == [True] * 3
    alone = validate_signals(raw_frame(*rows[1:]), NOW, nothing).followups
    pd.testing.assert_frame_equal(found, alone)


# ---------------------------------------------------------------------------------------- normalise


def test_the_table_and_the_single_record_agree() -> None:
    rows = [
        content(1, symbol="tata consultancy"),
        content(
            2,
            category="INDEX_FUT",
            symbol="Nifty 50",
            expiry="2025-01-30",
            posted_at="2025-01-02T12:00:00+05:30",
        ),
        content(3, side="SELL", stoploss="105", targets="90"),
        content(4, category="STOCK_OPT", strike="100", option_type="CE", expiry="2025-01-08"),
        content(5, period="POSITIONAL", posted_at="2025-01-02T14:00:00+05:30"),
    ]
    table = normalise_signals(validated(*rows).signals, CALENDAR, ALIASES).signals
    frame = table.set_index("source_message_id")
    assert frame.loc["m1", ["underlying", "period", "session", "weekday"]].tolist() == [
        "TCS",
        "SWING",
        "MORNING",
        "THURSDAY",
    ]
    assert frame.loc["m2", ["underlying", "is_index", "period", "session"]].tolist() == [
        "NIFTY",
        True,
        "SWING",
        "MIDDAY",
    ]
    assert frame.loc["m3", "period"] == "INTRADAY"  # shares sold cannot be held overnight
    assert frame.loc["m4", "period"] == "INTRADAY"  # six days to expiry
    assert frame.loc["m5", ["period", "session"]].tolist() == ["POSITIONAL", "AFTERNOON"]


@pytest.mark.parametrize(
    ("minute", "session"),
    [
        ("09:14:59", "AFTER_HOURS"),
        ("09:15:00", "MORNING"),
        ("11:29:59", "MORNING"),
        ("11:30:00", "MIDDAY"),
        ("13:30:00", "AFTERNOON"),
        ("15:29:59", "AFTERNOON"),
        ("15:30:00", "AFTER_HOURS"),
    ],
)
def test_sessions_are_half_open(minute: str, session: str) -> None:
    row = content(1, posted_at="2025-01-02T08:00:00+05:30", received_at=f"2025-01-02T{minute}+05:30")
    frame = normalise_signals(validated(row).signals, CALENDAR, ALIASES).signals
    assert frame["session"].tolist() == [session]


def test_a_category_that_does_not_fit_is_refused() -> None:
    found = normalise_signals(
        validated(content(1, category="INDEX_FUT"), content(2, category="STOCK_FUT", symbol="NIFTY")).signals,
        CALENDAR,
        ALIASES,
    )
    assert found.signals.empty
    assert found.rejected["reason_codes"].tolist() == [["CATEGORY_MISMATCH"]] * 2


def test_one_record_is_filed_like_the_table() -> None:
    from propdesk.intake import document_to_record

    document: dict[str, object] = dict(content(1))
    received = 1_735_789_900 * 10**9
    record = document_to_record(document, received_ns=received)
    assert not hasattr(record, "reasons")
    filed = normalise_signal(record, CALENDAR, ALIASES)  # type: ignore[arg-type]
    assert isinstance(filed, Dimensions)
    assert (filed.trade_date, filed.period, filed.underlying) == (DAY, Period.SWING, "TCS")
    assert from_ns(received).tzinfo is UTC


# ------------------------------------------------------------------------------------------ resolve


def test_prices_go_on_the_tick_grid_and_rounding_is_told() -> None:
    found = resolved(
        content(1, entry_low="100.02", targets="110.01/110.02/120"), content(2, entry_low="100.05")
    )
    assert found["entry_low_paise"].tolist() == [10_000, 10_005]
    assert found["targets_paise"].tolist() == [[11_000, 12_000], [11_000, 12_000]]
    assert found["rounded"].tolist() == [True, False]


def test_a_stop_that_rounds_onto_the_entry_is_refused() -> None:
    normalised = normalise_signals(
        validated(content(1, entry_low="100", stoploss="99.98", targets="110")).signals, CALENDAR, ALIASES
    )
    found = resolve_signals(normalised.signals, [share()])
    assert found.rejected["reason_codes"].tolist() == [["STOPLOSS_WRONG_SIDE"]]
    assert found.signals.empty


def test_the_expiry_by_rule_is_filled_in() -> None:
    rows = content(1, category="INDEX_FUT", symbol="NIFTY", expiry="CURRENT_MONTHLY")
    found = resolved(rows, instruments=[future(date(2025, 1, 30)), future(date(2025, 2, 27))])
    assert found["expiry"].tolist() == [date(2025, 1, 30)]
    assert found["instrument_key"].tolist() == ["INDEX_FUT:NIFTY:2025-01-30"]
    assert found["underlying_key"].tolist() == ["INDEX:NIFTY"]
    assert found["lot_size"].tolist() == [75]


def test_what_is_not_listed_is_refused_with_the_remedy() -> None:
    normalised = normalise_signals(
        validated(content(1), content(2, symbol="NOSUCH")).signals, CALENDAR, ALIASES
    )
    found = resolve_signals(normalised.signals, [share()])
    assert found.rejected["reason_codes"].tolist() == [["UNKNOWN_SYMBOL"]]
    assert "NOSUCH" in found.rejected["message"].iloc[0]


def test_a_shares_close_follows_its_listing_on_the_day_of_receipt_in_any_range() -> None:
    """Listed until the second of two days: with derivatives the share closes at 15:15."""
    closes = {Segment.CASH: 930, Segment.CASH_FNO: 915, Segment.DERIVATIVES: 940}
    hours = [HoursRule(one, date(2000, 1, 1), 555, close, 900) for one, close in closes.items()]
    days = [DAY, date(2025, 1, 3), date(2025, 1, 6), date(2025, 1, 7)]
    calendar = MarketCalendar(days, hours)
    listings = DerivativeListings({"TCS": [(DAY, days[1])]})
    dates = [days[1], days[2], days[2]]
    late = [
        validated(content(n, posted_at=f"{days[n]}T15:20:00+05:30")).signals.assign(trade_date=dates[n])
        for n in range(3)
    ]
    whole = normalise_signals(pd.concat(late, ignore_index=True), calendar, ALIASES, listings).signals
    assert whole.sort_values("source_message_id")["session"].tolist() == [
        "AFTER_HOURS",
        "AFTER_HOURS",
        "AFTERNOON",
    ]
    for frame in late:
        alone = normalise_signals(frame, calendar, ALIASES, listings).signals
        part = whole[whole["signal_id"].isin(alone["signal_id"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(part, alone)


def test_reposts_and_copies_are_linked_across_partitions() -> None:
    first = resolved(content(1))
    today = resolved(content(5), content(7, advisor_id="A2"), content(8, entry_low="101"), earlier=first)
    assert today["duplicate_of"].tolist()[0] == first["signal_id"].iloc[0]
    assert today["copied_from"].tolist()[1] == first["signal_id"].iloc[0]
    assert pd.isna(today["duplicate_of"].iloc[1])
    assert pd.isna(today["duplicate_of"].iloc[2])


def test_a_partition_links_reposts_as_the_range_does_though_it_reads_only_the_window_before_it() -> None:
    """The first is too old to be read for the third, which repeats nothing: the second is a repost."""
    posts = content(0), content(20), content(39)
    whole = resolved(*posts)
    first = whole["signal_id"].iloc[0]
    assert [None if pd.isna(link) else link for link in whole["duplicate_of"]] == [None, first, None]
    alone = resolved(posts[2], earlier=whole.iloc[[1]])
    pd.testing.assert_series_equal(
        alone["duplicate_of"], whole["duplicate_of"].iloc[2:].reset_index(drop=True)
    )


def test_the_future_changes_no_earlier_link() -> None:
    alone = resolved(content(1), content(5))
    more = resolved(content(1), content(5), content(6), content(9, advisor_id="A2"))
    pd.testing.assert_frame_equal(alone, more.iloc[:2])


def test_inputs_are_left_alone() -> None:
    frame = normalise_signals(validated(content(1, entry_low="100.02")).signals, CALENDAR, ALIASES).signals
    before = frame.copy(deep=True)
    resolve_signals(frame, [share()])
    pd.testing.assert_frame_equal(frame, before)


def test_stamps_keep_their_value_whatever_the_resolution() -> None:
    column = stamps([1_735_789_800_000_000_000])
    assert to_ns(column.astype("datetime64[us, UTC]")).tolist() == [1_735_789_800_000_000_000]
