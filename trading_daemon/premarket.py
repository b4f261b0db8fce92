"""Pre-market: five steps, each restartable; all green makes the day ready (§5.2)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

import psycopg

from adapters.db.repos.instruments import read_instruments
from adapters.db.repos.readiness import (
    Readiness,
    add_regime,
    closing_corpus,
    needed_underlyings,
    read_readiness,
    read_regimes,
    write_readiness,
)
from adapters.db.repos.rulesets import (
    FrozenRules,
    Pin,
    freeze_ruleset,
    newest_as_of,
    read_head,
    read_pins,
    read_ruleset,
)
from adapters.settings import Settings
from propdesk.core.errors import GapFault
from propdesk.engine.context import MARKET_SCOPE
from propdesk.indicators.adjustment import in_terms_of
from propdesk.indicators.regime import RegimeConfig, label_for
from propdesk.model.corporate_action import Actions
from propdesk.model.enums import Category, GateProfile
from propdesk.ports import PriceSource

Connection = psycopg.Connection[tuple[Any, ...]]

STEPS: Final = ("token", "scrip", "symbols", "regime", "corpus")
"""In order; each may be run again by itself."""
MARKET_KEY: Final = "INDEX:NIFTY"
"""Whose state is the market's (§2.7)."""


@dataclass(frozen=True, slots=True)
class Premarket:
    """One day's pre-market.

    Attributes
    ----------
    previous_day : date
        The market day before; rules and instruments must not be older.
    prices : PriceSource
        Daily bars for the regimes of the day.
    actions : Actions
        Corporate actions that those bars are restated by.
    """

    connection: Connection
    settings: Settings
    trade_date: date
    previous_day: date
    now: datetime
    prices: PriceSource
    actions: Actions


def run_step(job: Premarket, step: str) -> Readiness:
    """Run one step and record it in the current transaction.

    Parameters
    ----------
    job : Premarket
    step : str
        One of `STEPS`.

    Returns
    -------
    Readiness
        The day's record after it; ready once every step is green.

    Raises
    ------
    GapFault
        If something the day needs is missing; the sentence names it and the remedy.
    """
    record = read_readiness(job.connection, job.settings.account_id, job.trade_date, is_locked=True)
    record, found = _RUN[step](job, record)
    steps = {**record.steps, step: {"done_at": job.now.isoformat(), **found}}
    ready_at = record.ready_at
    if ready_at is None and all(name in steps for name in STEPS):
        ready_at = job.now
    record = replace(record, steps=steps, ready_at=ready_at)
    write_readiness(job.connection, record)
    return record


def _token(job: Premarket, record: Readiness) -> tuple[Readiness, dict[str, Any]]:
    mode = job.settings.trading_mode
    if mode != "paper":
        raise GapFault(
            f"PROPDESK_TRADING_MODE={mode} needs a broker's token, which this version cannot renew: set "
            "it to paper."
        )
    return record, {"verdict": "not needed: the paper broker has no session"}


def _instruments(job: Premarket, record: Readiness) -> tuple[Readiness, dict[str, Any]]:
    rows = read_instruments(job.connection, job.trade_date, job.trade_date)
    if not rows:
        raise GapFault(
            f"No instrument master holds on {job.trade_date}: load the day's scrip master with "
            "`python3 run.py instruments load FILE`."
        )
    counts = {category.value: 0 for category in Category}
    for row in rows:
        counts[row.category.value] += 1
    return record, {"instruments": len(rows), "by_category": counts}


def _symbols(job: Premarket, record: Readiness) -> tuple[Readiness, dict[str, Any]]:
    """Every instrument held overnight must still map to a security id."""
    rows = read_instruments(job.connection, job.trade_date, job.trade_date)
    known = {row.instrument_key for row in rows if row.security_id}
    held = job.connection.execute(
        "SELECT DISTINCT instrument_key FROM trading.trade_groups "
        "WHERE account_id = %s AND NOT is_closed AND NOT is_shadow ORDER BY 1",
        (job.settings.account_id,),
    ).fetchall()
    missing = [key for (key,) in held if key not in known]
    if missing:
        raise GapFault(
            f"No security id on {job.trade_date} for what is held: {', '.join(missing[:10])}; load the "
            "day's scrip "
            "master or close these positions by hand."
        )
    return record, {"held": len(held), "mapped": len(known)}


def _rules(job: Premarket, record: Readiness) -> tuple[Readiness, dict[str, Any]]:
    regimes = read_regimes(job.connection, job.trade_date)
    if regimes.get(MARKET_SCOPE) is None:  # none yet, or none for want of bars that may have come since
        _label_day(job)
        regimes = read_regimes(job.connection, job.trade_date)
    if record.ready_at is not None and record.ruleset_version is not None:
        # Promotion never acts within the day: a frozen set stays (§4.5).
        pinned = read_ruleset(job.connection, record.ruleset_version)
        return record, {"ruleset_version": record.ruleset_version, "rules": len(pinned.rules), "pinned": True}
    market = regimes.get(MARKET_SCOPE)
    label = {"regime": None if market is None else market.value}
    chosen = read_pins(job.connection, job.settings.account_id).get(job.trade_date)
    if chosen is not None:
        return replace(record, ruleset_version=chosen.ruleset_version), {**_pinned(job, chosen), **label}
    as_of = newest_as_of(job.connection, job.trade_date)
    if as_of is None or as_of < job.previous_day:
        raise GapFault(
            f"The newest rules are of {as_of or 'no day'}, but {job.trade_date} needs those of "
            f"{job.previous_day}: "
            f"run the pipeline (`python3 run.py backfill {job.previous_day} {job.previous_day}`)."
        )
    profile = GateProfile(job.settings.gate_profile)
    frozen: FrozenRules = freeze_ruleset(job.connection, job.trade_date, as_of, profile, job.now)
    found = {
        "ruleset_version": frozen.ruleset_version,
        "as_of_date": as_of.isoformat(),
        "rules": frozen.count_rules,
        "eligible": frozen.count_eligible,
        "adverse": frozen.count_adverse,
        **label,
    }
    return replace(record, ruleset_version=frozen.ruleset_version), found


def _pinned(job: Premarket, pin: Pin) -> dict[str, Any]:
    """Check the version that a person chose for the day: it may be old, not later or of another profile."""
    head = read_head(job.connection, pin.ruleset_version)
    if head.profile != job.settings.gate_profile or head.as_of_date >= job.trade_date:
        raise GapFault(
            f"The ruleset {pin.ruleset_version} pinned for {job.trade_date} is of profile {head.profile} at "
            f"the end of {head.as_of_date}: the day needs profile {job.settings.gate_profile} of an earlier "
            "day. "
            f"Take the pin away (`python3 run.py rules unpin {job.trade_date}`) or pin another version."
        )
    rules = read_ruleset(job.connection, pin.ruleset_version)
    return {
        "ruleset_version": pin.ruleset_version,
        "as_of_date": head.as_of_date.isoformat(),
        "rules": len(rules.rules),
        "eligible": sum(rule.passes for rule in rules.rules.values()),
        "adverse": len(rules.adverse),
        "pinned_by": pin.pinned_by,
        "reason": pin.reason,
    }


def _label_day(job: Premarket) -> None:
    """Label the day from bars up to the day before, by the function and the reach the pipeline uses."""
    config = RegimeConfig()
    first = job.trade_date - timedelta(days=config.history_days)
    needed = needed_underlyings(
        job.connection, job.trade_date - timedelta(days=job.settings.window_days), job.previous_day
    )
    daily = job.prices.daily_bars(sorted({MARKET_KEY, *needed}), first, job.trade_date - timedelta(days=1))
    if MARKET_KEY not in daily:
        raise GapFault(
            f"There are no daily bars of {MARKET_KEY} before {job.trade_date}, so the day has no regime: "
            "import them "
            "with `python3 run.py prices import PATH`."
        )
    known = job.actions.known_on(job.trade_date)
    for key, bars in daily.items():
        told = known.of(key, date.min, job.trade_date)
        reading = label_for(in_terms_of(bars, told, job.previous_day), job.previous_day, config)
        add_regime(job.connection, job.trade_date, key.split(":", 1)[1], reading)
        if key == MARKET_KEY:
            add_regime(job.connection, job.trade_date, MARKET_SCOPE, reading)


def _corpus(job: Premarket, record: Readiness) -> tuple[Readiness, dict[str, Any]]:
    """Yesterday's closing free and deployed capital with its booked results, else the setting."""
    closing = closing_corpus(job.connection, job.settings.account_id, job.trade_date)
    opening = job.settings.corpus_paise if closing is None else closing
    if opening <= 0:
        raise GapFault(
            f"The corpus of account {job.settings.account_id} is used up ({opening / 100:.2f} INR): "
            "deposit and set "
            "PROPDESK_CORPUS_PAISE for a new account."
        )
    bridge = {"opening_paise": opening, "from": "setting" if closing is None else "closing ledger"}
    return replace(record, opening_corpus_paise=opening), bridge


_RUN: Final[dict[str, Callable[[Premarket, Readiness], tuple[Readiness, dict[str, Any]]]]] = {
    "token": _token,
    "scrip": _instruments,
    "symbols": _symbols,
    "regime": _rules,
    "corpus": _corpus,
}
