"""Step 4: the instrument as of the trade date, prices on its grid, reposts and copies linked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from propdesk.core.clock import NS_PER_MINUTE
from propdesk.core.money import round_to_tick
from propdesk.intake import IdeaBook, IdeaKey, InstrumentLookup, Links, Rejection, RejectReason, RejectStage
from propdesk.intake.reasons import Findings
from propdesk.intake.resolve import explain
from propdesk.intake.validate import check_levels
from propdesk.model.enums import Category, OptionType, Side
from propdesk.model.instrument import Instrument, underlying_price_key
from propdesk.pipeline.columns import by_partition, objects, or_none, texts, to_ns, whole
from propdesk.pipeline.normalise import refused_rows

_LEVELS = ("entry_low_paise", "entry_high_paise", "stoploss_paise")
_LINK_COLUMNS = (
    "signal_id",
    "advisor_id",
    "instrument_key",
    "side",
    "entry_low_paise",
    "entry_high_paise",
    "stoploss_paise",
    "targets_paise",
)


@dataclass(frozen=True, slots=True)
class Resolved:
    """Frames of ``research.resolved_signals`` and the refused records."""

    signals: pd.DataFrame
    rejected: pd.DataFrame


@dataclass(frozen=True, slots=True)
class DuplicateRule:
    """When a later idea is a repost or a copy (§1.6): minutes, share of the entry, minutes."""

    window_minutes: int = 30
    entry_ratio: float = 0.005
    copy_minutes: int = 10

    @property
    def reach_minutes(self) -> int:
        """How far before a signal the one it repeats or copies can lie."""
        return max(self.window_minutes, self.copy_minutes)


@dataclass(frozen=True, slots=True)
class _Fitted:
    """An instrument and the signal's prices on its tick grid, paise."""

    instrument: Instrument
    levels: tuple[int | None, int | None, int | None]
    targets: list[int]
    expiry: date | None
    rounded: bool


def resolve_signals(
    normalised: pd.DataFrame,
    instruments: Sequence[Instrument],
    earlier: pd.DataFrame | None = None,
    rule: DuplicateRule | None = None,
) -> Resolved:
    """Give every signal its instrument, or the reason why it has none.

    Parameters
    ----------
    normalised : DataFrame
        Columns of ``research.normalised_signals``.
    instruments : sequence of Instrument
        Every row valid on any of the trade dates, and those valid around them (a contract listed later is
        told from one unknown).
    earlier : DataFrame, optional
        Resolved signals of earlier partitions received within the windows before, with their own
        ``duplicate_of``; they link later ones and are not returned.
    rule : DuplicateRule, optional
        Windows of reposts and copies.

    Returns
    -------
    Resolved
        Every row is in exactly one of the two frames. What a price was before rounding stays in
        ``research.validated_signals``.
    """
    lookup = InstrumentLookup(instruments)
    found = [_fit(row, lookup) for row in _rows(normalised)]
    is_kept = np.array([isinstance(one, _Fitted) for one in found], dtype=bool)
    fitted = [one for one in found if isinstance(one, _Fitted)]
    signals = _with_instruments(normalised[is_kept].reset_index(drop=True), fitted)
    links = _links(signals, earlier, rule or DuplicateRule())
    signals["duplicate_of"] = texts([link.duplicate_of for link in links])
    signals["copied_from"] = texts([link.copied_from for link in links])
    refused = normalised[~is_kept]
    rejections = [one for one in found if isinstance(one, Rejection)]
    return Resolved(by_partition(signals, "signal_id"), refused_rows(refused, rejections))


def _rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    names = (
        "signal_id",
        "trade_date",
        "category",
        "underlying",
        "expiry",
        "expiry_rule",
        "strike_paise",
        "option_type",
        "side",
        *_LEVELS,
        "targets_paise",
    )
    return list(zip(*(or_none(frame[name]) for name in names), strict=True))


def _fit(row: tuple[Any, ...], lookup: InstrumentLookup) -> _Fitted | Rejection:
    (
        signal_id,
        trade_date,
        category,
        underlying,
        expiry,
        rule,
        strike,
        option_type,
        side,
        low,
        high,
        stop,
        targets,
    ) = row
    instrument = lookup.find(
        Category(category),
        underlying,
        expiry,
        strike,
        None if option_type is None else OptionType(option_type),
        trade_date,
        expiry_rule=rule,
    )
    if isinstance(instrument, RejectReason):
        what = " ".join(
            str(part) for part in (underlying, expiry or rule, _rupees(strike), option_type) if part
        )
        sentence = explain(instrument, f"{category} {what}", trade_date)
        return Rejection(RejectStage.RESOLVE, (instrument,), sentence, signal_id)
    tick = instrument.tick_paise
    raw = (low, high, stop)
    levels = tuple(None if level is None else round_to_tick(level, tick) for level in raw)
    # Two targets nearer than a tick are one target.
    on_tick = list(dict.fromkeys(round_to_tick(target, tick) for target in targets))
    findings = Findings()
    check_levels(Side(side), levels[0], levels[1], levels[2], tuple(on_tick), findings)
    if 0 in levels or 0 in on_tick:
        findings.add(RejectReason.BAD_PRICE, "a price rounds to zero on the tick grid")
    rejection = findings.rejection(RejectStage.RESOLVE, signal_id)
    if rejection is not None:
        return rejection
    rounded = levels != raw or on_tick != list(targets)
    return _Fitted(instrument, (levels[0], levels[1], levels[2]), on_tick, instrument.expiry, rounded)


def _with_instruments(signals: pd.DataFrame, fitted: list[_Fitted]) -> pd.DataFrame:
    instruments = [one.instrument for one in fitted]
    for place, name in enumerate(_LEVELS):
        signals[name] = whole([one.levels[place] for one in fitted])
    signals["targets_paise"] = objects([one.targets for one in fitted])
    signals["expiry"] = objects([one.expiry for one in fitted])
    signals["instrument_key"] = texts([one.instrument_key for one in instruments])
    signals["price_key"] = texts([one.instrument_key for one in instruments])
    is_index = signals["is_index"].tolist()
    signals["underlying_key"] = texts(
        [
            underlying_price_key(one.underlying, is_index=flag)
            for one, flag in zip(instruments, is_index, strict=True)
        ]
    )
    for name in ("exchange_segment", "security_id", "series"):
        signals[name] = texts([getattr(one, name) for one in instruments])
    for name in ("lot_size", "tick_paise", "freeze_quantity"):
        signals[name] = pd.Series([getattr(one, name) for one in instruments], dtype="int64")
    signals["has_derivatives"] = pd.Series([one.has_derivatives for one in instruments], dtype="bool")
    signals["rounded"] = pd.Series([one.rounded for one in fitted], dtype="bool")
    return signals


def _links(signals: pd.DataFrame, earlier: pd.DataFrame | None, rule: DuplicateRule) -> list[Links]:
    book = IdeaBook(rule.window_minutes * NS_PER_MINUTE, rule.entry_ratio, rule.copy_minutes * NS_PER_MINUTE)
    ideas = _ideas(signals)
    own = {idea.signal_id for idea in ideas}
    before, is_repost = ([], {}) if earlier is None else (_ideas(earlier), _reposts(earlier))
    known = [idea for idea in before if idea.signal_id not in own]
    linked: dict[str, Links] = {}
    for idea in sorted([*known, *ideas], key=lambda one: (one.received_ns, one.signal_id)):
        if idea.signal_id in own:
            linked[idea.signal_id] = book.link(idea)
        else:
            book.recall(idea, is_repost=is_repost[idea.signal_id])
    return [linked[idea.signal_id] for idea in ideas]


def _reposts(frame: pd.DataFrame) -> dict[str, bool]:
    return dict(zip(frame["signal_id"].tolist(), frame["duplicate_of"].notna().tolist(), strict=True))


def _ideas(frame: pd.DataFrame) -> list[IdeaKey]:
    rows = zip(
        to_ns(frame["received_at"]).tolist(), *(or_none(frame[name]) for name in _LINK_COLUMNS), strict=True
    )
    return [
        IdeaKey(signal_id, advisor, instrument, side, ns, low, high, (low, high, stop, *targets))
        for ns, signal_id, advisor, instrument, side, low, high, stop, targets in rows
    ]


def _rupees(paise: int | None) -> str:
    return "" if paise is None else f"{paise / 100:g}"
