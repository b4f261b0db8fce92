"""Turns chosen ideas into messages: signals, follow-ups, claims, reposts, edits and the odd unusable row."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from propdesk.core.calendar import MarketCalendar, ist_date
from propdesk.model.enums import Category, EntryType, FollowupKind, OptionType, Period, Side
from propdesk.model.instrument import Instrument
from propdesk.sim.advisor_habits import Habit, Kind
from propdesk.sim.advisor_ideas import DEFAULT_LAG_S, PERIODS, Choice
from propdesk.sim.advisor_paths import MARKET, NOT_TRIGGERED, STOP_FIRST, TARGET_FIRST, TIMED_OUT
from propdesk.sim.market_book import PathBook

Int64Array: TypeAlias = NDArray[np.int64]

_ENTRY_TYPES = (EntryType.LIMIT, EntryType.STOP, EntryType.MARKET, EntryType.RANGE)
_CLAIM_SHARE = 0.6
_FALSE_CLAIM_SHARE = 0.04
_LIAR_CLAIM_SHARE = 0.9
_EDIT_SHARE = 0.02
_REPOST_SHARE = 0.008
_DEFECT_SHARE = 0.002
_PAIR_SHARE = 0.02
_ALIAS_SHARE = 0.05
_ALIASES = {"NIFTY": ("NIFTY 50", "NIFTY50"), "BANKNIFTY": ("BANK NIFTY", "NIFTY BANK")}
_SECONDS_PER_MINUTE = 60
_CANCEL_AFTER_S = 75 * 60


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One message as an advisor's channel delivers it; prices in paise, stamps in s UTC.

    ``states_receipt`` is False where the file leaves received_at to the default lag; ``raw`` replaces
    columns by text that no honest value could produce.
    """

    kind: str
    source_message_id: str
    advisor_id: str
    advisor_name: str
    sebi_reg_no: str
    posted_s: int
    received_s: int
    states_receipt: bool
    category: Category | None = None
    symbol: str = ""
    expiry: date | None = None
    strike_paise: int | None = None
    option_type: OptionType | None = None
    side: Side | None = None
    entry_type: EntryType | None = None
    entry_low_paise: int | None = None
    entry_high_paise: int | None = None
    stoploss_paise: int | None = None
    targets_paise: tuple[int, ...] = ()
    period: Period | None = None
    group_key: str = ""
    reported_status: str = ""
    reported_exit_paise: int | None = None
    reported_exit_s: int | None = None
    refers_to: str = ""
    followup_kind: FollowupKind | None = None
    fraction: float | None = None
    raw: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Fate:
    """What the path did with one posted idea."""

    status: int
    entry_at: int
    exit_at: int
    day: int


class Writer:
    """Collects the messages of one advisor or several."""

    def __init__(self, book: PathBook, calendar: MarketCalendar, seed: int, *, with_defects: bool) -> None:
        self._book = book
        self._calendar = calendar
        self._seed = seed
        self._with_defects = with_defects
        self.rows: list[SampleRow] = []
        """What was written, advisor by advisor."""
        # claims and edits of the last day do not exist yet while that day is replayed
        self._known_until_s = int(book.open_minute[0, -1]) * _SECONDS_PER_MINUTE

    def add(self, habit: Habit, choice: Choice, *, copies: bool) -> None:
        """Write everything one advisor sends."""
        rng = np.random.default_rng([self._seed, 31, int(habit.advisor_id.removeprefix("ADV"))])
        order = np.argsort(choice.ideas.posted_s, kind="stable")
        status, entry_at = choice.fate("status"), choice.fate("entry_at")
        exit_at = choice.fate("exit_at")
        for number, n in enumerate(order.tolist()):
            row = self._signal(rng, habit, choice, n, number)
            fate = _Fate(int(status[n]), int(entry_at[n]), int(exit_at[n]), int(choice.ideas.day[n]))
            row = self._claimed(rng, habit, row, fate)
            self.rows.append(row)
            if not copies and rng.random() < habit.followup_share:
                self.rows += self._followups(rng, row, fate)
            if self._with_defects:
                self.rows += self._oddities(rng, habit, row, fate, int(choice.ideas.row[n]))

    def _signal(
        self, rng: np.random.Generator, habit: Habit, choice: Choice, n: int, number: int
    ) -> SampleRow:
        ideas, side, trials = choice.ideas, int(choice.side[n]), choice.trials
        item = self._book.instruments[int(ideas.row[n])]
        entry_type = int(ideas.entry_type[n])
        posted, received = int(ideas.posted_s[n]), int(ideas.received_s[n])
        count = int(ideas.targets[n])
        is_market = entry_type == MARKET
        return SampleRow(
            kind="SIGNAL",
            source_message_id=f"{habit.advisor_id}-{number:05d}",
            advisor_id=habit.advisor_id,
            advisor_name=habit.name,
            sebi_reg_no=habit.registration,
            posted_s=posted,
            received_s=received,
            states_receipt=received - posted != DEFAULT_LAG_S,
            category=item.category,
            symbol=_spelling(rng, item),
            expiry=item.expiry,
            strike_paise=item.strike_paise,
            option_type=item.option_type,
            side=Side.SELL if side else Side.BUY,
            entry_type=_ENTRY_TYPES[entry_type],
            entry_low_paise=None if is_market else int(trials.low[n, side]),
            entry_high_paise=None if is_market else int(trials.high[n, side]),
            stoploss_paise=int(trials.stop[n, side]) if ideas.has_stop[n] else None,
            targets_paise=tuple(int(t) for t in trials.targets[n, side, :count]),
            period=PERIODS[int(ideas.period[n])],
        )

    def _end_s(self, at: int) -> int:
        return (int(self._book.minute[at]) + 1) * _SECONDS_PER_MINUTE

    def _claimed(self, rng: np.random.Generator, habit: Habit, row: SampleRow, fate: _Fate) -> SampleRow:
        """Add the advisor's own claim where he makes one and its moment has passed."""
        lies = habit.kind is Kind.MISREPORTER and rng.random() < _LIAR_CLAIM_SHARE
        lies |= bool(rng.random() < _FALSE_CLAIM_SHARE)
        if rng.random() >= _CLAIM_SHARE and not lies:
            return row
        if fate.exit_at < 0 and not lies:
            return row
        moment = self._end_s(fate.exit_at) if fate.exit_at >= 0 else row.received_s + 5_400
        if moment >= self._known_until_s:
            return row
        if lies or fate.status == TARGET_FIRST:
            status, price = "TARGET", row.targets_paise[0]
        elif fate.status == STOP_FIRST and row.stoploss_paise is not None:
            status, price = "STOPLOSS", row.stoploss_paise
        else:
            status, price = "CLOSED", int(self._book.prices[3, fate.exit_at])
        return replace(row, reported_status=status, reported_exit_paise=price, reported_exit_s=moment)

    # ------------------------------------------------------------------------------------------ follow-ups

    def _followups(self, rng: np.random.Generator, row: SampleRow, fate: _Fate) -> Iterator[SampleRow]:
        """Say something later about an idea, from what had happened until then."""
        if fate.status == NOT_TRIGGERED:
            moment = row.received_s + _CANCEL_AFTER_S
            if moment < int(self._book.square_off_minute[0, fate.day]) * _SECONDS_PER_MINUTE:
                yield self._followup(rng, row, moment, FollowupKind.CANCEL)
            return
        if fate.status not in (TARGET_FIRST, STOP_FIRST, TIMED_OUT) or fate.exit_at <= fate.entry_at + 1:
            return
        kind = rng.choice(len(_FOLLOWUP_KINDS), p=_FOLLOWUP_WEIGHTS)
        wanted, progress = _FOLLOWUP_KINDS[kind]
        at = self._progressed(row, fate, progress)
        if at is None or row.side is None:
            return
        moment = self._end_s(at) + int(rng.integers(5, 45))
        closing_s = int(self._book.close_minute[1, fate.day]) * _SECONDS_PER_MINUTE
        if row.period is Period.INTRADAY and moment >= closing_s:
            return
        yield self._followup(rng, row, moment, wanted, **self._change(row, wanted))

    def _progressed(self, row: SampleRow, fate: _Fate, progress: float) -> int | None:
        """First bar before the end by whose close the idea had moved ``progress`` risks in favour."""
        span = np.arange(fate.entry_at, fate.exit_at)
        fill = (
            int(self._book.prices[0, fate.entry_at]) if row.entry_low_paise is None else row.entry_low_paise
        )
        sign = 1 if row.side is Side.BUY else -1
        risk = abs(fill - (row.stoploss_paise or round(fill * 0.99)))
        done = np.flatnonzero(sign * (self._book.prices[3, span] - fill) >= progress * risk)
        return int(span[done[0]]) if len(done) else None

    def _change(self, row: SampleRow, kind: FollowupKind) -> dict[str, object]:
        fill = row.entry_low_paise or row.targets_paise[0]
        if kind is FollowupKind.UPDATE_STOPLOSS and row.stoploss_paise is not None:
            return {"stoploss_paise": (row.stoploss_paise + fill) // 2 // 5 * 5}
        if kind is FollowupKind.UPDATE_TARGET:
            sign = 1 if row.side is Side.BUY else -1
            step = max(abs(row.targets_paise[-1] - fill) // 4 // 5 * 5, 5)
            return {"targets_paise": (*row.targets_paise[:-1], row.targets_paise[-1] + sign * step)}
        return {"fraction": 0.5} if kind is FollowupKind.PARTIAL_EXIT else {}

    def _followup(
        self, rng: np.random.Generator, row: SampleRow, moment: int, kind: FollowupKind, **change: object
    ) -> SampleRow:
        names = bool(rng.random() < 0.85)  # the rest is matched by advisor and instrument
        blank = SampleRow(
            kind="FOLLOWUP",
            source_message_id=f"{row.source_message_id}-F",
            advisor_id=row.advisor_id,
            advisor_name=row.advisor_name,
            sebi_reg_no=row.sebi_reg_no,
            posted_s=moment,
            received_s=moment + int(rng.integers(2, 40)),
            states_receipt=True,
            category=row.category,
            symbol=row.symbol,
            expiry=row.expiry,
            strike_paise=row.strike_paise,
            option_type=row.option_type,
            refers_to=row.source_message_id if names else "",
            followup_kind=kind,
        )
        return replace(blank, **change)  # type: ignore[arg-type]

    # -------------------------------------------------------------------------------------------- oddities

    def _oddities(
        self, rng: np.random.Generator, habit: Habit, row: SampleRow, fate: _Fate, at: int
    ) -> Iterator[SampleRow]:
        """Add reposts, edits of old calls, hedge pairs and broken rows."""
        chance = rng.random(4)
        if chance[0] < _REPOST_SHARE:
            lag = int(rng.integers(180, 900))
            yield replace(
                row,
                source_message_id=f"{row.source_message_id}-R",
                posted_s=row.posted_s + lag,
                received_s=row.received_s + lag,
            )
        if habit.kind is Kind.MISREPORTER and chance[1] < _EDIT_SHARE and fate.exit_at >= 0:
            moment = self._end_s(fate.exit_at) + 600
            if ist_date(moment * 10**9) == ist_date(row.received_s * 10**9) and moment < self._known_until_s:
                # the old call suddenly had a nearer target
                entry = row.entry_high_paise if row.side is Side.BUY else row.entry_low_paise
                nearer = (row.targets_paise[0] + (entry or row.targets_paise[0])) // 2 // 5 * 5
                yield replace(row, received_s=moment, states_receipt=True, targets_paise=(nearer,))
        if row.category is Category.INDEX_OPT and chance[2] < _PAIR_SHARE and row.period is Period.INTRADAY:
            yield from self._pair(row, fate, at)
        if chance[3] < _DEFECT_SHARE:
            yield replace(
                row,
                source_message_id=f"{row.source_message_id}-X",
                raw=_DEFECTS[int(rng.integers(len(_DEFECTS)))],
            )

    def _pair(self, row: SampleRow, fate: _Fate, at: int) -> Iterator[SampleRow]:
        """Post a spread: the idea again as one leg of two, with another strike sold against it."""
        own = self._book.instruments[at]
        offered = self._book.pools[(Category.INDEX_OPT, False, False)][fate.day].tolist()
        for other in (self._book.instruments[r] for r in offered):
            same = (other.underlying, other.option_type, other.expiry) == (
                own.underlying,
                own.option_type,
                own.expiry,
            )
            if same and other.strike_paise != own.strike_paise:
                key = f"{row.source_message_id}-P"
                yield replace(row, source_message_id=f"{key}1", group_key=key, reported_status="",
                              reported_exit_paise=None, reported_exit_s=None)  # fmt: skip
                yield replace(
                    row, source_message_id=f"{key}2", group_key=key, side=Side.SELL,
                    strike_paise=other.strike_paise, entry_type=EntryType.MARKET, entry_low_paise=None,
                    entry_high_paise=None, stoploss_paise=None, targets_paise=(), reported_status="",
                    reported_exit_paise=None, reported_exit_s=None,
                )  # fmt: skip
                return


_FOLLOWUP_KINDS = (
    (FollowupKind.MOVE_TO_COST, 1.0),
    (FollowupKind.UPDATE_STOPLOSS, 0.6),
    (FollowupKind.PARTIAL_EXIT, 0.8),
    (FollowupKind.UPDATE_TARGET, 0.7),
    (FollowupKind.EXIT, 0.3),
    (FollowupKind.UNCLEAR, 0.2),
    (FollowupKind.ADD, 0.2),
    (FollowupKind.CARRY, 0.1),
)
_FOLLOWUP_WEIGHTS = (0.3, 0.24, 0.12, 0.1, 0.12, 0.05, 0.04, 0.03)

_DEFECTS: tuple[Mapping[str, str], ...] = (
    {"stoploss": "9999999"},
    {"sebi_reg_no": "INH12"},
    {"symbol": "NOSUCHNAME"},
    {"entry_low": "NaN", "entry_high": "NaN"},
    {"posted_at": "yesterday"},
    {"side": "HOLD"},
)


def _spelling(rng: np.random.Generator, item: Instrument) -> str:
    """Spell an index the way people do, now and then."""
    names = _ALIASES.get(item.underlying)
    if names is None or rng.random() >= _ALIAS_SHARE:
        return item.underlying
    return names[int(rng.integers(len(names)))]
