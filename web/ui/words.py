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
    "id": "",
    "pct": "%",
    "paise": "₹",
    "ns": "",
    "at": "",
}
_SHOWN: Final = {"_paise": "in rupees", "_ns": "moment, shown in IST", "_at": "moment, shown in IST"}
_OWN: Final = {
    "account": "Account whose books are shown",
    "advisor_id": "SEBI-registered source of ideas, by id",
    "as_of": "Newest day at whose end rules were judged",
    "booked_mdd": "Deepest fall of the corpus that exits booked from its peak, in percent",
    "booked_return": "Growth of the corpus by what exits booked, in percent; the curve has open trades too",
    "final_corpus": "Corpus that exits booked by the last day; the curve has open trades too",
    "marked_mdd": "Deepest fall of the corpus from its peak with open trades at their last price, in percent",
    "charges_paise": "Brokerage, STT, exchange and SEBI fees, stamp duty and GST of both sides",
    "code": "The one answer to a signal: why it was traded or not",
    "corpus": "Capital of all pools: free and deployed",
    "count": "How many signals ended by this reason",
    "crowd": "Open ideas of all tracked advisors, per underlying",
    "crowd_score": "Share of the stronger side of the crowd, 0.5 to 1, whichever side the idea is on; its "
    "direction stands beside it in decisions",
    "decisions": "Final decisions of the day's signals, one per signal",
    "deployed": "Capital blocked as margin by open positions",
    "drawdown": "Corpus against its running peak, never positive",
    "entry": "Average price of the fills; before the first, the price that is waited for",
    "free": "Capital that new trades can take",
    "from_entry": "What the trade makes from its entry to this price, in percent; below zero is a loss",
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
    "stop": "Stop of the leg that stands now; it moves when a target is reached and when the advisor says so",
    "target": "Where this leg takes its profit",
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
        own = listing.column(word).description
        text = OF_LISTING.get((listing.name, word)) or _OWN.get(word) or COLUMNS.get(word) or own
    return Meaning(title_of(word), _as_shown(word, text) or title_of(word))


def _as_shown(word: str, text: str) -> str:
    """Say the unit in which a value is shown, where the tables keep it in another."""
    shown = next((unit for ending, unit in _SHOWN.items() if word.endswith(ending)), None)
    if shown is None:
        return text or name_unit(word) or ""
    kept = text.removesuffix(name_unit(word) or "").removesuffix("; ").removesuffix(", paise")
    return f"{kept}; {shown}" if kept else shown[:1].upper() + shown[1:]


def title_of(name: str) -> str:
    """Make a header of a column's name.

    Examples
    --------
    >>> title_of("net_pnl_paise"), title_of("win_rate_pct"), title_of("n"), title_of("entry_at")
    ('Net P&L ₹', 'Win rate %', 'Trades', 'Entry')
    """
    if name in _TITLES:
        return _TITLES[name]
    words = [_TITLES.get(word, word) for word in name.split("_")]
    text = " ".join(word for word in words if word)
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
