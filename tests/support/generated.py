"""A small generated market, made once per process."""

from datetime import date
from functools import lru_cache

from adapters.calendar import load_calendar
from adapters.contract_rules import load_contract_rules
from propdesk.core.calendar import MarketCalendar
from propdesk.model.instrument import Instrument
from propdesk.sim.market import GeneratedMarket, MarketSpec, generate_market
from propdesk.sim.market_book import PathBook, book_of_market
from propdesk.sim.market_contracts import list_instruments


@lru_cache(maxsize=4)
def market(first: date, last: date, seed: int = 7, stocks: int = 12) -> GeneratedMarket:
    return generate_market(
        MarketSpec(first, last, seed, stocks, lead_in_days=160), load_calendar(), load_contract_rules()
    )


@lru_cache(maxsize=4)
def instruments(first: date, last: date, seed: int = 7, stocks: int = 12) -> tuple[Instrument, ...]:
    return tuple(list_instruments(market(first, last, seed, stocks)))


@lru_cache(maxsize=4)
def book(first: date, last: date, seed: int = 7, stocks: int = 12) -> PathBook:
    return book_of_market(market(first, last, seed, stocks), instruments(first, last, seed, stocks))


def calendar() -> MarketCalendar:
    return load_calendar()
