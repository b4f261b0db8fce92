"""What every number means: the contracts of the marts, and what they do not say."""

from dataclasses import dataclass
from functools import cache
from typing import Final

from adapters.db.describe import name_unit
from adapters.db.repos.listings import Listing, load_listings
from web.ui.meanings import COLUMNS, OF_LISTING


@dataclass(frozen=True, slots=True)
class Meaning:
    """A title for a header and a sentence for a tooltip."""

    title: str
    text: str


_TITLES: Final = {
    "n": "Trades",
    "n_days": "Days",
    "n_open": "Open",
    "n_eff": "Effective trades",
    "pnl": "P&L",
    "r": "R",
    "mdd": "MDD",
    "mae": "MAE",
    "mfe": "MFE",
    "wse": "WSE",
    "wte": "WTE",
    "adx": "ADX",
    "pid": "PID",
    "ema20": "EMA(20)",
    "sebi": "SEBI",
    "pct": "%",
    "paise": "₹",
    "s": "(s)",
}
_WHOLE: Final = {
    "event_ns": "Happened",
    "command_id": "Number",
    "rule": "Rule as frozen",
    "rule_text": "Rule",
    "instrument_key": "Instrument",
    "as_of_date": "As of",
    "cause_id": "Cause number",
    "exit_at_ns": "Latest exit",
    "exit_at_reason": "Latest exit because",
    "skill_n": "Trades behind skill",
    "sharpe_se": "Sharpe ±",
    "post_sl_extension": "Beyond stop",
    "post_sl_recovery": "Back from stop",
    "mean_post_sl_extension": "Mean beyond stop",
}
"""Titles of names whose words would not say it."""
_SILENT: Final = frozenset({"id", "ns", "at"})
"""Last words that no header needs."""
_SHOWN: Final = {"_paise": "in rupees", "_ns": "in IST", "_at": "in IST"}
_OWN: Final = {
    "account": "Account whose books are shown",
    "advisor_id": "SEBI-registered source of ideas, by id",
    "as_of": "Newest day at whose end rules were judged",
    "booked_mdd": "Deepest fall of the corpus that exits booked from its peak, in percent",
    "booked_return": "Growth of the corpus by what exits booked, in percent; the curve has open trades too",
    "final_corpus": "Corpus that exits booked by the last day; the curve has open trades too",
    "marked_mdd": "Deepest fall of the corpus from its peak with open trades at their last price, in percent",
    "charges_paise": "Brokerage, STT, exchange and SEBI fees, stamp duty and GST of both sides",
    "compares": "What the value and the threshold are of",
    "command": "What was asked",
    "command_answer": "What the daemon answered",
    "command_state": "ASKED, then DONE, REFUSED or EXPIRED",
    "code": "The one answer to a signal: why it was traded or not",
    "corpus": "Capital of all pools: free and deployed",
    "count": "How many signals ended by this reason",
    "crowd": "Open ideas of all tracked advisors, per underlying",
    "crowd_score": "Share of the stronger side of the crowd, 0.5 to 1, whichever side the idea is on; its "
    "direction stands beside it in decisions",
    "decisions": "Final decisions of the day's signals, one per signal",
    "deployed": "Capital blocked as margin by open positions",
    "drawdown": "Corpus against its running peak, never positive",
    "exit_trade": "Leads to the command that closes this trade, which is asked after a confirmation",
    "entry": "Average price of the fills; before the first, the price that is waited for",
    "free": "Capital that new trades can take",
    "gate": "One condition that a rule must meet before it may trade",
    "gross": "Result before charges",
    "honesty": "Share of the advisor's claims that the market bears out, over the window",
    "held": "Units filled and not yet out again",
    "heartbeat": "Last sign of life of a process",
    "kill_level": "Latched switch: ACTIVE, ENTRIES_BLOCKED, REDUCE_ONLY, LIQUIDATING, LOCKED",
    "legs": "Shares of trade groups by target, that were filled",
    "net": "Result after all charges, booked and settled legs of the day",
    "net_pnl_paise": "Result after all charges",
    "open_groups": "Trade groups that hold or await a position now",
    "opened": "Ideas on the underlying that were opened that day",
    "passed": "Whether the value meets the threshold",
    "quantity": "Units, not lots",
    "readiness": "Whether pre-market did its five steps for the newest day it knows",
    "rejected": "Documents that could not be read as an idea",
    "rule_text": "Cell of advisor × category × period × regime × weekday × session",
    "rules_stopped": "Rules that fail this gate",
    "rules_stopped_alone": "Rules that fail this gate and no other",
    "signals": "Ideas the daemon received that day",
    "stop": "Stop of the leg that stands now, and what the trade makes from its entry to it; below zero is "
    "a loss. It moves when a target is reached and when the advisor says so",
    "target": "Where this leg takes its profit, and what the trade makes from its entry to it",
    "threshold": "What the gate asks for",
    "trades_stopped": "Trades of the 6D rules that fail this gate",
    "upload": "When the newest file was accepted",
    "value": "What the rule has",
    "waiting": "Units asked for and not yet filled",
}


def define(word: str, listing: Listing | None = None) -> Meaning:
    """Give title and meaning of a column or figure.

    Parameters
    ----------
    word : str
    listing : Listing, optional
        Where the column stands: a name can mean one thing here and another there. What another listing
        says of a column of the same name is believed of figures alone.
    """
    if listing is None:
        text = _OWN.get(word) or _descriptions().get(word) or COLUMNS.get(word, "")
    else:
        contract = _without_unit(word, listing.column(word).description)
        text = OF_LISTING.get((listing.name, word)) or _OWN.get(word) or contract or COLUMNS.get(word, "")
    return Meaning(title_of(word), _as_shown(word, text) or title_of(word))


def _as_shown(word: str, text: str) -> str:
    """Say the unit in which a value is shown, where the tables keep it in another."""
    shown = next((unit for ending, unit in _SHOWN.items() if word.endswith(ending)), None)
    kept = _without_unit(word, text)
    if shown is None or not kept:
        return kept
    return f"{kept.removesuffix(', paise')}; {shown}"


def _without_unit(word: str, text: str) -> str:
    return text.removesuffix(name_unit(word) or "").removesuffix("; ")


def title_of(name: str) -> str:
    """Make a header of a column's name.

    Examples
    --------
    >>> title_of("net_pnl_paise"), title_of("win_rate_pct"), title_of("n"), title_of("entry_at")
    ('Net P&L ₹', 'Win rate %', 'Trades', 'Entry')
    """
    if title := _WHOLE.get(name) or _TITLES.get(name):
        return title
    words = name.split("_")
    shown = words[:-1] if words[-1] in _SILENT and len(words) > 1 else words
    text = " ".join(_TITLES.get(word, word) for word in shown)
    return text[:1].upper() + text[1:]


@cache
def listings() -> dict[str, Listing]:
    """Give every listing by its name; the contracts are read once."""
    return {listing.name: listing for listing in load_listings()}


@cache
def _descriptions() -> dict[str, str]:
    return {
        column.name: column.description
        for listing in reversed(listings().values())
        for column in listing.columns
        if column.description
    }
