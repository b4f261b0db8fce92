"""Reference data: instruments, regimes, gates, frozen rules, readiness."""

from sqlalchemy import Index, Table

from adapters.db.schema.base import big, day, document, flag, metadata, moment, paise, ratio, text, whole

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
    Index(None, "underlying", "category", "expiry"),
    schema="ref",
)

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
