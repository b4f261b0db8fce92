"""May the day be traded? Checks before the open, each with its remedy, and one verdict of all (§5.2)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final

from propdesk.core.calendar import MarketCalendar, ist_text
from propdesk.core.clock import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from propdesk.core.invariant import require
from propdesk.model.enums import Category
from propdesk.ports import OrderRates
from propdesk.risk.kill_switch import ACCOUNT_SCOPE

SKEW_NS_MAX: Final = 2 * NS_PER_SECOND
"""A clock further off than this is not in step: the broker tells its time in whole seconds."""
TOKEN_MARGIN_NS: Final = 30 * NS_PER_MINUTE
"""A token has to outlive the close by this: what is left open is looked after then."""
CALENDAR_DAYS_MIN: Final = 10
"""Market days the calendar must know beyond the day: validities and expiries reach into them."""
EQUITY: Final = "Equity"
DERIVATIVE: Final = "Derivative"
PREMARKET: Final = "run `propdesk premarket all`"


class Verdict(StrEnum):
    """What a check found; UNKNOWN = it could not be found out, which is neither good nor bad."""

    GREEN = "GREEN"
    NOTE = "NOTE"
    UNKNOWN = "UNKNOWN"
    RED = "RED"


class Outcome(StrEnum):
    """What all checks come to."""

    PASSED = "PASSED"
    UNKNOWN = "UNKNOWN"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was found, and what a person does about it (empty where nothing is to be done)."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


def outcome_of(checks: Sequence[Check], *, is_live: bool) -> Outcome:
    """Judge all checks as one.

    Parameters
    ----------
    checks : sequence of Check
        At least one.
    is_live : bool
        Real money: what is unknown is not good enough.
    """
    require(len(checks) > 0, "a preflight that checks nothing says nothing")
    verdicts = {check.verdict for check in checks}
    if Verdict.RED in verdicts:
        return Outcome.FAILED
    return Outcome.UNKNOWN if is_live and Verdict.UNKNOWN in verdicts else Outcome.PASSED


def judge_token(expiry_ns: int | None, now_ns: int, close_ns: int, *, can_login: bool) -> Check:
    """Judge the life of the broker's token.

    Parameters
    ----------
    expiry_ns : int or None
        Its end, ns UTC; None where it tells none.
    now_ns, close_ns : int
        The clock and the close of the day.
    can_login : bool
        Another one is obtained without a person.
    """
    name, remedy = "token", "make a new access token at Dhan, or set PIN and TOTP seed"
    if expiry_ns is None:
        return Check(name, Verdict.UNKNOWN, "the token does not say when it ends", remedy)
    end = ist_text(expiry_ns)
    if expiry_ns <= now_ns:
        return Check(name, Verdict.RED, f"it ended at {end}", remedy)
    left = f"it ends at {end}, in {(expiry_ns - now_ns) / NS_PER_HOUR:.1f} h"
    if expiry_ns >= close_ns + TOKEN_MARGIN_NS:
        return Check(name, Verdict.GREEN, left)
    if can_login:
        return Check(name, Verdict.NOTE, f"{left}, before the day does; a login without a person is set up")
    return Check(name, Verdict.RED, f"{left}, before the day does", remedy)


def judge_skew(name: str, skew_ns: int | None) -> Check:
    """Judge how far a clock is from this machine's, ns (theirs minus ours); None where nobody knows."""
    remedy = "set this machine's clock (NTP): codes of the login, stamps and time-outs depend on it"
    if skew_ns is None:
        return Check(name, Verdict.UNKNOWN, "no answer told its time", remedy)
    found = f"{skew_ns / NS_PER_SECOND:+.1f} s"
    return (
        Check(name, Verdict.GREEN, found)
        if abs(skew_ns) <= SKEW_NS_MAX
        else Check(name, Verdict.RED, f"{found}, at most {SKEW_NS_MAX // NS_PER_SECOND} s is in step", remedy)
    )


def judge_segments(active: Collection[str], allocations: Mapping[str, float]) -> Check:
    """Judge whether the account may trade what has capital.

    Parameters
    ----------
    active : collection of str
        Segments in Dhan's words; empty where it names none.
    allocations : mapping of str to float
        Category to its share of the corpus.
    """
    name, remedy = "segments", "activate them at Dhan, or give their categories no capital"
    if not active:
        return Check(name, Verdict.UNKNOWN, "the broker names none", remedy)
    words = {
        EQUITY if one == Category.NSE_EQ.value else DERIVATIVE for one, share in allocations.items() if share
    }
    missing = sorted(words - {one.strip().capitalize() for one in active})
    if missing:
        return Check(name, Verdict.RED, f"{', '.join(missing)} is not active, but has capital", remedy)
    return Check(name, Verdict.GREEN, ", ".join(active))


def judge_rates(sent_ns: Sequence[int], now_ns: int, rates: OrderRates) -> Check:
    """Judge what is left of the calls that the broker takes.

    Parameters
    ----------
    sent_ns : sequence of int
        When intents were sent within the last day, ns UTC.
    now_ns : int
    rates : OrderRates
        A window of which only the reserve of exits is left takes no entry.
    """
    used = [
        (sum(1 for one in sent_ns if now_ns - length_ns < one), calls, length_ns)
        for length_ns, calls in rates.windows
    ]
    for count, calls, length_ns in used:
        if count >= calls * (1 - rates.reserve_share):
            found = f"{count} of {calls} calls within {length_ns // NS_PER_SECOND} s are used"
            return Check("rate limits", Verdict.RED, found, "wait until the window has passed; see `orders`")
    count, calls, _ = used[-1]
    return Check("rate limits", Verdict.GREEN, f"{count} of {calls} calls of a day are used")


def judge_calendar(calendar: MarketCalendar, day: date) -> Check:
    """Judge whether the day is one, and the calendar reaches far enough."""
    remedy = "update the calendar (config/market_calendar.yaml)"
    if not calendar.first_day <= day <= calendar.last_day:
        return Check("calendar", Verdict.UNKNOWN, f"it does not know {day}", remedy)
    if not calendar.is_market_day(day):
        return Check("calendar", Verdict.RED, f"{day} is no market day", "nothing is to be traded")
    known = len(calendar.market_days(day, calendar.last_day)) - 1
    if known < CALENDAR_DAYS_MIN:
        return Check("calendar", Verdict.RED, f"it ends {known} market days after {day}", remedy)
    return Check("calendar", Verdict.GREEN, f"a market day; it reaches to {calendar.last_day}")


def judge_readiness(steps_missing: Sequence[str], *, is_ready: bool) -> Check:
    """Judge pre-market, whose steps that are not done are named."""
    if is_ready:
        return Check("readiness", Verdict.GREEN, "every step of pre-market is done")
    missing = ", ".join(steps_missing)
    return Check("readiness", Verdict.RED, f"steps of pre-market are missing: {missing}", PREMARKET)


def judge_ruleset(version: str | None, as_of: date | None, previous_day: date, *, is_pinned: bool) -> Check:
    """Judge the frozen rules: they are of the market day before, or a person chose them."""
    if version is None or as_of is None:
        return Check("ruleset", Verdict.RED, "no rules are frozen for the day", PREMARKET)
    found = f"{version[:12]} as of {as_of}"
    if as_of == previous_day:
        return Check("ruleset", Verdict.GREEN, found)
    if is_pinned:
        return Check("ruleset", Verdict.NOTE, f"{found}, which a person pinned")
    return Check(
        "ruleset", Verdict.RED, f"{found}, older than {previous_day}", "run the pipeline and pre-market"
    )


def judge_prices(missing: Sequence[str], looked: int, previous_day: date) -> Check:
    """Judge the price store: series needed in the morning that have nothing of the market day before."""
    if not missing:
        return Check("prices", Verdict.GREEN, f"{looked} series reach {previous_day}")
    named = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    remedy = "bring the day in with `propdesk prices import` or `prices download`"
    return Check("prices", Verdict.RED, f"nothing of {previous_day}: {named}", remedy)


def judge_protection(unprotected: Sequence[Mapping[str, Any]], held: int) -> Check:
    """Judge what is carried: every trade that holds something has a stop, as the books and the broker say."""
    if not unprotected:
        return Check("protection", Verdict.GREEN, f"{held} open trades, each with its stop")
    named = ", ".join(
        f"trade {one['group_id'][:8]} ({one['held_quantity']} of {one['instrument_key']})"
        for one in unprotected[:5]
    )
    remedy = "look at `propdesk positions`; close it with `propdesk exit TRADE` or put a stop at the broker"
    return Check("protection", Verdict.RED, f"{len(unprotected)} without a stop: {named}", remedy)


def judge_levels(levels: Sequence[Mapping[str, Any]]) -> Check:
    """Judge open kill levels: one of the account stops the day, one of a part of it is a note."""
    if not levels:
        return Check("kill levels", Verdict.GREEN, "none is open")
    named = "; ".join(f"{one['level']} of {one['scope']} ({one['cause']})" for one in levels[:5])
    whole = any(one["scope"] == ACCOUNT_SCOPE for one in levels)
    remedy = "find out why, then `propdesk resume --scope SCOPE --reason TEXT`"
    return Check("kill levels", Verdict.RED if whole else Verdict.NOTE, named, remedy)
