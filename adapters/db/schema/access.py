"""Who may use the surfaces: users, sessions, failed logins; closed to every role but that of the API."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text

from adapters.db.schema.base import flag, metadata, moment, text, whole

users = Table(
    "users",
    metadata,
    text("login", pk=True),
    text("role"),
    text("password_hash"),
    flag("is_disabled"),
    moment("created_at"),
    text("created_by"),
    moment("password_set_at"),
    moment("last_login_at", null=True),
    CheckConstraint("role IN ('VIEWER', 'TRADER', 'ADMIN')", name="role"),
    schema="access",
)
"""One row per person; nobody is deleted, so that the audit log's actors stay known."""

sessions = Table(
    "sessions",
    metadata,
    text("session_id", pk=True),
    Column("login", Text, ForeignKey("access.users.login"), nullable=False),
    whole("generation"),
    moment("opened_at"),
    moment("refreshed_at"),
    moment("expires_at"),
    moment("revoked_at", null=True),
    text("revoked_reason", null=True),
    CheckConstraint("(revoked_at IS NULL) = (revoked_reason IS NULL)", name="revoked_with_reason"),
    Index(None, "login"),
    schema="access",
)
"""One row per login: the family of its refresh tokens. Only the token of `generation` is good; an older one
was used before, so somebody has a copy, and the family ends."""

login_failures = Table(
    "login_failures",
    metadata,
    text("login", pk=True),
    whole("failures"),
    moment("failed_at"),
    moment("locked_until_at", null=True),
    schema="access",
)
"""Attempts in a row by the login that was typed, whether such a user exists or not: an answer must not tell
which. An attempt is counted before the password is looked at: guesses side by side are counted too."""
