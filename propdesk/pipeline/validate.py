"""Step 2: rows to typed signals and follow-ups, or to the quarantine with reasons."""

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import pandas as pd

from propdesk.core.clock import to_ns as moment_ns
from propdesk.core.limits import FUTURE_TOLERANCE_NS
from propdesk.intake import Rejection, RejectReason, RejectStage, build_followup, build_signal, fold_symbol
from propdesk.model.signal import Followup, Signal
from propdesk.pipeline.columns import (
    by_partition,
    objects,
    rejected_frame,
    stamps,
    texts,
    to_ns,
    whole,
)

FOLLOWUP_REACH_DAYS = 90
"""A follow-up may refer to a signal whose trade date is this old, calendar days: positional ideas live forty
market days."""


@dataclass(frozen=True, slots=True)
class Validated:
    """Frames of ``research.validated_signals``, ``research.followups`` and the refused records."""

    signals: pd.DataFrame
    followups: pd.DataFrame
    rejected: pd.DataFrame


class _Origin(NamedTuple):
    """Where a record came from: bookkeeping that typing does not need."""

    trade_date: date
    upload_id: str
    row_number: int
    revision: int
    content: dict[str, str]


def validate_signals(raw: pd.DataFrame, now: datetime, earlier: pd.DataFrame | None = None) -> Validated:
    """Type every record.

    Parameters
    ----------
    raw : DataFrame
        Columns of ``raw.raw_signals``.
    now : datetime
        Aware; no stamp may lie after it (five minutes of tolerance, §1.1).
    earlier : DataFrame, optional
        Signals of earlier partitions that follow-ups may refer to: trade_date, signal_id, advisor_id,
        symbol_text, received_at; at least `FOLLOWUP_REACH_DAYS` back. Without it a follow-up that names a
        message keeps its link unchecked.

    Returns
    -------
    Validated
        Every row of ``raw`` is in exactly one of the three frames.
    """
    limit_ns = moment_ns(now) + FUTURE_TOLERANCE_NS
    signals: list[tuple[Signal, _Origin]] = []
    followups: list[tuple[Followup, _Origin]] = []
    refused: list[tuple[object, ...]] = []
    for origin, kind, record_id, posted_ns, received_ns in _rows(raw):
        record = _typed(origin, kind, record_id, posted_ns, received_ns, limit_ns)
        if isinstance(record, Signal):
            signals.append((record, origin))
        elif isinstance(record, Followup):
            followups.append((record, origin))
        else:
            refused.append(_refused(record, origin, record_id))
    linked = _link(followups, signals, earlier)
    return Validated(
        by_partition(_signal_frame(signals), "signal_id"),
        by_partition(_followup_frame(followups, linked), "followup_id"),
        rejected_frame(refused),
    )


def _rows(raw: pd.DataFrame) -> "list[tuple[_Origin, str, str, int, int]]":
    columns = (
        raw["trade_date"],
        raw["upload_id"],
        raw["row_number"],
        raw["revision"],
        raw["content"],
    )
    origins = [_Origin(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]
    posted, received = (to_ns(raw[name]).tolist() for name in ("posted_at", "received_at"))
    return list(zip(origins, raw["kind"].tolist(), raw["record_id"].tolist(), posted, received, strict=True))


def _typed(
    origin: _Origin, kind: str, record_id: str, posted_ns: int, received_ns: int, limit_ns: int
) -> Signal | Followup | Rejection:
    if max(posted_ns, received_ns) > limit_ns:
        sentence = "a stamp lies after the moment of validation"
        return Rejection(RejectStage.VALIDATE, (RejectReason.FUTURE_TIME,), sentence, record_id)
    if kind == "FOLLOWUP":
        return build_followup(
            origin.content, record_id=record_id, posted_ns=posted_ns, received_ns=received_ns
        )
    return build_signal(
        origin.content,
        record_id=record_id,
        revision=origin.revision,
        posted_ns=posted_ns,
        received_ns=received_ns,
    )


def _refused(rejection: Rejection, origin: _Origin, record_id: str) -> tuple[object, ...]:
    return (
        rejection.stage.value,
        origin.upload_id,
        origin.row_number,
        origin.trade_date,
        record_id,
        [reason.value for reason in rejection.reasons],
        rejection.message,
        json.dumps(origin.content, sort_keys=True, ensure_ascii=False),
    )


# ------------------------------------------------------------------------------------------- follow-ups


class _Known(NamedTuple):
    """A signal that follow-ups may refer to."""

    received_ns: int
    signal_id: str
    trade_date: date

    def answers(self, followup: Followup, day: date) -> bool:
        """Whether a follow-up of a day can be about this signal, whatever range is computed."""
        is_recent = self.trade_date >= day - timedelta(days=FOLLOWUP_REACH_DAYS)
        return is_recent and self.received_ns <= followup.received_ns


def _link(
    followups: Sequence[tuple[Followup, _Origin]],
    signals: Sequence[tuple[Signal, _Origin]],
    earlier: pd.DataFrame | None,
) -> list[str | None]:
    """Find the signal of each follow-up: by id, else the advisor's newest on the same instrument (§1.2)."""
    known, newest = _signal_index(signals, earlier)
    linked: list[str | None] = []
    for followup, origin in followups:
        if followup.signal_id is not None and earlier is None:
            linked.append(followup.signal_id)
            continue
        if followup.signal_id is not None:
            found = known.get(followup.signal_id)
        else:
            ideas = newest.get((followup.advisor_id, fold_symbol(followup.underlying or "")), [])
            place = bisect_left(ideas, followup.received_ns, key=lambda one: one.received_ns)
            found = ideas[place - 1] if place else None
        is_match = found is not None and found.answers(followup, origin.trade_date)
        linked.append(found.signal_id if found is not None and is_match else None)
    return linked


def _signal_index(
    signals: Sequence[tuple[Signal, _Origin]], earlier: pd.DataFrame | None
) -> tuple[dict[str, _Known], dict[tuple[str, str], list[_Known]]]:
    rows = [
        (one.received_ns, one.signal_id, origin.trade_date, one.advisor_id, one.underlying)
        for one, origin in signals
    ]
    if earlier is not None and len(earlier):
        rows += zip(
            to_ns(earlier["received_at"]).tolist(),
            *(earlier[name].tolist() for name in ("signal_id", "trade_date", "advisor_id", "symbol_text")),
            strict=True,
        )
    known: dict[str, _Known] = {}
    newest: dict[tuple[str, str], list[_Known]] = {}
    for received_ns, signal_id, day, advisor_id, symbol in sorted(rows):
        known[signal_id] = _Known(received_ns, signal_id, day)
        newest.setdefault((advisor_id, fold_symbol(symbol)), []).append(known[signal_id])
    return known, newest


# ----------------------------------------------------------------------------------------------- frames


def _origin_columns(origins: Sequence[_Origin]) -> dict[str, Any]:
    return {
        "trade_date": objects([origin.trade_date for origin in origins]),
        "revision": pd.Series([origin.revision for origin in origins], dtype="int64"),
        "upload_id": texts([origin.upload_id for origin in origins]),
        "row_number": pd.Series([origin.row_number for origin in origins], dtype="int64"),
    }


def _signal_frame(pairs: Sequence[tuple[Signal, _Origin]]) -> pd.DataFrame:
    signals = [signal for signal, _ in pairs]
    columns = _origin_columns([origin for _, origin in pairs])
    for name in ("signal_id", "source", "source_message_id", "advisor_id", "advisor_name", "sebi_reg_no"):
        columns[name] = texts([getattr(one, name) for one in signals])
    columns["posted_at"] = stamps([one.posted_ns for one in signals])
    columns["received_at"] = stamps([one.received_ns for one in signals])
    columns["category"] = texts([one.category.value for one in signals])
    columns["symbol_text"] = texts([one.underlying for one in signals])
    columns["expiry"] = objects([one.expiry for one in signals])
    columns["expiry_rule"] = texts([one.expiry_rule for one in signals])
    columns["strike_paise"] = whole([one.strike_paise for one in signals])
    columns["option_type"] = texts([_value(one.option_type) for one in signals])
    columns["side"] = texts([one.side.value for one in signals])
    columns["entry_type"] = texts([one.entry_type.value for one in signals])
    for name in ("entry_low_paise", "entry_high_paise", "stoploss_paise", "reported_exit_paise"):
        columns[name] = whole([getattr(one, name) for one in signals])
    columns["targets_paise"] = objects([list(one.targets_paise) for one in signals])
    columns["declared_period"] = texts([_value(one.declared_period) for one in signals])
    columns["group_key"] = texts([one.group_key for one in signals])
    columns["reported_status"] = texts([one.reported_status for one in signals])
    columns["reported_exit_at"] = stamps([one.reported_exit_ns for one in signals])
    return pd.DataFrame(columns)


def _followup_frame(pairs: Sequence[tuple[Followup, _Origin]], linked: Sequence[str | None]) -> pd.DataFrame:
    followups = [followup for followup, _ in pairs]
    columns = _origin_columns([origin for _, origin in pairs])
    columns["followup_id"] = texts([one.followup_id for one in followups])
    columns["signal_id"] = texts(linked)
    columns["source"] = texts([one.source for one in followups])
    for name in ("source_message_id", "refers_to"):
        columns[name] = texts([origin.content.get(name) for _, origin in pairs])
    columns["source_message_id"] = columns["source_message_id"].fillna("")
    columns["advisor_id"] = texts([one.advisor_id for one in followups])
    columns["kind"] = texts([one.kind.value for one in followups])
    columns["posted_at"] = stamps([one.posted_ns for one in followups])
    columns["received_at"] = stamps([one.received_ns for one in followups])
    columns["symbol_text"] = texts([one.underlying for one in followups])
    columns["stoploss_paise"] = whole([one.stoploss_paise for one in followups])
    columns["targets_paise"] = objects([list(one.targets_paise) for one in followups])
    columns["fraction"] = pd.Series([one.fraction for one in followups], dtype="float64")
    return pd.DataFrame(columns)


def _value(member: Any) -> str | None:
    return None if member is None else str(member.value)
