"""Steps 1 to 7 over one file of signals in this process, with the functions that the assets call."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import orjson
import pandas as pd

from adapters.db.frames.rules import GroupInputs
from adapters.settings import Settings
from adapters.ticks.held import HeldPrices
from adapters.ticks.store import ParquetPriceStore
from adapters.uploads.ingest import Sorter, gathered, intake_times
from adapters.uploads.limits import UploadLimits
from adapters.uploads.profiles import load_aliases, load_profile
from adapters.uploads.readers import UploadReader
from assets._shared.configs import duplicate_rule, trade_config
from propdesk.core.calendar import MarketCalendar, ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY, from_ns
from propdesk.core.errors import GapFault
from propdesk.indicators.regime import RegimeConfig
from propdesk.intake import DerivativeListings
from propdesk.model.enums import Category
from propdesk.model.instrument import Instrument
from propdesk.pipeline.excursions import compute_excursions
from propdesk.pipeline.normalise import normalise_signals
from propdesk.pipeline.raw import RAW_COLUMNS, current_revisions
from propdesk.pipeline.regime import MARKET_KEY, MARKET_SCOPE, compute_regimes
from propdesk.pipeline.resolve import resolve_signals
from propdesk.pipeline.trades import build_trades
from propdesk.pipeline.validate import validate_signals

_PROFILE, _UPLOAD = "sample", "truth"

_DAY_TO_LAND = 1
"""Days after the newest price on which the file is taken to have come in."""


@dataclass(frozen=True, slots=True)
class World:
    """Where a market and the ideas about it lie.

    Attributes
    ----------
    signals : Path
        CSV of profile ``sample``.
    instruments : sequence of Instrument
        Every contract that the ideas may mean.
    store : ParquetPriceStore
        Prices.
    """

    signals: Path
    instruments: Sequence[Instrument]
    store: ParquetPriceStore


def run_steps(world: World, calendar: MarketCalendar, settings: Settings) -> GroupInputs:
    """Lead a file of signals through steps 1 to 7.

    Parameters
    ----------
    world : World
        Ideas, contracts and prices.
    calendar : MarketCalendar
        The exchange's.
    settings : Settings
        As the assets read them; no address in them is used.

    Returns
    -------
    GroupInputs
        What step 8 reads, with the regime of each trade date.

    Raises
    ------
    DataFault
        If the file cannot be read or the store holds no prices.

    Notes
    -----
    The frames are those of the assets, which write each to its table and read it again. A file alone has no
    earlier revisions, so that numbering them needs no database.
    """
    with world.store.reading():
        known_ns = _known_until_ns(world.store)
        landed = land(world, calendar, settings, known_ns + _DAY_TO_LAND * NS_PER_DAY)
        raw = current_revisions(landed)
        # no earlier signals, which is not the same as not knowing any
        typed = validate_signals(raw, from_ns(known_ns + _DAY_TO_LAND * NS_PER_DAY), pd.DataFrame())
        named = normalise_signals(
            typed.signals, calendar, load_aliases(), _listings(world.instruments)
        ).signals
        resolved = resolve_signals(named, world.instruments, None, duplicate_rule(settings)).signals
        prices, actions = HeldPrices(world.store), world.store.actions()
        done = build_trades(
            resolved, typed.followups, prices, calendar, trade_config(settings), known_ns, actions
        )
        found = compute_excursions(done.trades, world.store, calendar, known_ns, actions)
        labels = _regimes(done.trades, world.store, calendar)
    return GroupInputs(_with_regime(done.trades, labels, settings.regime_scope), found, done.marks)


def _known_until_ns(store: ParquetPriceStore) -> int:
    """Give the end of the newest day with minute prices, ns UTC."""
    days = store.days("minute")
    if not days:
        raise GapFault("The price store has no minute bars: import them with `propdesk prices import`.")
    return ist_midnight_ns(days[-1]) + NS_PER_DAY


def land(world: World, calendar: MarketCalendar, settings: Settings, now_ns: int) -> pd.DataFrame:
    """Land a file as `adapters.uploads.ingest_file` does, numbering revisions within it.

    Parameters
    ----------
    world, calendar, settings
        As in `run_steps`.
    now_ns : int
        When the file came in, ns UTC.

    Returns
    -------
    DataFrame
        Columns of ``raw.raw_signals``, every revision.
    """
    profile, limits = load_profile(_PROFILE), UploadLimits.for_files(settings)
    sorter = Sorter(
        profile,
        calendar,
        intake_times(now_ns, settings),
        first_day=settings.first_day,
        listings=_listings(world.instruments),
        field_length_max=limits.field_length_max,
    )
    pieces = UploadReader(world.signals, profile, limits).pieces()
    tables = [sorter.sort_together(part)[0] for part in gathered(pieces)]
    frame = pd.concat([table.to_pandas() for table in tables], ignore_index=True)
    # a content that was seen before is a repeat, whatever came after it
    fresh = frame.drop_duplicates(["record_id", "content_hash"], keep="first")
    fresh = fresh.assign(
        revision=fresh.groupby("record_id").cumcount() + 1,
        content=fresh["content"].map(orjson.loads),
        upload_id=_UPLOAD,
    )
    return pd.DataFrame(fresh[list(RAW_COLUMNS)])


def _listings(instruments: Sequence[Instrument]) -> DerivativeListings:
    """Tell when stocks had derivatives, as the database does from the same contracts."""
    spans: dict[str, list[tuple[date, date]]] = {}
    said = sorted(
        (one.underlying, one.valid_from, one.valid_to)
        for one in instruments
        if one.category in (Category.STOCK_FUT, Category.STOCK_OPT)
        or (one.category is Category.NSE_EQ and one.has_derivatives)
    )
    for name, first, last in said:
        known = spans.setdefault(name, [])
        if known and first <= known[-1][1] + timedelta(days=1):
            known[-1] = (known[-1][0], max(known[-1][1], last))
        else:
            known.append((first, last))
    return DerivativeListings(spans)


def _regimes(trades: pd.DataFrame, store: ParquetPriceStore, calendar: MarketCalendar) -> pd.DataFrame:
    """Label the trade dates of all ideas, for the market and for their underlyings."""
    config, days = RegimeConfig(), sorted(set(trades["trade_date"]))
    keys = sorted({MARKET_KEY, *trades["underlying_key"].astype(str)})
    daily = store.daily_bars(keys, days[0] - timedelta(days=config.history_days), days[-1])
    dates = calendar.market_days(days[0], days[-1])
    return compute_regimes(daily, dates, calendar, config, store.actions())


def _with_regime(trades: pd.DataFrame, labels: pd.DataFrame, scope: str) -> pd.DataFrame:
    """Join the label of each idea's trade date."""
    known = {
        (day, name): label
        for day, name, label in zip(labels["trade_date"], labels["scope"], labels["label"], strict=True)
    }
    names = [MARKET_SCOPE] * len(trades) if scope == "market" else trades["underlying"].tolist()
    found = [known.get(key) for key in zip(trades["trade_date"].tolist(), names, strict=True)]
    return trades.assign(regime=pd.Series(found, index=trades.index, dtype=object))
