"""Steps 2 to 4: typed, normalised and resolved signals, follow-ups; results of the quality suites."""

from typing import Any

from sqlalchemy import Column, Index, Table

from adapters.db.schema.base import (
    big,
    day,
    document,
    flag,
    metadata,
    moment,
    paise,
    paise_list,
    ratio,
    text,
    text_list,
    whole,
)


def _typed_columns() -> list[Column[Any]]:
    """Columns of a typed signal (§1.1); new objects each time, as a column belongs to one table."""
    return [
        day("trade_date", pk=True),
        text("signal_id", pk=True),
        whole("revision"),
        text("upload_id"),
        whole("row_number"),
        text("source"),
        text("source_message_id"),
        text("advisor_id"),
        text("advisor_name"),
        text("sebi_reg_no", null=True),
        moment("posted_at"),
        moment("received_at"),
        text("category"),
        text("symbol_text"),
        day("expiry", null=True),
        text("expiry_rule", null=True),
        paise("strike_paise", null=True),
        text("option_type", null=True),
        text("side"),
        text("entry_type"),
        paise("entry_low_paise", null=True),
        paise("entry_high_paise", null=True),
        paise("stoploss_paise", null=True),
        paise_list("targets_paise"),
        text("declared_period", null=True),
        text("group_key", null=True),
        text("reported_status", null=True),
        paise("reported_exit_paise", null=True),
        moment("reported_exit_at", null=True),
    ]


def _normalised_columns() -> list[Column[Any]]:
    return [
        text("underlying"),
        flag("is_index"),
        text("period"),
        text("weekday", null=True),
        text("session"),
    ]


validated_signals = Table("validated_signals", metadata, *_typed_columns(), schema="research")
"""Step 2: one row per signal that reads as one."""

followups = Table(
    "followups",
    metadata,
    day("trade_date", pk=True),
    text("followup_id", pk=True),
    text("signal_id", null=True),
    whole("revision"),
    text("upload_id"),
    whole("row_number"),
    text("source"),
    text("source_message_id"),
    text("refers_to", null=True),
    text("advisor_id"),
    text("kind"),
    moment("posted_at"),
    moment("received_at"),
    text("symbol_text", null=True),
    paise("stoploss_paise", null=True),
    paise_list("targets_paise"),
    ratio("fraction"),
    Index(None, "signal_id"),
    schema="research",
)
"""Step 2: one row per follow-up, by the market day of its receipt; without signal_id = orphan."""

normalised_signals = Table(
    "normalised_signals", metadata, *_typed_columns(), *_normalised_columns(), schema="research"
)
"""Step 3: canonical underlying and the IST dimensions."""

resolved_signals = Table(
    "resolved_signals",
    metadata,
    *_typed_columns(),
    *_normalised_columns(),
    text("instrument_key"),
    text("price_key"),
    text("underlying_key"),
    text("exchange_segment"),
    text("security_id"),
    whole("lot_size"),
    whole("tick_paise"),
    big("freeze_quantity"),
    text("series"),
    flag("has_derivatives"),
    flag("rounded"),
    text("duplicate_of", null=True),
    text("copied_from", null=True),
    Index(None, "received_at"),
    schema="research",
)
"""Step 4: the instrument as of the trade date, prices on its tick grid, reposts and copies linked."""

signal_flags = Table(
    "signal_flags",
    metadata,
    day("trade_date", pk=True),
    text("signal_id", pk=True),
    text("advisor_id"),
    whole("revision"),
    ratio("claim_lag_s", null=False),
    ratio("moved_at_posting_r"),
    ratio("moved_at_receipt_r"),
    moment("edited_at", null=True),
    moment("deleted_at", null=True),
    text_list("flags"),
    schema="research",
)
"""How each idea was published: lag of the claim, the move before it, edits and deletions (flags)."""

quality_results = Table(
    "quality_results",
    metadata,
    day("partition_date", pk=True),
    text("asset", pk=True),
    text("suite", pk=True),
    text("expectation", pk=True),
    text("run_id"),
    flag("success"),
    flag("is_blocking"),
    big("count_rows"),
    big("count_unexpected"),
    document("payload"),
    schema="research",
)
"""One row per partition and expectation: a day's verdict is on its own rows, whatever range was computed."""
