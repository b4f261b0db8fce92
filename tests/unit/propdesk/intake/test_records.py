"""From a row to a typed record: identity, faults, documents."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.core.clock import NS_PER_SECOND, from_ns
from propdesk.intake import (
    DOCUMENT_PROFILE,
    Aliases,
    IntakeTimes,
    LandedRecord,
    PriceUnit,
    Rejection,
    RejectReason,
    document_to_record,
    land_row,
)
from propdesk.intake.fields import time_text
from propdesk.model.enums import Category, EntryType, FollowupKind, OptionType, Period, Side
from propdesk.model.signal import Followup, Signal

NOW = 1_735_800_000 * NS_PER_SECOND
TIMES = IntakeTimes(NOW)
BASE: dict[str, Any] = {
    "kind": "SIGNAL",
    "source_message_id": "m1",
    "advisor_id": "A1",
    "advisor_name": "Anand",
    "sebi_reg_no": "INH000001234",
    "posted_at": "2025-01-02T09:20:00+05:30",
    "category": "NSE_EQ",
    "symbol": "tcs",
    "side": "buy",
    "entry_type": "LIMIT",
    "entry_low": "142",
    "stoploss": "127",
    "targets": "171/200",
    "period": "INTRADAY",
}
FOLLOWUP = {
    "kind": "FOLLOWUP",
    "source_message_id": "f1",
    "advisor_id": "A1",
    "posted_at": "2025-01-02T10:20:00+05:30",
    "refers_to": "m1",
    "followup_kind": "EXIT",
}


def land(**changes: str) -> LandedRecord | Rejection:
    return land_row({**BASE, **changes}, DOCUMENT_PROFILE, TIMES)[0]


def typed(document: dict[str, Any]) -> Signal | Followup | Rejection:
    return document_to_record(document, received_ns=NOW)


def reasons(**changes: Any) -> tuple[RejectReason, ...]:
    record = typed({**BASE, **changes})
    assert isinstance(record, Rejection), record
    assert record.message
    return record.reasons


# ----------------------------------------------------------------------------------------- identity


def test_the_same_message_has_the_same_id_whatever_it_says() -> None:
    first, second = land(), land(stoploss="130")
    assert isinstance(first, LandedRecord)
    assert isinstance(second, LandedRecord)
    assert first.record_id == second.record_id
    assert first.content_hash != second.content_hash


def test_ordinals_and_sources_tell_calls_apart() -> None:
    ids = {
        one.record_id
        for one in (land(), land(ordinal="1"), land(source="x"))
        if isinstance(one, LandedRecord)
    }
    assert len(ids) == 3


def test_without_an_id_the_content_names_it() -> None:
    one, same, other = (
        land(source_message_id=""),
        land(source_message_id="", received_at="2025-01-02T09:40:00+05:30"),
        land(source_message_id="", stoploss="130"),
    )
    assert isinstance(one, LandedRecord)
    assert isinstance(same, LandedRecord)
    assert isinstance(other, LandedRecord)
    assert one.record_id == same.record_id != other.record_id


def test_receipt_defaults_to_posting_and_the_lag() -> None:
    record = land()
    assert isinstance(record, LandedRecord)
    assert record.received_ns - record.posted_ns == 30 * NS_PER_SECOND


@pytest.mark.parametrize(
    ("heard", "edited", "known"),
    [
        ("09:21", "11:05", "11:05:00"),  # what was heard first is not what the row says
        ("11:06", "11:05", "11:06:00"),
        ("09:21", "09:20", "09:21:00"),
        ("", "11:05", "11:05:30"),
    ],
)
def test_a_wording_is_known_from_its_edit_on_whenever_the_first_was_heard(
    heard: str, edited: str, known: str
) -> None:
    record = land(
        received_at=heard and f"2025-01-02T{heard}:00+05:30", edited_at=f"2025-01-02T{edited}:00+05:30"
    )
    assert isinstance(record, LandedRecord)
    assert from_ns(record.received_ns) == datetime.fromisoformat(f"2025-01-02T{known}+05:30")
    assert record.content["received_at"] == time_text(record.received_ns)


def test_an_edit_does_not_hide_a_receipt_before_the_posting() -> None:
    record = land(received_at="2025-01-02T09:10:00+05:30", edited_at="2025-01-02T11:05:00+05:30")
    assert isinstance(record, Rejection)
    assert record.reasons == (RejectReason.RECEIVED_BEFORE_POSTED,)


def test_paise_and_words_of_a_profile() -> None:
    profile = replace(
        DOCUMENT_PROFILE,
        price_unit=PriceUnit.PAISE,
        values={"category": {"EQUITY": "NSE_EQ"}, "side": {"B": "BUY"}},
    )
    row = {
        **BASE,
        "category": "equity",
        "side": "b",
        "entry_low": "14200",
        "stoploss": "12700",
        "targets": "17100",
    }
    record = land_row(row, profile, TIMES)[0]
    assert isinstance(record, LandedRecord)
    content = record.content
    assert (content["category"], content["side"], content["entry_low"], content["targets"]) == (
        "NSE_EQ",
        "BUY",
        "142.00",
        "171.00",
    )


# ------------------------------------------------------------------------------------------- typing


def test_a_document_becomes_a_signal() -> None:
    signal = typed({**BASE, "_id": object(), "targets": [171, 200.5], "entry_low": 142.5})
    assert isinstance(signal, Signal)
    assert signal.entry_low_paise == signal.entry_high_paise == 14_250
    assert signal.targets_paise == (17_100, 20_050)
    assert (signal.underlying, signal.side, signal.declared_period) == ("TCS", Side.BUY, Period.INTRADAY)
    assert signal.received_ns == NOW
    landed = land()
    assert isinstance(landed, LandedRecord)
    assert signal.signal_id == landed.record_id


def test_stamps_of_documents_without_zone_are_utc() -> None:
    signal = typed({**BASE, "posted_at": datetime(2025, 1, 2, 3, 50)})  # noqa: DTZ001 - as BSON gives it
    assert isinstance(signal, Signal)
    assert from_ns(signal.posted_ns) == datetime(2025, 1, 2, 3, 50, tzinfo=UTC)


def test_aliases_make_the_underlying_canonical() -> None:
    option = {**BASE, "category": "INDEX_OPT", "symbol": "Bank Nifty", "strike": "52000", "option_type": "ce"}
    aliases = Aliases.build({"BANKNIFTY": ["BANK NIFTY"]}, {})
    signal = document_to_record({**option, "expiry": "2025-01-30"}, received_ns=NOW, aliases=aliases)
    assert isinstance(signal, Signal)
    assert (signal.underlying, signal.strike_paise, signal.option_type, signal.expiry) == (
        "BANKNIFTY",
        5_200_000,
        OptionType.CE,
        date(2025, 1, 30),
    )


@pytest.mark.parametrize("word", ["weekly", "CURRENT_WEEKLY", "NEXT_MONTHLY", "MONTH-01", "DAY-01-30"])
def test_expiries_by_rule_are_kept_for_the_listed_ones(word: str) -> None:
    signal = typed({**BASE, "category": "INDEX_FUT", "symbol": "NIFTY", "expiry": word})
    assert isinstance(signal, Signal)
    assert signal.expiry is None
    assert signal.expiry_rule == {"weekly": "CURRENT_WEEKLY"}.get(word, word)


@pytest.mark.parametrize(
    ("changes", "entry_type", "low", "high"),
    [
        ({"entry_type": ""}, EntryType.LIMIT, 14_200, 14_200),
        ({"entry_type": "", "entry_high": "144"}, EntryType.RANGE, 14_200, 14_400),
        ({"entry_type": "", "entry_low": ""}, EntryType.MARKET, None, None),
        ({"entry_type": "MARKET"}, EntryType.MARKET, None, None),
    ],
)
def test_entries(changes: dict[str, str], entry_type: EntryType, low: int | None, high: int | None) -> None:
    signal = typed({**BASE, **changes})
    assert isinstance(signal, Signal)
    assert (signal.entry_type, signal.entry_low_paise, signal.entry_high_paise) == (entry_type, low, high)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"category": "CRYPTO"}, RejectReason.BAD_CATEGORY),
        ({"side": "HOLD"}, RejectReason.BAD_SIDE),
        ({"side": ""}, RejectReason.MISSING_FIELD),
        ({"advisor_id": ""}, RejectReason.MISSING_FIELD),
        ({"symbol": ""}, RejectReason.MISSING_FIELD),
        ({"symbol": "ТCS"}, RejectReason.BAD_SYMBOL),  # Cyrillic T
        ({"symbol": "=1+1"}, RejectReason.BAD_SYMBOL),
        ({"sebi_reg_no": "INA123"}, RejectReason.BAD_REGISTRATION),
        ({"entry_low": "NaN"}, RejectReason.BAD_PRICE),
        ({"entry_low": float("inf")}, RejectReason.BAD_PRICE),
        ({"entry_low": "10000001"}, RejectReason.BAD_PRICE),
        ({"stoploss": "-5"}, RejectReason.BAD_PRICE),
        ({"targets": "171/x"}, RejectReason.BAD_PRICE),
        ({"targets": "/".join(str(150 + i) for i in range(11))}, RejectReason.TOO_MANY_TARGETS),
        ({"targets": "200/171"}, RejectReason.TARGETS_NOT_MONOTONE),
        ({"targets": "141"}, RejectReason.TARGET_WRONG_SIDE),
        ({"stoploss": "142"}, RejectReason.STOPLOSS_WRONG_SIDE),
        ({"side": "SELL"}, RejectReason.STOPLOSS_WRONG_SIDE),
        ({"entry_type": "MAYBE"}, RejectReason.BAD_ENTRY_TYPE),
        ({"entry_high": "144"}, RejectReason.BAD_ENTRY),
        ({"entry_low": ""}, RejectReason.BAD_ENTRY),
        ({"entry_type": "RANGE", "entry_high": "141"}, RejectReason.BAD_ENTRY),
        ({"period": "FOREVER"}, RejectReason.BAD_PERIOD),
        ({"strike": "100"}, RejectReason.NOT_FOR_CATEGORY),
        ({"expiry": "2025-01-30"}, RejectReason.NOT_FOR_CATEGORY),
        ({"category": "INDEX_OPT"}, RejectReason.BAD_STRIKE),
        ({"category": "STOCK_FUT", "expiry": "soon"}, RejectReason.BAD_EXPIRY),
        ({"posted_at": ""}, RejectReason.MISSING_FIELD),
        ({"posted_at": "2025-01-02T12:20:00+05:30"}, RejectReason.FUTURE_TIME),
        ({"kind": "NEWS"}, RejectReason.BAD_KIND),
        ({"advisor_name": {"a": 1}}, RejectReason.MALFORMED_ROW),
        ({"advisor_name": "x" * 4097}, RejectReason.FIELD_TOO_LONG),
        ({"advisor_name": "a\x07b"}, RejectReason.BAD_CHARACTER),
    ],
)
def test_faults_have_their_code(changes: dict[str, Any], reason: RejectReason) -> None:
    assert reason in reasons(**changes)


def test_every_fault_of_a_record_is_named_at_once() -> None:
    assert set(reasons(side="HOLD", entry_low="NaN", sebi_reg_no="X")) >= {
        RejectReason.BAD_SIDE,
        RejectReason.BAD_PRICE,
        RejectReason.BAD_REGISTRATION,
    }


def test_a_sale_is_the_mirror_of_a_purchase() -> None:
    signal = typed({**BASE, "side": "SELL", "stoploss": "157", "targets": "120/100"})
    assert isinstance(signal, Signal)
    assert reasons(side="SELL", stoploss="157", targets="100/120") == (RejectReason.TARGETS_NOT_MONOTONE,)


def test_na_is_a_ticker_and_leading_zeros_stay() -> None:
    signal = typed({**BASE, "symbol": "NA", "advisor_id": "00123"})
    assert isinstance(signal, Signal)
    assert (signal.underlying, signal.advisor_id) == ("NA", "00123")


# --------------------------------------------------------------------------------------- follow-ups


def test_a_followup_refers_to_its_signal() -> None:
    followup, signal = typed(dict(FOLLOWUP)), typed(BASE)
    assert isinstance(followup, Followup)
    assert isinstance(signal, Signal)
    assert followup.signal_id == signal.signal_id
    assert followup.kind is FollowupKind.EXIT


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"followup_kind": "PARTIAL_EXIT"}, RejectReason.BAD_FRACTION),
        ({"followup_kind": "PARTIAL_EXIT", "fraction": "1.5"}, RejectReason.BAD_FRACTION),
        ({"followup_kind": "UPDATE_STOPLOSS"}, RejectReason.MISSING_FIELD),
        ({"followup_kind": "UPDATE_TARGET"}, RejectReason.MISSING_FIELD),
        ({"followup_kind": "PANIC"}, RejectReason.BAD_FOLLOWUP_KIND),
    ],
)
def test_followups_are_checked(changes: dict[str, str], reason: RejectReason) -> None:
    record = typed({**FOLLOWUP, **changes})
    assert isinstance(record, Rejection)
    assert reason in record.reasons


# --------------------------------------------------------------------------------------------- fuzz


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=40),
    st.sampled_from(["NaN", "1e308", "=1+1", "\x00", "２０２５", "-0", "2025-02-29 10:00", "142/171", "BUY"]),
    st.datetimes(),
    st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=3),
)


@given(st.dictionaries(st.sampled_from(sorted(BASE)), CELLS, max_size=6))
def test_no_document_crashes_and_what_is_taken_is_sound(changes: dict[str, object]) -> None:
    record = typed({**BASE, **changes})
    if isinstance(record, Rejection):
        assert record.reasons
        assert record.message
    elif isinstance(record, Signal):
        assert record.category in Category
        levels = [record.entry_low_paise, record.stoploss_paise, *record.targets_paise]
        assert all(level is None or 0 < level <= 1_000_000_000 for level in levels)
