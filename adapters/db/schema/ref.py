"""Reference data: instruments, regimes, gates, frozen rules, readiness."""

from sqlalchemy import Index, Table

from adapters.db.schema.base import (
    big,
    day,
    day_list,
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

instruments = Table(
    "instruments",
    metadata,
    text("instrument_key", pk=True),
    day("valid_from", pk=True),
    text("source", pk=True),
    day("valid_to"),
    text("category"),
    text("underlying"),
    day("expiry", null=True),
    big("strike_paise", null=True),
    text("option_type", null=True),
    text("exchange_segment"),
    text("security_id"),
    whole("lot_size"),
    whole("tick_paise"),
    big("freeze_quantity"),
    text("series"),
    flag("has_derivatives"),
    day("last_seen", null=True),
    day_list("lacking"),
    Index(None, "underlying", "category", "expiry"),
    schema="ref",
)
"""`last_seen`: newest file day that carried these values; NULL = the newest of the source and category, so
that a master without news rewrites nothing. `lacking`: file days between `valid_from` and
`last_seen` that did not name it."""

instrument_files = Table(
    "instrument_files",
    metadata,
    text("file_id", pk=True),
    text("source"),
    text("layout"),
    day("day"),
    flag("is_dated"),
    text_list("categories"),
    text("file_name"),
    text("sha256"),
    moment("loaded_at"),
    text("revision_reason", null=True),
    whole("count_read"),
    whole("count_taken"),
    whole("count_rejected"),
    document("skipped"),
    whole("count_added"),
    whole("count_closed"),
    whole("count_unchanged"),
    Index(None, "source", "day"),
    schema="ref",
)
"""One row per instrument file taken; the same file again takes the place of its row."""

instrument_rejects = Table(
    "instrument_rejects",
    metadata,
    text("file_id", pk=True),
    whole("reject_number", pk=True),
    whole("row_number"),
    text("reason"),
    text("message"),
    document("content"),
    schema="ref",
)
"""Rows of a file that should have been instruments and could not be taken, whole."""

instrument_revisions = Table(
    "instrument_revisions",
    metadata,
    text("file_id", pk=True),
    text("instrument_key", pk=True),
    document("before"),
    document("after", null=True),
    schema="ref",
)
"""What a correcting file replaced: the values of a day before and after; NULL = no longer listed."""

contract_lots = Table(
    "contract_lots",
    metadata,
    text("source", pk=True),
    text("underlying", pk=True),
    day("expiry_month", pk=True),
    day("valid_from", pk=True),
    day("valid_to"),
    whole("lot_size"),
    day("last_seen", null=True),
    schema="ref",
)
"""Units per lot from the exchange's tables, by the first day of the month of expiry."""

regimes = Table(
    "regimes",
    metadata,
    day("trade_date", pk=True),
    text("scope", pk=True),
    text("label", null=True),
    text("reason", null=True),
    text("realised_label", null=True),
    ratio("adx"),
    ratio("slope"),
    ratio("close_to_ema20"),
    ratio("log_return_20"),
    ratio("lean_threshold"),
    schema="ref",
)

gate_thresholds = Table(
    "gate_thresholds",
    metadata,
    text("profile", pk=True),
    text("rule_level", pk=True),
    text("category", pk=True),
    text("gate", pk=True),
    text("comparison"),
    ratio("threshold", null=False),
    text("gates_version"),
    schema="ref",
)

rulesets = Table(
    "rulesets",
    metadata,
    text("ruleset_version", pk=True),
    day("trade_date"),
    day("as_of_date"),
    text("profile"),
    document("minimums"),
    whole("count_rules"),
    whole("count_eligible"),
    moment("frozen_at"),
    schema="ref",
)

ruleset_rules = Table(
    "ruleset_rules",
    metadata,
    text("ruleset_version", pk=True),
    text("rule_text", pk=True),
    whole("is_adverse", pk=True),
    document("rule"),
    schema="ref",
)

ruleset_pins = Table(
    "ruleset_pins",
    metadata,
    text("account_id", pk=True),
    day("trade_date", pk=True),
    text("ruleset_version"),
    text("pinned_by"),
    text("reason"),
    moment("pinned_at"),
    schema="ref",
)
"""Versions that a person chose for a day; pre-market takes them instead of the newest rules."""

readiness = Table(
    "readiness",
    metadata,
    text("account_id", pk=True),
    day("trade_date", pk=True),
    document("steps"),
    moment("ready_at", null=True),
    text("ruleset_version", null=True),
    paise("opening_corpus_paise", null=True),
    schema="ref",
)
