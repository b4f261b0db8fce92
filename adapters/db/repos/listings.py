"""The tables that surfaces may list: which columns, in which order, of which account.

A listing is all that a surface knows of a table: what is not named here cannot be read, sorted or
filtered by.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from adapters.db.describe import ColumnInfo, describe_mart, describe_table
from propdesk.core.errors import DataFault
from propdesk.model.user import UserRole


class Kind(StrEnum):
    """What a column holds, as far as comparing, reading and showing it is concerned."""

    TEXT = "TEXT"
    INTEGER = "INTEGER"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    DAY = "DAY"
    MOMENT = "MOMENT"
    TEXTS = "TEXTS"
    INTEGERS = "INTEGERS"
    DAYS = "DAYS"
    DOCUMENT = "DOCUMENT"


_KINDS: Final = {
    "text": Kind.TEXT,
    "integer": Kind.INTEGER,
    "bigint": Kind.INTEGER,
    "double precision": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
    "date": Kind.DAY,
    "timestamp with time zone": Kind.MOMENT,
    "text[]": Kind.TEXTS,
    "bigint[]": Kind.INTEGERS,
    "date[]": Kind.DAYS,
    "jsonb": Kind.DOCUMENT,
}
_UNSHOWN: Final = "bytea"
"""Bytes of our own formats (digests, journal rows) are of no use to a reader."""

SORTABLE: Final = frozenset({Kind.TEXT, Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN, Kind.DAY, Kind.MOMENT})
FILTERABLE: Final = SORTABLE | {Kind.TEXTS}


@dataclass(frozen=True, slots=True)
class ListedColumn:
    """One column of a listing; ``description`` carries meaning and unit, as far as they are known."""

    name: str
    kind: Kind
    is_nullable: bool
    description: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A table as surfaces list it.

    Parameters
    ----------
    name : str
        Last part of its path.
    title : str
        One row per what.
    source : str
        What stands behind FROM: a constant of this module.
    columns : tuple of ListedColumn
    key : tuple of str
        Columns that name a row, none of them nullable: the last word in every order.
    order : str
        Order if nobody asks for another, as in a query: ``-trade_date,trade_id``.
    newest_of : str or None
        Of the marts: their column of the day, of which only the newest is listed unless a filter names it.
    is_of_account : bool
        Whether rows belong to an account; only those of one are listed, and the column is not shown.
    role : UserRole
        Who may see it.
    """

    name: str
    title: str
    source: str
    columns: tuple[ListedColumn, ...]
    key: tuple[str, ...]
    order: str
    newest_of: str | None = None
    is_of_account: bool = False
    role: UserRole = UserRole.VIEWER

    def column(self, name: str) -> ListedColumn:
        """Find a column by name; `DataFault` if the listing has none of it."""
        for column in self.columns:
            if column.name == name:
                return column
        raise DataFault(f"{self.name} has no column {name[:64]!r}.")


_ACCOUNT: Final = "account_id"


def _columns(found: list[ColumnInfo], *, is_of_account: bool = False) -> tuple[ListedColumn, ...]:
    return tuple(
        ListedColumn(
            c.name,
            _KINDS[c.type_name],
            c.is_nullable,
            "; ".join(part for part in (c.description, c.unit or "") if part),
        )
        for c in found
        if c.type_name != _UNSHOWN and not (is_of_account and c.name == _ACCOUNT)
    )


def _table(
    name: str,
    table: str,
    title: str,
    order: str = "",
    *,
    is_of_account: bool = False,
    role: UserRole = UserRole.VIEWER,
) -> Listing:
    """Describe a table of Alembic's; newest first where ``order`` does not say otherwise."""
    found = describe_table(table)
    key = tuple(c.name for c in found if c.is_key and not (is_of_account and c.name == _ACCOUNT))
    return Listing(
        name,
        title,
        table,
        _columns(found, is_of_account=is_of_account),
        key,
        order or ",".join(f"-{column}" for column in key),
        is_of_account=is_of_account,
        role=role,
    )


def _mart(name: str, model: str, title: str, key: tuple[str, ...], order: str, source: str = "") -> Listing:
    found = describe_mart(model)
    columns = tuple(
        ListedColumn(c.name, c.kind, c.is_nullable and c.name not in key, c.description)
        for c in _columns(found)
    )
    return Listing(name, title, source or f"marts.{model}", columns, key, order, newest_of="as_of_date")


_JUDGED: Final = "(SELECT * FROM marts.rules_6d UNION ALL SELECT * FROM marts.mini_rules) AS rules"
_RULE_KEY: Final = ("as_of_date", "rule_text")
_PROFILE_KEY: Final = ("as_of_date", "profile", "rule_text")


def _rule_listings() -> list[Listing]:
    return [
        _mart(
            "advisors", "advisor_leaderboard", "advisor and as-of date", ("as_of_date", "advisor_id"), "rank"
        ),
        _mart("rules", "rules_6d", "rule and as-of date", _RULE_KEY, "-post_mean_r", _JUDGED),
        _mart("eligible-rules", "eligible_rules", "rule that passes a profile", _PROFILE_KEY, "-post_mean_r"),
        _mart("adverse-rules", "adverse_rules", "candidate for trading against", _RULE_KEY, "post_mean_r"),
        _mart("rule-changes", "rule_changes", "rule that switched on or off", _PROFILE_KEY, "rule_text"),
        _table("equity-curves", "research.equity_curves", "equity curve of an advisor"),
        _table("corpus-replays", "research.corpus_replays", "corpus replay of a group"),
        _table("rulesets", "ref.rulesets", "frozen rule table", "-trade_date"),
        _table("ruleset-rules", "ref.ruleset_rules", "rule of a frozen rule table"),
        _table("ruleset-pins", "ref.ruleset_pins", "rule table chosen for a day", is_of_account=True),
        _table("gates", "ref.gate_thresholds", "threshold of a gate", "profile"),
    ]


def _signal_listings() -> list[Listing]:
    return [
        _table("signals", "research.resolved_signals", "signal with its instrument"),
        _table("followups", "research.followups", "follow-up of a signal"),
        _table("trades", "research.trades", "idea and what the market made of it"),
        _table("trade-legs", "research.trade_legs", "leg of such a trade"),
        _table("trade-marks", "research.trade_marks", "market day at whose end a trade was open"),
        _table("excursions", "research.excursions", "excursion of a trade"),
        _table("outcome-audit", "research.outcome_audit", "claim of an advisor beside the verified outcome"),
        _table("signal-flags", "research.signal_flags", "signal and how it was published"),
        _table("quality-results", "research.quality_results", "day, asset and expectation"),
        _table("regimes", "ref.regimes", "day and scope"),
        _table("instruments", "ref.instruments", "instrument and span of validity", "instrument_key"),
        _table("uploads", "raw.uploads", "attempt to bring a file in", "-ingested_at"),
        _table("quarantine", "raw.quarantine", "row that could not be used", "-trade_date"),
        _table("signal-log", "raw.signal_log", "change of a signal as it was heard", "-logged_at"),
    ]


def _live_listings() -> list[Listing]:
    def live(name: str, table: str, title: str, order: str = "", *, trader: bool = False) -> Listing:
        role = UserRole.TRADER if trader else UserRole.VIEWER
        return _table(name, table, title, order, is_of_account=True, role=role)

    return [
        live("readiness", "ref.readiness", "day and what pre-market did"),
        live("alerts", "ref.alerts", "matter that a person must hear of", "-raised_at"),
        live("inbox", "trading.inbox", "document that the daemon received", trader=True),
        live("decisions", "trading.decisions", "decision on a signal", "-decided_ns"),
        live("trade-groups", "trading.trade_groups", "trade group", "-opened_ns"),
        live("legs", "trading.legs", "leg of a trade group", "-group_id"),
        live("order-intents", "trading.order_intents", "order of ours", "-prepared_ns", trader=True),
        live("broker-orders", "trading.broker_orders", "order at the broker", "-updated_ns", trader=True),
        live("executed-trades", "trading.executed_trades", "leg that filled", "-entry_ns"),
        live("corpus-accounts", "trading.corpus_accounts", "capital pool", "category"),
        live("corpus-ledger", "trading.corpus_ledger", "movement of capital", "-entry_ns"),
        live("crowd-positions", "trading.crowd_positions", "idea counted in the crowd", "-changed_ns"),
        live("pending-entries", "trading.pending_entries", "entry that waits", "-since_ns"),
        live("commands", "trading.commands", "command of a person", trader=True),
        live("risk-levels", "trading.risk_levels", "cause of a kill level", "-raised_ns"),
        live("heartbeats", "trading.heartbeats", "component and its last sign of life", "component"),
        live("trade-events", "trading.trade_events", "event for people"),
        live("notifications", "trading.notifications", "message to a person", "-event_id", trader=True),
        _table(
            "audit-log",
            "audit.log",
            "who did what",
            is_of_account=True,
            role=UserRole.ADMIN,
        ),
    ]


def load_listings() -> tuple[Listing, ...]:
    """Describe every table that surfaces may list; reads the contracts of the marts."""
    return (*_rule_listings(), *_signal_listings(), *_live_listings())
