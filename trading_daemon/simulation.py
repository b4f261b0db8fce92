"""A range of past days through the daemon's own code, each under the rules of the day before (§4.8)."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cache
from typing import Any, Final

import psycopg

from adapters.calendar import load_calendar
from adapters.config_files import load_charges, load_margins
from adapters.config_risk import load_risk
from adapters.db.engine import begin, create_engine
from adapters.db.repos.instruments import read_instruments
from adapters.db.repos.readiness import read_regimes
from adapters.db.repos.replays import count_versions_before, read_day_documents
from adapters.db.repos.rulesets import as_of_dates, read_mart_ruleset
from adapters.db.repos.simulations import (
    DONE,
    FAILED,
    INTERRUPTED,
    RUNNING,
    RunHead,
    add_day,
    begin_run,
    end_run,
    hold_run,
)
from adapters.settings import Settings
from adapters.ticks.store import ParquetPriceStore
from adapters.uploads.profiles import load_aliases
from propdesk.core.calendar import MarketCalendar
from propdesk.core.clock import Clock, from_ns
from propdesk.core.errors import GapFault, PropdeskError, StaleFault
from propdesk.core.ids import derived_id
from propdesk.engine.context import MARKET_SCOPE, DayContext, price_key_of, underlying_key_of
from propdesk.engine.snapshot import read_snapshot, store_form
from propdesk.engine.state import CarryOver
from propdesk.intake.aliases import Aliases
from propdesk.intake.document import document_to_record
from propdesk.model.enums import GateProfile
from propdesk.model.messages import DayOpened
from propdesk.model.rule import RuleSet
from propdesk.model.signal import Signal
from propdesk.ports import BarArrays, PriceSource
from propdesk.sim.books import (
    Book,
    CategoryFound,
    RuleChoice,
    advisors_of,
    choose,
    discover,
    draw_advisors,
    follow,
)
from propdesk.sim.broker import SimBroker
from propdesk.sim.fills import FillModel
from propdesk.sim.results import DayOutcome
from trading_daemon.day_context import (
    build_context,
    empty_ruleset,
    resolver_of,
    take_snapshot,
    traded_values,
)
from trading_daemon.documents import received_ns_of
from trading_daemon.feeds import StoredDay
from trading_daemon.replay_driver import Timeline, build_timeline
from trading_daemon.session import keys_asked
from trading_daemon.simulated_day import DayInputs, SimulatedDay

Connection = psycopg.Connection[tuple[Any, ...]]

HEARD_DAYS: Final = 90
"""A random desk draws from the advisors heard in so many calendar days before the day."""


@dataclass(frozen=True, slots=True)
class SimulationRequest:
    """What is to be simulated.

    Attributes
    ----------
    first, last : date
        Drawn in to market days.
    books : tuple of Book
        Desks, each with the whole capital.
    choice : RuleChoice
        Rules that may trade; its categories bind the baselines, too.
    seed : int
        Of the random desk.
    """

    first: date
    last: date
    books: tuple[Book, ...] = tuple(Book)
    choice: RuleChoice = field(default_factory=RuleChoice)
    seed: int = 7

    def market_days(self, calendar: MarketCalendar) -> list[date]:
        """List the days of the range; `StaleFault` if there is none."""
        days = calendar.market_days(self.first, self.last)
        if not days:
            raise StaleFault(f"{self.first} to {self.last} holds no market day.")
        return days

    def as_json(self) -> dict[str, object]:
        """Give the request as JSON values."""
        return {
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "books": [book.value for book in self.books],
            "advisors": sorted(self.choice.advisors),
            "categories": sorted(self.choice.categories),
            "rules": sorted(self.choice.rules),
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """A day is done: ``outcomes`` are its days by desk."""

    day: date
    done: int
    days: int
    outcomes: Mapping[Book, DayOutcome]


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """Every day of every desk."""

    request: SimulationRequest
    capital_paise: int
    days: Mapping[Book, tuple[DayOutcome, ...]]


def simulate(
    settings: Settings, request: SimulationRequest, observe: Callable[[Progress], None]
) -> SimulationResult:
    """Simulate a range of past days; nothing is stored.

    Parameters
    ----------
    settings : Settings
        Corpus, allocations, sizes and modes, as a daemon would read them.
    observe : callable
        Told every day that is done; what it raises ends the simulation.

    Returns
    -------
    SimulationResult
        The same for the same tables, prices, settings and request.

    Raises
    ------
    StaleFault
        If the range holds no market day.
    GapFault
        If a day lacks rules of the day before, its regime or its instruments: nothing is made up.

    Notes
    -----
    Walk-forward by construction: a day reads the rule tables of the market day before, instruments and
    regime as known before its open, and bars only once they are over.
    """
    calendar = load_calendar()
    days = request.market_days(calendar)
    engine = create_engine(settings.database_url("reader"), "propdesk-simulate")
    try:
        with begin(engine) as connection:
            # one transaction: every day is read from the same state of the tables
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            _require_rules(connection, calendar, days)
            market = _Market(settings, connection, calendar, load_aliases())
            desks = {book: _Desk(book, settings, request) for book in request.books}
            for number, day in enumerate(days, start=1):
                shared = market.day(day, desks.values())
                outcomes = {book: desk.live(shared) for book, desk in desks.items()}
                observe(Progress(day, number, len(days), outcomes))
    finally:
        engine.dispose()
    found = {book: tuple(desk.outcomes) for book, desk in desks.items()}
    return SimulationResult(request, settings.corpus_paise, found)


def rules_on_offer(settings: Settings, request: SimulationRequest) -> tuple[date, tuple[CategoryFound, ...]]:
    """Say what the rules before the first day offer, as chosen: the first two of the three steps (§4.8).

    Returns
    -------
    tuple of date and tuple of CategoryFound
        As-of date (nothing later is looked at: who picks categories by it picks as one could have then), and
        every category under the settings' profile.

    Raises
    ------
    StaleFault, GapFault
        As `simulate`.
    """
    calendar = load_calendar()
    days = request.market_days(calendar)
    engine = create_engine(settings.database_url("reader"), "propdesk-simulate")
    try:
        with begin(engine) as connection:
            _require_rules(connection, calendar, days)
            as_of = calendar.previous_day(days[0])
            ruleset = read_mart_ruleset(connection, as_of, GateProfile(settings.gate_profile))
    finally:
        engine.dispose()
    return as_of, discover(choose(ruleset, request.choice))


def simulate_stored(
    settings: Settings, request: SimulationRequest, clock: Clock, observe: Callable[[Progress], None]
) -> str:
    """Simulate and store every day as it is done, so that others can watch; gives the run's id.

    Raises
    ------
    PropdeskError, KeyboardInterrupt
        As `simulate`. Whatever ends a run, it is stored as FAILED with the reason, or as INTERRUPTED, with
        the days it got to.
    """
    account = settings.account_id
    begun_at = from_ns(clock.now_ns())
    asked = {**request.as_json(), "settings": _settings_json(settings)}
    run_id = derived_id("simulation", account, begun_at.isoformat(), json.dumps(asked, sort_keys=True))
    days = len(request.market_days(load_calendar()))
    engine = create_engine(settings.database_url("daemon"), "propdesk-simulate-store")

    def keep(progress: Progress) -> None:
        with begin(engine) as connection:
            add_day(connection, account, run_id, progress.done, progress.outcomes)
        observe(progress)

    def end(state: str, message: str | None) -> None:
        with begin(engine) as connection:
            end_run(connection, account, run_id, state, from_ns(clock.now_ns()), message)

    try:
        with begin(engine) as connection:
            # the engine keeps the session, and with it the mark, until it is disposed of
            hold_run(connection, run_id)
            head = RunHead(run_id, RUNNING, begun_at, None, asked, settings.corpus_paise, days, 0, None)
            begin_run(connection, account, head)
        try:
            simulate(settings, request, keep)
        except KeyboardInterrupt:
            end(INTERRUPTED, None)
            raise
        except Exception as fault:
            is_told = isinstance(fault, PropdeskError)
            end(FAILED, str(fault) if is_told else f"{type(fault).__name__}: {fault}")
            raise
        end(DONE, None)
    finally:
        engine.dispose()
    return run_id


def _settings_json(settings: Settings) -> dict[str, object]:
    """Name the settings that a simulation's result depends on most."""
    return {
        "corpus_paise": settings.corpus_paise,
        "category_allocations": settings.category_allocations,
        "adverse_allocation": settings.adverse_allocation,
        "size_model": settings.size_model,
        "reverse_mode": settings.reverse_mode,
        "crowd_mode": settings.crowd_mode,
        "regime_scope": settings.regime_scope,
    }


def _require_rules(connection: Connection, calendar: MarketCalendar, days: Sequence[date]) -> None:
    """Refuse a range of which a day has no rules of the market day before."""
    before = [calendar.previous_day(day) for day in days]
    known = as_of_dates(connection, before[0], before[-1])
    missing = [day for day in before if day not in known]
    if missing:
        raise GapFault(
            f"There are no rules of {missing[0]} ({len(missing)} of {len(days)} days lack those of the day "
            f"before): run the pipeline (`python3 run.py backfill {missing[0]} {missing[-1]}`), or simulate "
            "a shorter range."
        )


@dataclass(frozen=True, slots=True)
class _SharedDay:
    """What all desks of a day read."""

    context: DayContext
    timeline: Timeline
    prices: "_HeldPrices"
    aliases: Aliases
    revisions: Mapping[str, int]
    rules_of: date
    rules: Callable[[GateProfile], RuleSet]
    speakers: frozenset[str]
    heard: frozenset[str]
    keys: tuple[str, ...]


def speakers_of(documents: Iterable[Mapping[str, object]]) -> frozenset[str]:
    """Name the advisors of whom at least one idea can be read: an empty cell is nobody's.

    Parameters
    ----------
    documents : iterable of mapping
        As landed, with a readable ``received_at``.
    """
    found: set[str] = set()
    for document in documents:
        if document.get("advisor_id") in found:  # once is enough
            continue
        received_ns = received_ns_of(document)
        record = None if received_ns is None else document_to_record(document, received_ns=received_ns)
        if isinstance(record, Signal):
            found.add(record.advisor_id)
    return frozenset(found)


class _HeldPrices:
    """The day's bars, read once for all desks."""

    def __init__(self, prices: PriceSource, day: date) -> None:
        self._prices = prices
        self._day = day
        self._held: dict[str, BarArrays | None] = {}

    def minute_bars(self, price_keys: Sequence[str], first: date, last: date) -> dict[str, BarArrays]:
        """Bars of the day, as `propdesk.ports.PriceSource` gives them."""
        del first, last
        wanted = [key for key in price_keys if key not in self._held]
        if wanted:
            found = self._prices.minute_bars(wanted, self._day, self._day)
            self._held.update({key: found.get(key) for key in wanted})
        return {key: bars for key in price_keys if (bars := self._held[key]) is not None}


class _Market:
    """Reads a day as pre-market and a replay would."""

    def __init__(
        self, settings: Settings, connection: Connection, calendar: MarketCalendar, aliases: Aliases
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._calendar = calendar
        self._aliases = aliases
        self._prices = ParquetPriceStore(settings.price_store_url, calendar)
        self._charges, self._margins = load_charges(), load_margins()
        self._versions: Counter[str] = Counter()
        self._speakers: dict[date, frozenset[str]] = {}

    def day(self, day: date, desks: "Iterable[_Desk]") -> _SharedDay:
        """Read what the desks' day is made of."""
        before = self._calendar.previous_day(day)
        instruments = tuple(read_instruments(self._connection, day, day))
        if not instruments:
            raise GapFault(
                f"No instrument master holds on {day}: load it with `python3 run.py instruments load FILE`."
            )
        regimes = read_regimes(self._connection, day)
        if MARKET_SCOPE not in regimes:
            raise GapFault(
                f"{day} has no regime: run its pipeline (`python3 run.py backfill {day} {day}`) or its "
                f"pre-market (`python3 run.py premarket regime --day {day}`)."
            )
        documents = read_day_documents(self._connection, day, self._calendar)
        timeline = build_timeline(day, documents, self._calendar)
        asked = {*keys_asked(timeline, instruments), *(key for desk in desks for key in desk.carried_keys())}
        entered = [i for i in instruments if price_key_of(i) in asked]
        values = traded_values(self._prices, entered, self._calendar, before)
        snapshot = take_snapshot(
            self._settings,
            day,
            ruleset_version="",
            regimes=regimes,
            calendar=self._calendar,
            charges=self._charges,
            margins=self._margins,
            risk=load_risk(day, self._settings.risk_file),
            traded_values=values,
        )
        # as it is read back, which is what a daemon decides by
        context = build_context(
            read_snapshot(store_form(snapshot)),
            empty_ruleset(snapshot.profile),
            resolver_of(instruments, self._aliases),
        )
        return _SharedDay(
            context=context,
            timeline=timeline,
            prices=_HeldPrices(self._prices, day),
            aliases=self._aliases,
            revisions=self._count(timeline),
            rules_of=before,
            rules=cache(lambda profile: read_mart_ruleset(self._connection, before, profile)),
            speakers=self._speakers_on(day, documents),
            heard=self._heard(day, before),
            keys=tuple(sorted(asked)),
        )

    def _heard(self, day: date, before: date) -> frozenset[str]:
        """Name the advisors of whom an idea was heard in the days before a day."""
        days = self._calendar.market_days(day - timedelta(days=HEARD_DAYS), before)
        return frozenset().union(*(self._speakers_on(one, None) for one in days))

    def _speakers_on(self, day: date, documents: Sequence[Mapping[str, object]] | None) -> frozenset[str]:
        if day not in self._speakers:
            if documents is None:
                documents = read_day_documents(self._connection, day, self._calendar)
            self._speakers[day] = speakers_of(documents)
        return self._speakers[day]

    def _count(self, timeline: Timeline) -> dict[str, int]:
        """Count the versions of each record, those heard before the first day too, as an inbox would."""
        names = {item.row.source_key for item in timeline.items if item.row is not None}
        heard_from, _ = self._calendar.hearing_span(timeline.trade_date)
        unmet = names - self._versions.keys()
        self._versions.update(count_versions_before(self._connection, unmet, heard_from))
        found = {}
        for item in timeline.items:
            if item.row is not None:
                self._versions[item.row.source_key] += 1
                found[item.document_id] = self._versions[item.row.source_key]
        return found


class _Desk:
    """One desk over all days."""

    def __init__(self, book: Book, settings: Settings, request: SimulationRequest) -> None:
        self._book = book
        self._request = request
        self._exchange = SimBroker(FillModel(seed=settings.seed))
        self._carried = CarryOver()
        self._corpus_paise = settings.corpus_paise
        self._followed: frozenset[str] = frozenset()
        self.outcomes: list[DayOutcome] = []

    def carried_keys(self) -> set[str]:
        """Series that what is carried needs."""
        instruments = [live.instrument for live in self._carried.groups]
        return {
            *(price_key_of(i) for i in instruments),
            *(underlying_key_of(i) for i in instruments),
            *(idea.price_key for idea in self._carried.tracked),
            *(entry.price_key for entry in self._carried.pending),
        }

    def live(self, shared: _SharedDay) -> DayOutcome:
        """Live one day."""
        rules = self._rules(shared)
        context = replace(shared.context, ruleset=rules, profile=rules.profile)
        feed = StoredDay(shared.prices, context.trade_date)
        feed.load(shared.keys)
        opened = DayOpened(
            trade_date=context.trade_date.isoformat(),
            ruleset_version=rules.ruleset_version,
            opening_corpus_paise=self._corpus_paise,
            ready=self._corpus_paise > 0,
            ts_ns=0,
        )
        rules_of = None if self._book.is_baseline else shared.rules_of
        day = SimulatedDay(
            DayInputs(
                context,
                opened,
                rules_of,
                shared.timeline,
                feed,
                shared.aliases,
                shared.revisions,
                self._carried,
            ),
            self._exchange,
        )
        outcome = day.run()
        self._carried = day.carry_over()
        self._corpus_paise = outcome.closing_paise
        self.outcomes.append(outcome)
        return outcome

    def _rules(self, shared: _SharedDay) -> RuleSet:
        choice = self._request.choice
        if self._book is Book.EVERYONE:
            # ideas that wait overnight are judged again: whoever was followed stays followed
            self._followed |= shared.speakers
            return follow(self._followed, choice.categories)
        if self._book is Book.RANDOM:
            drawn = draw_advisors(
                shared.heard, self._breadth(shared), self._request.seed, shared.context.trade_date
            )
            return follow(drawn, choice.categories)
        return choose(shared.rules(self._book.profile), choice)

    def _breadth(self, shared: _SharedDay) -> int:
        """As many advisors as profile desk follows that day, at least one: the choice is compared."""
        rules = choose(shared.rules(GateProfile.DESK), self._request.choice)
        return max(len(advisors_of(rules)), 1)
