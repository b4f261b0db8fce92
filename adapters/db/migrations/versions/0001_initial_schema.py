"""Initial schema: raw, ref, research, trading, audit, access.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "login_failures",
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("locked_until_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("login", name=op.f("pk_login_failures")),
        schema="access",
    )
    op.create_table(
        "users",
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("is_disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("password_set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('VIEWER', 'TRADER', 'ADMIN')", name=op.f("ck_users_role")),
        sa.PrimaryKeyConstraint("login", name=op.f("pk_users")),
        schema="access",
    )
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refreshed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(revoked_at IS NULL) = (revoked_reason IS NULL)", name=op.f("ck_sessions_revoked_with_reason")
        ),
        sa.ForeignKeyConstraint(["login"], ["access.users.login"], name=op.f("fk_sessions_login_users")),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_sessions")),
        schema="access",
    )
    op.create_index(op.f("ix_sessions_login"), "sessions", ["login"], unique=False, schema="access")
    op.create_table(
        "log",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("logged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "seq", name=op.f("pk_log")),
        schema="audit",
    )
    op.create_table(
        "landed_rows",
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", "row_number", "record_id", name=op.f("pk_landed_rows")),
        schema="raw",
    )
    op.create_index(
        op.f("ix_landed_rows_trade_date"), "landed_rows", ["trade_date"], unique=False, schema="raw"
    )
    op.create_index(
        "uq_landed_rows_record_revision", "landed_rows", ["record_id", "revision"], unique=True, schema="raw"
    )
    op.create_table(
        "quarantine",
        sa.Column("quarantine_id", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=True),
        sa.Column("reason_codes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=True),
        sa.Column("source_key", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "stage IN ('INGEST', 'VALIDATE', 'NORMALISE', 'RESOLVE')", name=op.f("ck_quarantine_stage")
        ),
        sa.CheckConstraint("status IN ('OPEN', 'RETRIED')", name=op.f("ck_quarantine_status")),
        sa.PrimaryKeyConstraint("quarantine_id", name=op.f("pk_quarantine")),
        schema="raw",
    )
    op.create_index(
        op.f("ix_quarantine_trade_date_stage"),
        "quarantine",
        ["trade_date", "stage"],
        unique=False,
        schema="raw",
    )
    op.create_index(
        op.f("ix_quarantine_upload_id_row_number"),
        "quarantine",
        ["upload_id", "row_number"],
        unique=False,
        schema="raw",
    )
    op.create_table(
        "raw_signals",
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("trade_date", "record_id", name=op.f("pk_raw_signals")),
        schema="raw",
    )
    op.create_table(
        "signal_log",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("logged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("advisor_id", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "change IN ('POSTED', 'EDITED', 'DELETED', 'RESTORED')", name=op.f("ck_signal_log_change")
        ),
        sa.PrimaryKeyConstraint("chain", "seq", name=op.f("pk_signal_log")),
        schema="raw",
    )
    op.create_index(
        "ix_signal_log_changed",
        "signal_log",
        ["record_id"],
        unique=False,
        schema="raw",
        postgresql_where=sa.text("change <> 'POSTED'"),
    )
    op.create_index(
        "ix_signal_log_source_key",
        "signal_log",
        ["chain", "source_key"],
        unique=False,
        schema="raw",
        postgresql_where=sa.text("source_key IS NOT NULL"),
    )
    op.create_table(
        "collection_positions",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("last_key", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("chain", name=op.f("pk_collection_positions")),
        schema="raw",
    )
    op.create_table(
        "uploads",
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("source_profile", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("uploaded_by", sa.Text(), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rows_read", sa.Integer(), nullable=False),
        sa.Column("rows_accepted", sa.Integer(), nullable=False),
        sa.Column("rows_duplicate", sa.Integer(), nullable=False),
        sa.Column("rows_revised", sa.Integer(), nullable=False),
        sa.Column("rows_quarantined", sa.Integer(), nullable=False),
        sa.Column("rows_deleted", sa.Integer(), nullable=False),
        sa.Column("first_trade_date", sa.Date(), nullable=True),
        sa.Column("last_trade_date", sa.Date(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("status IN ('ACCEPTED', 'FAILED')", name=op.f("ck_uploads_status")),
        sa.PrimaryKeyConstraint("upload_id", name=op.f("pk_uploads")),
        schema="raw",
    )
    op.create_index(op.f("ix_uploads_sha256"), "uploads", ["sha256"], unique=False, schema="raw")
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("severity IN ('critical', 'warning', 'info')", name=op.f("ck_alerts_severity")),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alerts")),
        schema="ref",
    )
    op.create_table(
        "gate_thresholds",
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("rule_level", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("gate", sa.Text(), nullable=False),
        sa.Column("comparison", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("gates_version", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("profile", "rule_level", "category", "gate", name=op.f("pk_gate_thresholds")),
        schema="ref",
    )
    op.create_table(
        "instruments",
        sa.Column("instrument_key", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("underlying", sa.Text(), nullable=False),
        sa.Column("expiry", sa.Date(), nullable=True),
        sa.Column("strike_paise", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("option_type", sa.Text(), nullable=True),
        sa.Column("exchange_segment", sa.Text(), nullable=False),
        sa.Column("security_id", sa.Text(), nullable=False),
        sa.Column("lot_size", sa.Integer(), nullable=False),
        sa.Column("tick_paise", sa.Integer(), nullable=False),
        sa.Column("freeze_quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("has_derivatives", sa.Boolean(), nullable=False),
        sa.Column("last_seen", sa.Date(), nullable=True),
        sa.Column("lacking", postgresql.ARRAY(sa.Date()), nullable=False),
        sa.PrimaryKeyConstraint("instrument_key", "valid_from", "source", name=op.f("pk_instruments")),
        schema="ref",
    )
    op.create_index(
        op.f("ix_instruments_underlying_category_expiry"),
        "instruments",
        ["underlying", "category", "expiry"],
        unique=False,
        schema="ref",
    )
    op.create_table(
        "instrument_files",
        sa.Column("file_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("layout", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("is_dated", sa.Boolean(), nullable=False),
        sa.Column("categories", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("loaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision_reason", sa.Text(), nullable=True),
        sa.Column("count_read", sa.Integer(), nullable=False),
        sa.Column("count_taken", sa.Integer(), nullable=False),
        sa.Column("count_rejected", sa.Integer(), nullable=False),
        sa.Column("skipped", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("count_added", sa.Integer(), nullable=False),
        sa.Column("count_closed", sa.Integer(), nullable=False),
        sa.Column("count_unchanged", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("file_id", name=op.f("pk_instrument_files")),
        schema="ref",
    )
    op.create_index(
        op.f("ix_instrument_files_source_day"),
        "instrument_files",
        ["source", "day"],
        unique=False,
        schema="ref",
    )
    op.create_table(
        "instrument_rejects",
        sa.Column("file_id", sa.Text(), nullable=False),
        sa.Column("reject_number", sa.Integer(), nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("file_id", "reject_number", name=op.f("pk_instrument_rejects")),
        schema="ref",
    )
    op.create_table(
        "instrument_revisions",
        sa.Column("file_id", sa.Text(), nullable=False),
        sa.Column("instrument_key", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("file_id", "instrument_key", name=op.f("pk_instrument_revisions")),
        schema="ref",
    )
    op.create_table(
        "contract_lots",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("underlying", sa.Text(), nullable=False),
        sa.Column("expiry_month", sa.Date(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=False),
        sa.Column("lot_size", sa.Integer(), nullable=False),
        sa.Column("last_seen", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint(
            "source", "underlying", "expiry_month", "valid_from", name=op.f("pk_contract_lots")
        ),
        schema="ref",
    )
    op.create_table(
        "readiness",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("steps", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ruleset_version", sa.Text(), nullable=True),
        sa.Column("opening_corpus_paise", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "trade_date", name=op.f("pk_readiness")),
        schema="ref",
    )
    op.create_table(
        "ruleset_pins",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("ruleset_version", sa.Text(), nullable=False),
        sa.Column("pinned_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("pinned_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "trade_date", name=op.f("pk_ruleset_pins")),
        schema="ref",
    )
    op.create_table(
        "regimes",
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("realised_label", sa.Text(), nullable=True),
        sa.Column("adx", sa.Double(), nullable=True),
        sa.Column("slope", sa.Double(), nullable=True),
        sa.Column("close_to_ema20", sa.Double(), nullable=True),
        sa.Column("log_return_20", sa.Double(), nullable=True),
        sa.Column("lean_threshold", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("trade_date", "scope", name=op.f("pk_regimes")),
        schema="ref",
    )
    op.create_table(
        "ruleset_rules",
        sa.Column("ruleset_version", sa.Text(), nullable=False),
        sa.Column("rule_text", sa.Text(), nullable=False),
        sa.Column("is_adverse", sa.Integer(), nullable=False),
        sa.Column("rule", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("ruleset_version", "rule_text", "is_adverse", name=op.f("pk_ruleset_rules")),
        schema="ref",
    )
    op.create_table(
        "rulesets",
        sa.Column("ruleset_version", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("minimums", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("count_rules", sa.Integer(), nullable=False),
        sa.Column("count_eligible", sa.Integer(), nullable=False),
        sa.Column("frozen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("ruleset_version", name=op.f("pk_rulesets")),
        schema="ref",
    )
    op.create_table(
        "corpus_replays",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("size_model", sa.Text(), nullable=False),
        sa.Column("rule_text", sa.Text(), nullable=False),
        sa.Column("final_corpus_paise", sa.BigInteger(), nullable=False),
        sa.Column("return_ratio", sa.Double(), nullable=False),
        sa.Column("mdd_ratio", sa.Double(), nullable=False),
        sa.Column("mdd_peak_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mdd_trough_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mdd_recovery_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("marked_mdd_ratio", sa.Double(), nullable=False),
        sa.Column("sharpe", sa.Double(), nullable=True),
        sa.Column("sharpe_se", sa.Double(), nullable=True),
        sa.Column("sortino", sa.Double(), nullable=True),
        sa.Column("calmar", sa.Double(), nullable=True),
        sa.Column("volatility_ratio", sa.Double(), nullable=True),
        sa.Column("trades_executed", sa.Integer(), nullable=False),
        sa.Column("trades_skipped_capital", sa.Integer(), nullable=False),
        sa.Column("margin_shortfalls", sa.Integer(), nullable=False),
        sa.Column("open_at_end", sa.Integer(), nullable=False),
        sa.Column("unmarked_at_end", sa.Integer(), nullable=False),
        sa.Column("peak_utilisation_ratio", sa.Double(), nullable=False),
        sa.Column("mean_utilisation_ratio", sa.Double(), nullable=False),
        sa.Column("max_concurrency", sa.Integer(), nullable=False),
        sa.Column("blown_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("as_of_date", "size_model", "rule_text", name=op.f("pk_corpus_replays")),
        schema="research",
    )
    op.create_table(
        "equity_curves",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("size_model", sa.Text(), nullable=False),
        sa.Column("rule_text", sa.Text(), nullable=False),
        sa.Column("point_ns", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("corpus_paise", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("daily_corpus_paise", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("daily_marked_paise", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.PrimaryKeyConstraint("as_of_date", "size_model", "rule_text", name=op.f("pk_equity_curves")),
        schema="research",
    )
    op.create_table(
        "excursions",
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("mae_r", sa.Double(), nullable=True),
        sa.Column("mfe_r", sa.Double(), nullable=True),
        sa.Column("post_sl_extension", sa.Double(), nullable=True),
        sa.Column("post_sl_recovery", sa.Double(), nullable=True),
        sa.Column("post_target_extension", sa.Double(), nullable=True),
        sa.Column("wse", sa.Double(), nullable=True),
        sa.Column("wte", sa.Double(), nullable=True),
        sa.Column("crossed_entry_after_stop", sa.Boolean(), nullable=True),
        sa.Column("bar_resolution", sa.Boolean(), nullable=False),
        sa.Column("is_complete", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("trade_date", "trade_id", name=op.f("pk_excursions")),
        schema="research",
    )
    op.create_table(
        "followups",
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("followup_id", sa.Text(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_message_id", sa.Text(), nullable=False),
        sa.Column("refers_to", sa.Text(), nullable=True),
        sa.Column("advisor_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("symbol_text", sa.Text(), nullable=True),
        sa.Column("stoploss_paise", sa.BigInteger(), nullable=True),
        sa.Column("targets_paise", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("fraction", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("trade_date", "followup_id", name=op.f("pk_followups")),
        schema="research",
    )
    op.create_index(
        op.f("ix_followups_signal_id"), "followups", ["signal_id"], unique=False, schema="research"
    )
    op.create_table(
        "group_metrics",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("rule_text", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("advisor_id", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("period", sa.Text(), nullable=True),
        sa.Column("regime", sa.Text(), nullable=True),
        sa.Column("weekday", sa.Text(), nullable=True),
        sa.Column("session", sa.Text(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("n_open", sa.Integer(), nullable=False),
        sa.Column("n_days", sa.Integer(), nullable=False),
        sa.Column("n_unsettled", sa.Integer(), nullable=False),
        sa.Column("skill_n", sa.Integer(), nullable=False),
        sa.Column("weighted_n", sa.Double(), nullable=True),
        sa.Column("cluster_n_eff", sa.Double(), nullable=True),
        sa.Column("design_effect", sa.Double(), nullable=True),
        sa.Column("mean_r_weighted", sa.Double(), nullable=True),
        sa.Column("post_mean_r", sa.Double(), nullable=True),
        sa.Column("post_sd_r", sa.Double(), nullable=True),
        sa.Column("shrink", sa.Double(), nullable=True),
        sa.Column("prob_edge", sa.Double(), nullable=True),
        sa.Column("hits", sa.Double(), nullable=True),
        sa.Column("expected_hits", sa.Double(), nullable=True),
        sa.Column("excess_hits", sa.Double(), nullable=True),
        sa.Column("excess_z", sa.Double(), nullable=True),
        sa.Column("advisor_q", sa.Double(), nullable=True),
        sa.Column("mdd_p95", sa.Double(), nullable=True),
        sa.Column("reverse_q", sa.Double(), nullable=True),
        sa.Column("best_r", sa.Double(), nullable=True),
        sa.Column("worst_r", sa.Double(), nullable=True),
        sa.Column("median_r", sa.Double(), nullable=True),
        sa.Column("best_return", sa.Double(), nullable=True),
        sa.Column("worst_return", sa.Double(), nullable=True),
        sa.Column("median_return", sa.Double(), nullable=True),
        sa.Column("losing_streak_max", sa.Integer(), nullable=False),
        sa.Column("pain_reward", sa.Double(), nullable=True),
        sa.Column("pain_reward_no_skill", sa.Double(), nullable=True),
        sa.Column("mae_r_p75", sa.Double(), nullable=True),
        sa.Column("mae_r_p90", sa.Double(), nullable=True),
        sa.Column("mfe_r_p75", sa.Double(), nullable=True),
        sa.Column("mfe_r_p90", sa.Double(), nullable=True),
        sa.Column("stopped_trades", sa.Integer(), nullable=False),
        sa.Column("mean_post_sl_extension", sa.Double(), nullable=True),
        sa.Column("median_post_sl_extension", sa.Double(), nullable=True),
        sa.Column("positive_post_sl_extension_p75", sa.Double(), nullable=True),
        sa.Column("mean_post_sl_recovery", sa.Double(), nullable=True),
        sa.Column("stop_hunt_rate", sa.Double(), nullable=True),
        sa.Column("mean_post_target_extension", sa.Double(), nullable=True),
        sa.Column("median_post_target_extension", sa.Double(), nullable=True),
        sa.Column("mean_wse", sa.Double(), nullable=True),
        sa.Column("wse_p90", sa.Double(), nullable=True),
        sa.Column("mean_wte", sa.Double(), nullable=True),
        sa.Column("median_traded_value_share", sa.Double(), nullable=True),
        sa.Column("wins", sa.Integer(), nullable=False),
        sa.Column("winners", sa.Integer(), nullable=False),
        sa.Column("losers", sa.Integer(), nullable=False),
        sa.Column("r_count", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=True),
        sa.Column("weight_squared", sa.Double(), nullable=True),
        sa.Column("win_weight", sa.Double(), nullable=True),
        sa.Column("return_sum", sa.Double(), nullable=True),
        sa.Column("r_sum", sa.Double(), nullable=True),
        sa.Column("r_weight", sa.Double(), nullable=True),
        sa.Column("r_weighted", sa.Double(), nullable=True),
        sa.Column("gains_paise", sa.BigInteger(), nullable=False),
        sa.Column("losses_paise", sa.BigInteger(), nullable=False),
        sa.Column("weighted_gains_paise", sa.Double(), nullable=True),
        sa.Column("weighted_losses_paise", sa.Double(), nullable=True),
        sa.Column("net_pnl_paise", sa.BigInteger(), nullable=False),
        sa.Column("charges_paise", sa.BigInteger(), nullable=False),
        sa.Column("hours", sa.Double(), nullable=True),
        sa.Column("first_half_net_pnl_paise", sa.BigInteger(), nullable=False),
        sa.Column("reverse_net_pnl_paise", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("as_of_date", "rule_text", name=op.f("pk_group_metrics")),
        schema="research",
    )
    op.create_table(
        "normalised_signals",
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_message_id", sa.Text(), nullable=False),
        sa.Column("advisor_id", sa.Text(), nullable=False),
        sa.Column("advisor_name", sa.Text(), nullable=False),
        sa.Column("sebi_reg_no", sa.Text(), nullable=True),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("symbol_text", sa.Text(), nullable=False),
        sa.Column("expiry", sa.Date(), nullable=True),
        sa.Column("expiry_rule", sa.Text(), nullable=True),
        sa.Column("strike_paise", sa.BigInteger(), nullable=True),
        sa.Column("option_type", sa.Text(), nullable=True),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("entry_type", sa.Text(), nullable=False),
        sa.Column("entry_low_paise", sa.BigInteger(), nullable=True),
        sa.Column("entry_high_paise", sa.BigInteger(), nullable=True),
        sa.Column("stoploss_paise", sa.BigInteger(), nullable=True),
        sa.Column("targets_paise", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("declared_period", sa.Text(), nullable=True),
        sa.Column("group_key", sa.Text(), nullable=True),
        sa.Column("reported_status", sa.Text(), nullable=True),
        sa.Column("reported_exit_paise", sa.BigInteger(), nullable=True),
        sa.Column("reported_exit_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("underlying", sa.Text(), nullable=False),
        sa.Column("is_index", sa.Boolean(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("weekday", sa.Text(), nullable=True),
        sa.Column("session", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("trade_date", "signal_id", name=op.f("pk_normalised_signals")),
        schema="research",
    )
    op.create_table(
        "outcome_audit",
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("reported_status", sa.Text(), nullable=False),
        sa.Column("verified_reason", sa.Text(), nullable=False),
        sa.Column("agrees", sa.Boolean(), nullable=True),
        sa.Column("flattering_ratio", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("trade_date", "trade_id", name=op.f("pk_outcome_audit")),
        schema="research",
    )
    op.create_table(
        "quality_results",
        sa.Column("partition_date", sa.Date(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("expectation", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("is_blocking", sa.Boolean(), nullable=False),
        sa.Column("count_rows", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("count_unexpected", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint(
            "partition_date", "asset", "suite", "expectation", name=op.f("pk_quality_results")
        ),
        schema="research",
    )
    op.create_table(
        "resolved_signals",
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_message_id", sa.Text(), nullable=False),
        sa.Column("advisor_id", sa.Text(), nullable=False),
        sa.Column("advisor_name", sa.Text(), nullable=False),
        sa.Column("sebi_reg_no", sa.Text(), nullable=True),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("symbol_text", sa.Text(), nullable=False),
        sa.Column("expiry", sa.Date(), nullable=True),
        sa.Column("expiry_rule", sa.Text(), nullable=True),
        sa.Column("strike_paise", sa.BigInteger(), nullable=True),
        sa.Column("option_type", sa.Text(), nullable=True),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("entry_type", sa.Text(), nullable=False),
        sa.Column("entry_low_paise", sa.BigInteger(), nullable=True),
        sa.Column("entry_high_paise", sa.BigInteger(), nullable=True),
        sa.Column("stoploss_paise", sa.BigInteger(), nullable=True),
        sa.Column("targets_paise", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("declared_period", sa.Text(), nullable=True),
        sa.Column("group_key", sa.Text(), nullable=True),
        sa.Column("reported_status", sa.Text(), nullable=True),
        sa.Column("reported_exit_paise", sa.BigInteger(), nullable=True),
        sa.Column("reported_exit_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("underlying", sa.Text(), nullable=False),
        sa.Column("is_index", sa.Boolean(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("weekday", sa.Text(), nullable=True),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("instrument_key", sa.Text(), nullable=False),
        sa.Column("price_key", sa.Text(), nullable=False),
        sa.Column("underlying_key", sa.Text(), nullable=False),
        sa.Column("exchange_segment", sa.Text(), nullable=False),
        sa.Column("security_id", sa.Text(), nullable=False),
        sa.Column("lot_size", sa.Integer(), nullable=False),
        sa.Column("tick_paise", sa.Integer(), nullable=False),
        sa.Column("freeze_quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("has_derivatives", sa.Boolean(), nullable=False),
        sa.Column("rounded", sa.Boolean(), nullable=False),
        sa.Column("duplicate_of", sa.Text(), nullable=True),
        sa.Column("copied_from", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("trade_date", "signal_id", name=op.f("pk_resolved_signals")),
        schema="research",
    )
    op.create_index(
        op.f("ix_resolved_signals_received_at"),
        "resolved_signals",
        ["received_at"],
        unique=False,
        schema="research",
    )
    op.create_table(
        "thin_groups",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("rule_text", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("advisor_id", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("regime", sa.Text(), nullable=True),
        sa.Column("weekday", sa.Text(), nullable=True),
        sa.Column("session", sa.Text(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("n_open", sa.Integer(), nullable=False),
        sa.Column("n_days", sa.Integer(), nullable=False),
        sa.Column("n_unsettled", sa.Integer(), nullable=False),
        sa.Column("skill_n", sa.Integer(), nullable=False),
        sa.Column("post_mean_r", sa.Double(), nullable=True),
        sa.Column("post_sd_r", sa.Double(), nullable=True),
        sa.Column("shrink", sa.Double(), nullable=True),
        sa.Column("prob_edge", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("as_of_date", "rule_text", name=op.f("pk_thin_groups")),
        schema="research",
    )
    op.create_table(
        "trial_ledger",
        sa.Column("as_of_date", sa.Date(), nullable=False),
        sa.Column("settings_version", sa.Text(), nullable=False),
        sa.Column("gates_version", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("rules_tried", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rules_judged", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint(
            "as_of_date",
            "settings_version",
            "gates_version",
            "level",
            "rules_tried",
            "rules_judged",
            name=op.f("pk_trial_ledger"),
        ),
        schema="research",
    )
    op.create_table(
        "trade_legs",
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("leg_number", sa.Integer(), nullable=False),
        sa.Column("lots", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("target_paise", sa.BigInteger(), nullable=True),
        sa.Column("entry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("entry_paise", sa.BigInteger(), nullable=True),
        sa.Column("exit_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit_paise", sa.BigInteger(), nullable=True),
        sa.Column("exit_reason", sa.Text(), nullable=True),
        sa.Column("exit_target", sa.Integer(), nullable=True),
        sa.Column("gross_pnl_paise", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("trade_date", "trade_id", "leg_number", name=op.f("pk_trade_legs")),
        schema="research",
    )
    op.create_table(
        "trade_marks",
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("mark_date", sa.Date(), nullable=False),
        sa.Column("close_paise", sa.BigInteger(), nullable=False),
        sa.Column("mark_pnl_paise", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("trade_date", "trade_id", "mark_date", name=op.f("pk_trade_marks")),
        schema="research",
    )
    op.create_table(
        "trades",
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("advisor_id", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("underlying", sa.Text(), nullable=False),
        sa.Column("underlying_key", sa.Text(), nullable=False),
        sa.Column("instrument_key", sa.Text(), nullable=False),
        sa.Column("price_key", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("weekday", sa.Text(), nullable=True),
        sa.Column("entry_type", sa.Text(), nullable=False),
        sa.Column("entry_low_paise", sa.BigInteger(), nullable=True),
        sa.Column("entry_high_paise", sa.BigInteger(), nullable=True),
        sa.Column("stoploss_paise", sa.BigInteger(), nullable=True),
        sa.Column("targets_paise", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=True),
        sa.Column("duplicate_of", sa.Text(), nullable=True),
        sa.Column("copied_from", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("product", sa.Text(), nullable=True),
        sa.Column("product_reason", sa.Text(), nullable=True),
        sa.Column("lot_size", sa.Integer(), nullable=False),
        sa.Column("lots", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("margin_paise", sa.BigInteger(), nullable=True),
        sa.Column("notional_paise", sa.BigInteger(), nullable=True),
        sa.Column("leverage", sa.Double(), nullable=True),
        sa.Column("desk_lots", sa.Integer(), nullable=True),
        sa.Column("desk_quantity", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("desk_margin_paise", sa.BigInteger(), nullable=True),
        sa.Column("entry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("entry_date", sa.Date(), nullable=True),
        sa.Column("entry_paise", sa.BigInteger(), nullable=True),
        sa.Column("exit_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit_date", sa.Date(), nullable=True),
        sa.Column("exit_paise", sa.BigInteger(), nullable=True),
        sa.Column("exit_reason", sa.Text(), nullable=True),
        sa.Column("exit_target", sa.Integer(), nullable=True),
        sa.Column("targets_hit", sa.Integer(), nullable=False),
        sa.Column("ambiguous_bar", sa.Boolean(), nullable=False),
        sa.Column("unsettled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unsettled_date", sa.Date(), nullable=True),
        sa.Column("gross_pnl_paise", sa.BigInteger(), nullable=True),
        sa.Column("slippage_paise", sa.BigInteger(), nullable=True),
        sa.Column("charges_paise", sa.BigInteger(), nullable=True),
        sa.Column("net_pnl_paise", sa.BigInteger(), nullable=True),
        sa.Column("desk_net_pnl_paise", sa.BigInteger(), nullable=True),
        sa.Column("risk_paise", sa.BigInteger(), nullable=True),
        sa.Column("r_multiple", sa.Double(), nullable=True),
        sa.Column("gross_r", sa.Double(), nullable=True),
        sa.Column("charges_r", sa.Double(), nullable=True),
        sa.Column("return_ratio", sa.Double(), nullable=True),
        sa.Column("holding_hours", sa.Double(), nullable=True),
        sa.Column("holding_days", sa.Integer(), nullable=True),
        sa.Column("is_intraday", sa.Boolean(), nullable=True),
        sa.Column("is_expiry_day", sa.Boolean(), nullable=True),
        sa.Column("days_to_expiry", sa.Integer(), nullable=True),
        sa.Column("moneyness", sa.Double(), nullable=True),
        sa.Column("is_winning_trade", sa.Boolean(), nullable=True),
        sa.Column("target_hit", sa.Boolean(), nullable=True),
        sa.Column("stoploss_hit", sa.Boolean(), nullable=True),
        sa.Column("traded_value_paise", sa.BigInteger(), nullable=True),
        sa.Column("traded_value_share", sa.Double(), nullable=True),
        sa.Column("is_counted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("trade_date", "trade_id", name=op.f("pk_trades")),
        schema="research",
    )
    op.create_index(
        op.f("ix_trades_advisor_id_entry_date"),
        "trades",
        ["advisor_id", "entry_date"],
        unique=False,
        schema="research",
    )
    op.create_index(op.f("ix_trades_entry_date"), "trades", ["entry_date"], unique=False, schema="research")
    op.create_table(
        "signal_flags",
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("advisor_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("claim_lag_s", sa.Double(), nullable=False),
        sa.Column("moved_at_posting_r", sa.Double(), nullable=True),
        sa.Column("moved_at_receipt_r", sa.Double(), nullable=True),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("flags", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("trade_date", "signal_id", name=op.f("pk_signal_flags")),
        schema="research",
    )
    op.create_table(
        "validated_signals",
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_message_id", sa.Text(), nullable=False),
        sa.Column("advisor_id", sa.Text(), nullable=False),
        sa.Column("advisor_name", sa.Text(), nullable=False),
        sa.Column("sebi_reg_no", sa.Text(), nullable=True),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("symbol_text", sa.Text(), nullable=False),
        sa.Column("expiry", sa.Date(), nullable=True),
        sa.Column("expiry_rule", sa.Text(), nullable=True),
        sa.Column("strike_paise", sa.BigInteger(), nullable=True),
        sa.Column("option_type", sa.Text(), nullable=True),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("entry_type", sa.Text(), nullable=False),
        sa.Column("entry_low_paise", sa.BigInteger(), nullable=True),
        sa.Column("entry_high_paise", sa.BigInteger(), nullable=True),
        sa.Column("stoploss_paise", sa.BigInteger(), nullable=True),
        sa.Column("targets_paise", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("declared_period", sa.Text(), nullable=True),
        sa.Column("group_key", sa.Text(), nullable=True),
        sa.Column("reported_status", sa.Text(), nullable=True),
        sa.Column("reported_exit_paise", sa.BigInteger(), nullable=True),
        sa.Column("reported_exit_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("trade_date", "signal_id", name=op.f("pk_validated_signals")),
        schema="research",
    )
    op.create_table(
        "broker_orders",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("broker_order_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("last_kind", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("price_paise", sa.BigInteger(), nullable=False),
        sa.Column("updated_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "account_id", "correlation_id", "broker_order_id", name=op.f("pk_broker_orders")
        ),
        schema="trading",
    )
    op.create_table(
        "carry_overs",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("carried", sa.LargeBinary(), nullable=False),
        sa.Column("journal_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "trade_date", name=op.f("pk_carry_overs")),
        schema="trading",
    )
    op.create_table(
        "commands",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("command_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column(
            "asked_at",
            sa.DateTime(timezone=True),
            server_default=sa.func.clock_timestamp(),
            nullable=False,
        ),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("arguments", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="ASKED", nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("journal_date", sa.Date(), nullable=True),
        sa.Column("journal_seq", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("ask_audited_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("audited_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('ASKED','DONE','REFUSED','EXPIRED')", name=op.f("ck_commands_state_known")
        ),
        sa.CheckConstraint("door IN ('CLI','API','UI','TELEGRAM')", name=op.f("ck_commands_door_known")),
        sa.CheckConstraint("role IN ('VIEWER','TRADER','ADMIN')", name=op.f("ck_commands_role_known")),
        sa.CheckConstraint(
            "jsonb_typeof(arguments) = 'object' AND octet_length(arguments::text) <= 4096",
            name=op.f("ck_commands_arguments_small"),
        ),
        sa.CheckConstraint(
            "num_nulls(answer, answered_at, journal_date, journal_seq) = 4 * (state = 'ASKED')::int",
            name=op.f("ck_commands_answered_whole"),
        ),
        sa.PrimaryKeyConstraint("account_id", "command_id", name=op.f("pk_commands")),
        sa.UniqueConstraint(
            "account_id", "idempotency_key", name=op.f("uq_commands_account_id_idempotency_key")
        ),
        schema="trading",
    )
    op.create_index(
        "ix_commands_open",
        "commands",
        ["account_id", "command_id"],
        unique=False,
        schema="trading",
        postgresql_where="state = 'ASKED'",
    )
    op.create_index(
        "ix_commands_unaudited",
        "commands",
        ["account_id", "command_id"],
        unique=False,
        schema="trading",
        postgresql_where="ask_audited_at IS NULL OR state <> 'ASKED' AND audited_at IS NULL",
    )
    op.create_table(
        "corpus_accounts",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("is_adverse", sa.Integer(), nullable=False),
        sa.Column("total_paise", sa.BigInteger(), nullable=False),
        sa.Column("free_paise", sa.BigInteger(), nullable=False),
        sa.Column("deployed_paise", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("deployed_paise >= 0", name=op.f("ck_corpus_accounts_deployed_not_negative")),
        sa.CheckConstraint(
            "free_paise + deployed_paise = total_paise", name=op.f("ck_corpus_accounts_adds_up")
        ),
        sa.PrimaryKeyConstraint("account_id", "category", "is_adverse", name=op.f("pk_corpus_accounts")),
        schema="trading",
    )
    op.create_table(
        "corpus_ledger",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("journal_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("is_adverse", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=True),
        sa.Column("free_delta_paise", sa.BigInteger(), nullable=False),
        sa.Column("deployed_delta_paise", sa.BigInteger(), nullable=False),
        sa.Column("pnl_paise", sa.BigInteger(), nullable=False),
        sa.Column("entry_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "entry_id", name=op.f("pk_corpus_ledger")),
        schema="trading",
    )
    op.create_index(
        op.f("ix_corpus_ledger_account_id_trade_date"),
        "corpus_ledger",
        ["account_id", "trade_date"],
        unique=False,
        schema="trading",
    )
    op.create_table(
        "crowd_positions",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("underlying", sa.Text(), nullable=False),
        sa.Column("advisor_id", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("journal_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "signal_id", name=op.f("pk_crowd_positions")),
        schema="trading",
    )
    op.create_index(
        op.f("ix_crowd_positions_account_id_underlying"),
        "crowd_positions",
        ["account_id", "underlying"],
        unique=False,
        schema="trading",
    )
    op.create_table(
        "day_contexts",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("context_hash", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "trade_date", "context_hash", name=op.f("pk_day_contexts")),
        schema="trading",
    )
    op.create_table(
        "decisions",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("decision_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("journal_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("decided_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ruleset_version", sa.Text(), nullable=False),
        sa.Column("rule_text", sa.Text(), nullable=False),
        sa.Column("is_reverse", sa.Boolean(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=True),
        sa.Column("lots", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("margin_paise", sa.BigInteger(), nullable=False),
        sa.Column("planned_risk_paise", sa.BigInteger(), nullable=False),
        sa.Column("crowd_score", sa.Double(), nullable=True),
        sa.Column("crowd_direction", sa.Text(), nullable=True),
        sa.Column("crowd_multiplier", sa.Double(), nullable=False),
        sa.Column("regime", sa.Text(), nullable=True),
        sa.Column("candidates", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "decision_id", name=op.f("pk_decisions")),
        schema="trading",
    )
    op.create_index(
        op.f("ix_decisions_account_id_signal_id"),
        "decisions",
        ["account_id", "signal_id"],
        unique=False,
        schema="trading",
    )
    op.create_index(
        op.f("ix_decisions_account_id_trade_date_code"),
        "decisions",
        ["account_id", "trade_date", "code"],
        unique=False,
        schema="trading",
    )
    op.create_table(
        "executed_trades",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("leg_number", sa.Integer(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("advisor_id", sa.Text(), nullable=False),
        sa.Column("instrument_key", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("rule_text", sa.Text(), nullable=False),
        sa.Column("is_reverse", sa.Boolean(), nullable=False),
        sa.Column("crowd_score", sa.Double(), nullable=True),
        sa.Column("quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_paise", sa.BigInteger(), nullable=False),
        sa.Column("entry_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("exited_quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("exit_paise", sa.BigInteger(), nullable=True),
        sa.Column("exit_ns", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("exit_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit_reason", sa.Text(), nullable=True),
        sa.Column("exit_target", sa.Integer(), nullable=True),
        sa.Column("gross_pnl_paise", sa.BigInteger(), nullable=True),
        sa.Column("charges_paise", sa.BigInteger(), nullable=True),
        sa.Column("net_pnl_paise", sa.BigInteger(), nullable=True),
        sa.Column("stop_paise", sa.BigInteger(), nullable=True),
        sa.Column("is_closed", sa.Boolean(), nullable=False),
        sa.Column("changed_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "group_id", "leg_number", name=op.f("pk_executed_trades")),
        schema="trading",
    )
    op.create_index(
        op.f("ix_executed_trades_account_id_trade_date"),
        "executed_trades",
        ["account_id", "trade_date"],
        unique=False,
        schema="trading",
    )
    op.create_table(
        "heartbeats",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("component", sa.Text(), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "component", name=op.f("pk_heartbeats")),
        schema="trading",
    )
    op.create_table(
        "inbox",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("inbox_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("record_id", sa.Text(), nullable=True),
        sa.Column("rejected_code", sa.Text(), nullable=True),
        sa.Column("rejected_text", sa.Text(), nullable=True),
        sa.Column("journal_date", sa.Date(), nullable=True),
        sa.Column("journal_seq", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("account_id", "inbox_id", name=op.f("pk_inbox")),
        sa.UniqueConstraint(
            "account_id", "source_key", "revision", name=op.f("uq_inbox_account_id_source_key_revision")
        ),
        schema="trading",
    )
    op.create_index(
        op.f("ix_inbox_account_id_record_id"),
        "inbox",
        ["account_id", "record_id"],
        unique=False,
        schema="trading",
    )
    op.create_index(
        "ix_inbox_open",
        "inbox",
        ["account_id", "inbox_id"],
        unique=False,
        schema="trading",
        postgresql_where="journal_seq IS NULL",
    )
    op.create_table(
        "journal",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("now_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("events", sa.LargeBinary(), nullable=False),
        sa.Column("resolutions", sa.LargeBinary(), nullable=False),
        sa.Column("outputs_hash", sa.Text(), nullable=False),
        sa.Column("chain_hash", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "trade_date", "seq", name=op.f("pk_journal")),
        schema="trading",
    )
    op.create_table(
        "leader_epochs",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_leader_epochs")),
        schema="trading",
    )
    op.create_table(
        "legs",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("leg_number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("lots", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("target_paise", sa.BigInteger(), nullable=True),
        sa.Column("stop_paise", sa.BigInteger(), nullable=True),
        sa.Column("filled_quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("exited_quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_notional_paise", sa.BigInteger(), nullable=False),
        sa.Column("exit_notional_paise", sa.BigInteger(), nullable=False),
        sa.Column("entry_ns", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("exit_ns", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("exit_reason", sa.Text(), nullable=True),
        sa.Column("exit_target", sa.Integer(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.CheckConstraint("exited_quantity <= filled_quantity", name=op.f("ck_legs_exited_within_filled")),
        sa.CheckConstraint("filled_quantity <= quantity", name=op.f("ck_legs_filled_within_ordered")),
        sa.PrimaryKeyConstraint("account_id", "group_id", "leg_number", name=op.f("pk_legs")),
        schema="trading",
    )
    op.create_table(
        "order_intents",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("intent_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("journal_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("leg_number", sa.Integer(), nullable=False),
        sa.Column("is_entry", sa.Boolean(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("prepared_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sent_ns", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("answered_ns", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("broker_order_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state IN ('PREPARED','SENT','WORKING','REJECTED','UNKNOWN','BLOCKED','WITHDRAWN',"
            "'MISSED_AMBIGUOUS')",
            name=op.f("ck_order_intents_state_known"),
        ),
        sa.PrimaryKeyConstraint("account_id", "intent_id", name=op.f("pk_order_intents")),
        schema="trading",
    )
    op.create_index(
        op.f("ix_order_intents_account_id_correlation_id"),
        "order_intents",
        ["account_id", "correlation_id"],
        unique=False,
        schema="trading",
    )
    op.create_index(
        "ix_order_intents_open",
        "order_intents",
        ["account_id", "state"],
        unique=False,
        schema="trading",
        postgresql_where="state IN ('PREPARED','SENT','UNKNOWN')",
    )
    op.create_table(
        "paper_exchange",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "trade_date", name=op.f("pk_paper_exchange")),
        schema="trading",
    )
    op.create_table(
        "paper_updates",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("update_id", sa.Text(), nullable=False),
        sa.Column("known_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("fact", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "trade_date", "seq", name=op.f("pk_paper_updates")),
        schema="trading",
    )
    op.create_table(
        "pending_entries",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("deadline_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("resolved_ns", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("account_id", "signal_id", name=op.f("pk_pending_entries")),
        schema="trading",
    )
    op.create_table(
        "preflights",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("checked_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("broker", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("checks", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint("outcome IN ('PASSED', 'UNKNOWN', 'FAILED')", name=op.f("ck_preflights_outcome")),
        sa.PrimaryKeyConstraint("account_id", "trade_date", "number", name=op.f("pk_preflights")),
        schema="trading",
    )
    op.create_table(
        "replay_positions",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("timeline_hash", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("journal_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("is_done", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "trade_date", name=op.f("pk_replay_positions")),
        schema="trading",
    )
    op.create_table(
        "resume_tokens",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("token", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("last_posted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "source", name=op.f("pk_resume_tokens")),
        schema="trading",
    )
    op.create_table(
        "risk_levels",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("cause_id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("raised_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cleared_ns", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("cleared_by", sa.Text(), nullable=True),
        sa.Column("cleared_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "cause_id", name=op.f("pk_risk_levels")),
        schema="trading",
    )
    op.create_index(
        "ix_risk_levels_open",
        "risk_levels",
        ["account_id"],
        unique=False,
        schema="trading",
        postgresql_where="cleared_ns IS NULL",
    )
    op.create_table(
        "simulation_runs",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("capital_paise", sa.BigInteger(), nullable=False),
        sa.Column("days_total", sa.Integer(), nullable=False),
        sa.Column("days_done", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "run_id", name=op.f("pk_simulation_runs")),
        schema="trading",
    )
    op.create_table(
        "simulation_days",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("book", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("rules_of", sa.Date(), nullable=True),
        sa.Column("ruleset_version", sa.Text(), nullable=False),
        sa.Column("opening_paise", sa.BigInteger(), nullable=False),
        sa.Column("closing_paise", sa.BigInteger(), nullable=False),
        sa.Column("marked_paise", sa.BigInteger(), nullable=False),
        sa.Column("peak_utilisation_ratio", sa.Double(), nullable=False),
        sa.Column("open_groups", sa.Integer(), nullable=False),
        sa.Column("decisions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("switches", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "account_id", "run_id", "book", "trade_date", name=op.f("pk_simulation_days")
        ),
        schema="trading",
    )
    op.create_table(
        "simulation_trades",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("book", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("leg_number", sa.Integer(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("advisor_id", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("rule_text", sa.Text(), nullable=False),
        sa.Column("is_reverse", sa.Boolean(), nullable=False),
        sa.Column("instrument_key", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_paise", sa.BigInteger(), nullable=False),
        sa.Column("exit_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("exit_paise", sa.BigInteger(), nullable=False),
        sa.Column("exit_reason", sa.Text(), nullable=False),
        sa.Column("gross_pnl_paise", sa.BigInteger(), nullable=False),
        sa.Column("charges_paise", sa.BigInteger(), nullable=False),
        sa.Column("net_pnl_paise", sa.BigInteger(), nullable=False),
        sa.Column("risk_paise", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "account_id", "run_id", "book", "group_id", "leg_number", name=op.f("pk_simulation_trades")
        ),
        schema="trading",
    )
    op.create_table(
        "trade_events",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("event_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("is_sent", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "event_id", name=op.f("pk_trade_events")),
        schema="trading",
    )
    op.create_index(
        "ix_trade_events_unsent",
        "trade_events",
        ["event_id"],
        unique=False,
        schema="trading",
        postgresql_where="NOT is_sent",
    )
    op.create_table(
        "notifications",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("unknowns", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("due_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("changed_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("preface", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('WAITING','SENDING','SENT','DEAD','PASSED')", name=op.f("ck_notifications_state_known")
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "event_id"],
            ["trading.trade_events.account_id", "trading.trade_events.event_id"],
            name=op.f("fk_notifications_account_id_event_id_trade_events"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "event_id", "recipient", name=op.f("pk_notifications")),
        schema="trading",
    )
    op.create_index(
        "ix_notifications_open",
        "notifications",
        ["account_id", "recipient", "event_id"],
        unique=False,
        schema="trading",
        postgresql_where="state IN ('WAITING','SENDING')",
    )
    op.create_table(
        "trade_groups",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("advisor_id", sa.Text(), nullable=False),
        sa.Column("instrument_key", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("entry_type", sa.Text(), nullable=False),
        sa.Column("entry_low_paise", sa.BigInteger(), nullable=True),
        sa.Column("entry_high_paise", sa.BigInteger(), nullable=True),
        sa.Column("stop_paise", sa.BigInteger(), nullable=True),
        sa.Column("targets_paise", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("lot_size", sa.Integer(), nullable=False),
        sa.Column("margin_paise", sa.BigInteger(), nullable=False),
        sa.Column("active_from_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("valid_until_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("exit_at_ns", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("exit_at_reason", sa.Text(), nullable=True),
        sa.Column("is_reverse", sa.Boolean(), nullable=False),
        sa.Column("rule_text", sa.Text(), nullable=False),
        sa.Column("targets_hit", sa.Integer(), nullable=False),
        sa.Column("ambiguous_bar", sa.Boolean(), nullable=False),
        sa.Column("gapped_through", sa.Boolean(), nullable=False),
        sa.Column("is_shadow", sa.Boolean(), nullable=False),
        sa.Column("is_closed", sa.Boolean(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("planned_risk_paise", sa.BigInteger(), nullable=False),
        sa.Column("opened_ns", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("gross_pnl_paise", sa.BigInteger(), nullable=False),
        sa.Column("charges_paise", sa.BigInteger(), nullable=False),
        sa.Column("net_pnl_paise", sa.BigInteger(), nullable=False),
        sa.Column("journal_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "group_id", name=op.f("pk_trade_groups")),
        schema="trading",
    )
    op.create_index(
        op.f("ix_trade_groups_account_id_signal_id"),
        "trade_groups",
        ["account_id", "signal_id"],
        unique=False,
        schema="trading",
    )
    op.create_index(
        op.f("ix_trade_groups_account_id_trade_date"),
        "trade_groups",
        ["account_id", "trade_date"],
        unique=False,
        schema="trading",
    )


def downgrade() -> None:
    """Drop every table."""
    op.drop_index(op.f("ix_trade_groups_account_id_trade_date"), table_name="trade_groups", schema="trading")
    op.drop_index(op.f("ix_trade_groups_account_id_signal_id"), table_name="trade_groups", schema="trading")
    op.drop_table("trade_groups", schema="trading")
    op.drop_index(
        "ix_notifications_open",
        table_name="notifications",
        schema="trading",
        postgresql_where="state IN ('WAITING','SENDING')",
    )
    op.drop_table("notifications", schema="trading")
    op.drop_index(
        "ix_trade_events_unsent", table_name="trade_events", schema="trading", postgresql_where="NOT is_sent"
    )
    op.drop_table("trade_events", schema="trading")
    op.drop_table("simulation_trades", schema="trading")
    op.drop_table("simulation_days", schema="trading")
    op.drop_table("simulation_runs", schema="trading")
    op.drop_index(
        "ix_risk_levels_open",
        table_name="risk_levels",
        schema="trading",
        postgresql_where="cleared_ns IS NULL",
    )
    op.drop_table("risk_levels", schema="trading")
    op.drop_table("resume_tokens", schema="trading")
    op.drop_table("replay_positions", schema="trading")
    op.drop_table("preflights", schema="trading")
    op.drop_table("pending_entries", schema="trading")
    op.drop_table("paper_updates", schema="trading")
    op.drop_table("paper_exchange", schema="trading")
    op.drop_index(
        "ix_order_intents_open",
        table_name="order_intents",
        schema="trading",
        postgresql_where="state IN ('PREPARED','SENT','UNKNOWN')",
    )
    op.drop_index(
        op.f("ix_order_intents_account_id_correlation_id"), table_name="order_intents", schema="trading"
    )
    op.drop_table("order_intents", schema="trading")
    op.drop_table("legs", schema="trading")
    op.drop_table("leader_epochs", schema="trading")
    op.drop_table("journal", schema="trading")
    op.drop_index(
        "ix_inbox_open", table_name="inbox", schema="trading", postgresql_where="journal_seq IS NULL"
    )
    op.drop_index(op.f("ix_inbox_account_id_record_id"), table_name="inbox", schema="trading")
    op.drop_table("inbox", schema="trading")
    op.drop_table("heartbeats", schema="trading")
    op.drop_index(
        op.f("ix_executed_trades_account_id_trade_date"), table_name="executed_trades", schema="trading"
    )
    op.drop_table("executed_trades", schema="trading")
    op.drop_index(op.f("ix_decisions_account_id_trade_date_code"), table_name="decisions", schema="trading")
    op.drop_index(op.f("ix_decisions_account_id_signal_id"), table_name="decisions", schema="trading")
    op.drop_table("decisions", schema="trading")
    op.drop_table("day_contexts", schema="trading")
    op.drop_index(
        op.f("ix_crowd_positions_account_id_underlying"), table_name="crowd_positions", schema="trading"
    )
    op.drop_table("crowd_positions", schema="trading")
    op.drop_index(
        op.f("ix_corpus_ledger_account_id_trade_date"), table_name="corpus_ledger", schema="trading"
    )
    op.drop_table("corpus_ledger", schema="trading")
    op.drop_table("corpus_accounts", schema="trading")
    op.drop_index(
        "ix_commands_unaudited",
        table_name="commands",
        schema="trading",
        postgresql_where="ask_audited_at IS NULL OR state <> 'ASKED' AND audited_at IS NULL",
    )
    op.drop_index(
        "ix_commands_open",
        table_name="commands",
        schema="trading",
        postgresql_where="state = 'ASKED'",
    )
    op.drop_table("commands", schema="trading")
    op.drop_table("carry_overs", schema="trading")
    op.drop_table("broker_orders", schema="trading")
    op.drop_table("validated_signals", schema="research")
    op.drop_table("signal_flags", schema="research")
    op.drop_index(op.f("ix_trades_entry_date"), table_name="trades", schema="research")
    op.drop_index(op.f("ix_trades_advisor_id_entry_date"), table_name="trades", schema="research")
    op.drop_table("trades", schema="research")
    op.drop_table("trade_marks", schema="research")
    op.drop_table("trade_legs", schema="research")
    op.drop_table("trial_ledger", schema="research")
    op.drop_table("thin_groups", schema="research")
    op.drop_index(op.f("ix_resolved_signals_received_at"), table_name="resolved_signals", schema="research")
    op.drop_table("resolved_signals", schema="research")
    op.drop_table("quality_results", schema="research")
    op.drop_table("outcome_audit", schema="research")
    op.drop_table("normalised_signals", schema="research")
    op.drop_table("group_metrics", schema="research")
    op.drop_index(op.f("ix_followups_signal_id"), table_name="followups", schema="research")
    op.drop_table("followups", schema="research")
    op.drop_table("excursions", schema="research")
    op.drop_table("equity_curves", schema="research")
    op.drop_table("corpus_replays", schema="research")
    op.drop_table("rulesets", schema="ref")
    op.drop_table("ruleset_rules", schema="ref")
    op.drop_table("regimes", schema="ref")
    op.drop_table("readiness", schema="ref")
    op.drop_table("ruleset_pins", schema="ref")
    op.drop_table("contract_lots", schema="ref")
    op.drop_table("instrument_revisions", schema="ref")
    op.drop_table("instrument_rejects", schema="ref")
    op.drop_index(op.f("ix_instrument_files_source_day"), table_name="instrument_files", schema="ref")
    op.drop_table("instrument_files", schema="ref")
    op.drop_index(op.f("ix_instruments_underlying_category_expiry"), table_name="instruments", schema="ref")
    op.drop_table("instruments", schema="ref")
    op.drop_table("gate_thresholds", schema="ref")
    op.drop_table("alerts", schema="ref")
    op.drop_index(op.f("ix_uploads_sha256"), table_name="uploads", schema="raw")
    op.drop_table("uploads", schema="raw")
    op.drop_table("collection_positions", schema="raw")
    op.drop_index("ix_signal_log_source_key", table_name="signal_log", schema="raw")
    op.drop_index("ix_signal_log_changed", table_name="signal_log", schema="raw")
    op.drop_table("signal_log", schema="raw")
    op.drop_table("raw_signals", schema="raw")
    op.drop_index(op.f("ix_quarantine_upload_id_row_number"), table_name="quarantine", schema="raw")
    op.drop_index(op.f("ix_quarantine_trade_date_stage"), table_name="quarantine", schema="raw")
    op.drop_table("quarantine", schema="raw")
    op.drop_index("uq_landed_rows_record_revision", table_name="landed_rows", schema="raw")
    op.drop_index(op.f("ix_landed_rows_trade_date"), table_name="landed_rows", schema="raw")
    op.drop_table("landed_rows", schema="raw")
    op.drop_table("log", schema="audit")
    op.drop_index(op.f("ix_sessions_login"), table_name="sessions", schema="access")
    op.drop_table("sessions", schema="access")
    op.drop_table("users", schema="access")
    op.drop_table("login_failures", schema="access")
