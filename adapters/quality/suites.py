"""What must hold for each step's table, in Great Expectations' words.

A blocking rule is one without which the next step would compute something wrong; the others are watched.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from propdesk.core.limits import PRICE_PAISE_MAX
from propdesk.model.enums import (
    Category,
    EntryType,
    ExitReason,
    FollowupKind,
    OptionType,
    Period,
    Product,
    RuleLevel,
    Session,
    Side,
    Weekday,
)

NOT_NULL = "ExpectColumnValuesToNotBeNull"
IN_SET = "ExpectColumnValuesToBeInSet"
BETWEEN = "ExpectColumnValuesToBeBetween"
UNIQUE = "ExpectColumnValuesToBeUnique"
UNIQUE_TOGETHER = "ExpectCompoundColumnsToBeUnique"
MATCHES = "ExpectColumnValuesToMatchRegex"
A_NOT_BELOW_B = "ExpectColumnPairValuesAToBeGreaterThanB"
EXISTS = "ExpectColumnToExist"

_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$"


@dataclass(frozen=True, slots=True)
class Rule:
    """One expectation: its class in Great Expectations, its arguments, whether it blocks."""

    kind: str
    arguments: Mapping[str, Any]
    is_blocking: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns it looks at."""
        arguments = self.arguments
        names = [arguments[key] for key in ("column", "column_A", "column_B") if key in arguments]
        return (*names, *arguments.get("column_list", ()))

    @property
    def name(self) -> str:
        """Stable name within its suite, e.g. ``not_be_null(signal_id)``."""
        words = self.kind.removeprefix("Expect")
        for part in ("ColumnValuesTo", "ColumnPairValues", "CompoundColumnsTo", "ColumnTo"):
            words = words.removeprefix(part)
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in words).lstrip("_")
        return f"{snake}({', '.join(self.columns)})"


@dataclass(frozen=True, slots=True)
class Suite:
    """Rules of one table."""

    name: str
    rules: tuple[Rule, ...] = field(default_factory=tuple)


def _present(*columns: str) -> list[Rule]:
    return [Rule(NOT_NULL, {"column": column}) for column in columns]


def _one_of(column: str, values: Any) -> Rule:
    return Rule(IN_SET, {"column": column, "value_set": [member.value for member in values]})


def _between(column: str, low: float | None, high: float | None = None, *, is_blocking: bool = True) -> Rule:
    return Rule(BETWEEN, {"column": column, "min_value": low, "max_value": high}, is_blocking)


def _key(*columns: str) -> Rule:
    if len(columns) == 1:
        return Rule(UNIQUE, {"column": columns[0]})
    return Rule(UNIQUE_TOGETHER, {"column_list": list(columns)})


def _ordered(later: str, earlier: str, *, is_blocking: bool = True) -> Rule:
    arguments = {
        "column_A": later,
        "column_B": earlier,
        "or_equal": True,
        "ignore_row_if": "either_value_is_missing",
    }
    return Rule(A_NOT_BELOW_B, arguments, is_blocking)


def _signal_rules() -> list[Rule]:
    price = [
        _between(column, 1, PRICE_PAISE_MAX)
        for column in ("entry_low_paise", "entry_high_paise", "stoploss_paise", "strike_paise")
    ]
    return [
        *_present("trade_date", "signal_id", "advisor_id", "posted_at", "received_at"),
        _key("signal_id"),
        Rule(MATCHES, {"column": "signal_id", "regex": _UUID}),
        _one_of("category", Category),
        _one_of("side", Side),
        _one_of("entry_type", EntryType),
        _one_of("option_type", OptionType),
        _one_of("declared_period", Period),
        *price,
        _ordered("entry_high_paise", "entry_low_paise"),
        Rule(NOT_NULL, {"column": "sebi_reg_no", "mostly": 0.5}, is_blocking=False),
        Rule(NOT_NULL, {"column": "stoploss_paise", "mostly": 0.5}, is_blocking=False),
    ]


def _normalised_rules() -> list[Rule]:
    return [
        *_present("underlying", "is_index", "period", "session"),
        _one_of("period", Period),
        _one_of("session", Session),
        _one_of("weekday", Weekday),
    ]


_GROUPS = (
    *_present("as_of_date", "rule_text", "level"),
    _key("as_of_date", "rule_text"),
    _one_of("level", RuleLevel),
    _between("n", 1),
    _between("shrink", 0.0, 1.0),
    _between("prob_edge", 0.0, 1.0),
)

_SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            "raw_signals",
            (
                *_present("trade_date", "record_id", "posted_at", "received_at", "content_hash"),
                _key("record_id"),
                Rule(IN_SET, {"column": "kind", "value_set": ["SIGNAL", "FOLLOWUP"]}),
                _between("revision", 1),
                _ordered("received_at", "posted_at", is_blocking=False),
            ),
        ),
        Suite("validated_signals", tuple(_signal_rules())),
        Suite(
            "followups",
            (
                *_present("trade_date", "followup_id", "advisor_id", "received_at"),
                _key("followup_id"),
                _one_of("kind", FollowupKind),
                _between("fraction", 0.0, 1.0),
                Rule(NOT_NULL, {"column": "signal_id", "mostly": 0.8}, is_blocking=False),
            ),
        ),
        Suite("normalised_signals", (*_signal_rules(), *_normalised_rules())),
        Suite(
            "resolved_signals",
            (
                *_signal_rules(),
                *_normalised_rules(),
                *_present("instrument_key", "price_key", "underlying_key", "security_id", "series"),
                _between("lot_size", 1),
                _between("tick_paise", 1),
                _between("freeze_quantity", 0),
            ),
        ),
        Suite(
            "trades",
            (
                *_present("trade_date", "trade_id", "advisor_id", "exit_reason", "is_counted"),
                _key("trade_id"),
                _one_of("category", Category),
                _one_of("exit_reason", ExitReason),
                _one_of("product", Product),
                _one_of("period", Period),
                _one_of("session", Session),
                _between("margin_paise", 0),
                _between("charges_paise", 0),
                _between("risk_paise", 0),
                _between("entry_paise", 1, PRICE_PAISE_MAX),
                _between("exit_paise", 1, PRICE_PAISE_MAX),
                _ordered("exit_at", "entry_at"),
                _ordered("entry_at", "received_at"),
            ),
        ),
        Suite(
            "excursions",
            (
                *_present("trade_date", "trade_id"),
                _key("trade_id"),
                _between("mae_r", 0.0),
                _between("mfe_r", 0.0),
            ),
        ),
        Suite(
            "group_metrics",
            (
                *_GROUPS,
                _between("cluster_n_eff", 0.0),
                _between("stop_hunt_rate", 0.0, 1.0),
            ),
        ),
        Suite("thin_groups", _GROUPS),
    )
}
SUITES: Mapping[str, Suite] = MappingProxyType(_SUITES)
"""By name of the table."""
