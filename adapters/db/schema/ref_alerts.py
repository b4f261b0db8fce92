"""What a person must hear of: failed runs, silent daemons, stale tables."""

from sqlalchemy import CheckConstraint, Table

from adapters.db.schema.base import metadata, moment, text

alerts = Table(
    "alerts",
    metadata,
    text("alert_id", pk=True),
    text("account_id"),
    text("kind"),
    text("severity"),
    text("subject"),
    text("message"),
    text("run_id", null=True),
    moment("raised_at"),
    CheckConstraint("severity IN ('critical', 'warning', 'info')", name="severity"),
    schema="ref",
)
"""Append-only; `alert_id` is made from kind and subject, so one matter is told once. The pipeline may not
write the trading schema, so its alerts lie here; a trigger makes an event of the account of each."""
