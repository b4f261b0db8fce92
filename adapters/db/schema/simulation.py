"""Simulations of past ranges (§4.8): what was asked, how far it is, and every day and trade of every desk."""

from sqlalchemy import Table

from adapters.db.schema.base import (
    big,
    day,
    document,
    flag,
    metadata,
    moment,
    paise,
    ratio,
    text,
    text_list,
    whole,
)

simulation_runs = Table(
    "simulation_runs",
    metadata,
    text("account_id", pk=True),
    text("run_id", pk=True),
    text("state"),
    moment("begun_at"),
    moment("ended_at", null=True),
    document("request"),
    paise("capital_paise"),
    whole("days_total"),
    whole("days_done"),
    text("message", null=True),
    schema="trading",
)
"""One row per simulation; ``state`` is RUNNING, DONE, FAILED or INTERRUPTED.

RUNNING without the run's advisory lock: its process was killed.
"""

simulation_days = Table(
    "simulation_days",
    metadata,
    text("account_id", pk=True),
    text("run_id", pk=True),
    text("book", pk=True),
    day("trade_date", pk=True),
    day("rules_of", null=True),
    text("ruleset_version"),
    paise("opening_paise"),
    paise("closing_paise"),
    paise("marked_paise"),
    ratio("peak_utilisation_ratio", null=False),
    whole("open_groups"),
    document("decisions"),
    text_list("switches"),
    text("digest"),
    schema="trading",
)

simulation_trades = Table(
    "simulation_trades",
    metadata,
    text("account_id", pk=True),
    text("run_id", pk=True),
    text("book", pk=True),
    text("group_id", pk=True),
    whole("leg_number", pk=True),
    day("trade_date"),
    text("signal_id"),
    text("advisor_id"),
    text("category"),
    text("rule_text"),
    flag("is_reverse"),
    text("instrument_key"),
    text("side"),
    big("quantity"),
    big("entry_ns"),
    paise("entry_paise"),
    big("exit_ns"),
    paise("exit_paise"),
    text("exit_reason"),
    paise("gross_pnl_paise"),
    paise("charges_paise"),
    paise("net_pnl_paise"),
    paise("risk_paise"),
    schema="trading",
)
"""Legs by the day on which they were over."""
