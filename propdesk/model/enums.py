"""Closed vocabularies; the value is what stands in files and tables."""

from enum import StrEnum

from propdesk.core.vocabulary import Session, Weekday

__all__ = [
    "CLOSED_EXIT_REASONS",
    "Category",
    "Direction",
    "EntryType",
    "ExitReason",
    "FollowupKind",
    "GateProfile",
    "KillLevel",
    "OptionType",
    "Period",
    "Product",
    "Regime",
    "ReverseMode",
    "RuleLevel",
    "Session",
    "Side",
    "TradingMode",
    "TrustFlag",
    "Weekday",
]


class Category(StrEnum):
    """Instrument category (§1.1)."""

    NSE_EQ = "NSE_EQ"
    INDEX_FUT = "INDEX_FUT"
    STOCK_FUT = "STOCK_FUT"
    INDEX_OPT = "INDEX_OPT"
    STOCK_OPT = "STOCK_OPT"

    @property
    def is_option(self) -> bool:
        """Whether it is an option."""
        return self in (Category.INDEX_OPT, Category.STOCK_OPT)

    @property
    def is_future(self) -> bool:
        """Whether it is a future."""
        return self in (Category.INDEX_FUT, Category.STOCK_FUT)

    @property
    def is_derivative(self) -> bool:
        """Whether it expires."""
        return self is not Category.NSE_EQ

    @property
    def is_stock_derivative(self) -> bool:
        """Whether it is settled by delivery of shares."""
        return self in (Category.STOCK_FUT, Category.STOCK_OPT)


class Side(StrEnum):
    """Which way a trade opens."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for BUY, -1 for SELL."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OptionType(StrEnum):
    """Call or put."""

    CE = "CE"
    PE = "PE"


class EntryType(StrEnum):
    """How the advisor wants to get in (§1.1)."""

    LIMIT = "LIMIT"
    STOP = "STOP"
    MARKET = "MARKET"
    RANGE = "RANGE"


class Period(StrEnum):
    """Intended holding period."""

    INTRADAY = "INTRADAY"
    SWING = "SWING"
    POSITIONAL = "POSITIONAL"


class Regime(StrEnum):
    """Market state known before the open (§2.7)."""

    TRENDING_BULLISH = "TRENDING_BULLISH"
    TRENDING_BEARISH = "TRENDING_BEARISH"
    SIDEWAYS = "SIDEWAYS"
    SIDEWAYS_BULLISH = "SIDEWAYS_BULLISH"
    SIDEWAYS_BEARISH = "SIDEWAYS_BEARISH"


class Direction(StrEnum):
    """Opinion about the underlying (§5.5)."""

    BULLISH = "BULLISH"
    BEARISH = "BEARISH"


class Product(StrEnum):
    """Broker product a trade is held under (§2.6)."""

    INTRADAY = "INTRADAY"
    CNC = "CNC"
    MTF = "MTF"
    MARGIN = "MARGIN"


class FollowupKind(StrEnum):
    """What an advisor later says about a signal (§1.2)."""

    UPDATE_STOPLOSS = "UPDATE_STOPLOSS"
    UPDATE_TARGET = "UPDATE_TARGET"
    MOVE_TO_COST = "MOVE_TO_COST"
    PARTIAL_EXIT = "PARTIAL_EXIT"
    EXIT = "EXIT"
    CANCEL = "CANCEL"
    CARRY = "CARRY"
    ADD = "ADD"
    UNCLEAR = "UNCLEAR"


class ExitReason(StrEnum):
    """How a trade ended, or why there was none (§2.5). Targets carry their number apart."""

    TARGET = "TARGET"
    STOPLOSS = "STOPLOSS"
    TRAILED_STOP = "TRAILED_STOP"
    FOLLOWUP_EXIT = "FOLLOWUP_EXIT"
    SQUARE_OFF = "SQUARE_OFF"
    PRE_EXPIRY = "PRE_EXPIRY"
    EXPIRY = "EXPIRY"
    TIME_OUT = "TIME_OUT"
    OPEN = "OPEN"
    NOT_TRIGGERED = "NOT_TRIGGERED"
    GAPPED_THROUGH = "GAPPED_THROUGH"
    NO_PRICE_DATA = "NO_PRICE_DATA"
    UNDETERMINED = "UNDETERMINED"
    INCOMPLETE = "INCOMPLETE"


CLOSED_EXIT_REASONS = frozenset(
    {
        ExitReason.TARGET,
        ExitReason.STOPLOSS,
        ExitReason.TRAILED_STOP,
        ExitReason.FOLLOWUP_EXIT,
        ExitReason.SQUARE_OFF,
        ExitReason.PRE_EXPIRY,
        ExitReason.EXPIRY,
        ExitReason.TIME_OUT,
    }
)
"""Reasons of a trade that was entered and ended; only these count in rates."""


class TrustFlag(StrEnum):
    """Reading of recent against overall win rate (§3.6)."""

    TRUSTED = "TRUSTED"
    WATCHLIST = "WATCHLIST"
    UNTRUSTED = "UNTRUSTED"


class RuleLevel(StrEnum):
    """How fine a rule's cell is (§4.1), coarse to fine."""

    ADVISOR = "ADVISOR"
    MINI = "MINI"
    MINI_REGIME = "MINI_REGIME"
    RULE_6D = "RULE_6D"


class GateProfile(StrEnum):
    """Which set of gates decides (§4.3)."""

    ORIGINAL = "original"
    DESK = "desk"


class KillLevel(StrEnum):
    """Latched trading level (§6.2), in rising order of severity."""

    ACTIVE = "ACTIVE"
    ENTRIES_BLOCKED = "ENTRIES_BLOCKED"
    REDUCE_ONLY = "REDUCE_ONLY"
    LIQUIDATING = "LIQUIDATING"
    LOCKED = "LOCKED"

    @property
    def severity(self) -> int:
        """0 for ACTIVE up to 4 for LOCKED."""
        return list(KillLevel).index(self)


class TradingMode(StrEnum):
    """What happens to a decided order."""

    PAPER = "paper"
    SHADOW = "shadow"
    LIVE = "live"


class ReverseMode(StrEnum):
    """What happens to a signal that only the adverse rule matches (§4.4)."""

    OFF = "off"
    SHADOW = "shadow"
    PAPER = "paper"
    LIVE = "live"
