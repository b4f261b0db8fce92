"""The look-ahead test compares every table there is, and hands no address of the desk on."""

from datetime import date
from pathlib import Path

import pytest

from adapters.db.schema import metadata
from adapters.settings import Settings
from assets.dbt import RUNNER
from orchestration.lookahead import SHOWN_MAX, Difference, TableReport, compared_parts, rerun_environment

BY_NOBODY = {"research.quality_results", "research.trial_ledger"}
"""Verdicts on the rows of other tables, which are compared themselves; each names the run that gave it. And
what was ever tried on a day, also by runs that were put right since: rows are only added."""
OF_STEP_1 = {"raw.raw_signals"}
OF_OTHERS = {
    "ref.alerts", "ref.contract_lots", "ref.instruments", "ref.instrument_files", "ref.instrument_rejects",
    "ref.instrument_revisions", "ref.readiness", "ref.ruleset_pins", "ref.ruleset_rules", "ref.rulesets",
}  # fmt: skip
"""Read by the pipeline, or written by pre-market."""


def test_every_table_of_the_pipeline_is_compared() -> None:
    found = {part.table: part for part in compared_parts()}
    stored = {name for name in metadata.tables if name.startswith(("research.", "ref."))}
    assert set(found) >= stored - BY_NOBODY - OF_STEP_1 - OF_OTHERS
    models = [n for n in RUNNER.manifest["nodes"].values() if n["resource_type"] == "model"]
    assert models
    for model in models:
        is_stored = model["config"]["materialized"] == "incremental"
        name = f"{model['schema']}.{model['name']}"
        assert (name in found) == (is_stored or model["schema"] == "marts"), name
    assert set(found) - stored - {"raw.quarantine"} == {
        n for n in found if n.startswith(("marts.", "interm"))
    }


def test_every_part_has_a_key_and_is_of_a_day_where_its_table_is() -> None:
    for part in compared_parts():
        assert part.keys, part
        table = metadata.tables.get(part.table)
        if table is not None:
            assert set(part.keys) == {column.name for column in table.primary_key}
        assert part.day_column in (("trade_date",) if part.table == "raw.quarantine" else
                                   (None,) if part.table == "ref.gate_thresholds" else
                                   ("as_of_date", "trade_date")), part  # fmt: skip


def test_the_steps_get_the_settings_but_no_address_of_the_desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPDESK_POSTGRES_URL", "postgresql+psycopg://owner:secret-a@desk/propdesk")
    monkeypatch.setenv("PROPDESK_DHAN_DATA_TOKEN", "secret-b")
    desk = Settings(
        _env_file=None,
        home=tmp_path / "desk",
        postgres_pipeline_url="postgresql+psycopg://pipeline:word@desk/propdesk",
        window_days=60,
        first_day=date(2024, 1, 1),
        category_allocations={"NSE_EQ": 0.5},
    )
    found = rerun_environment(desk, tmp_path / "scratch", "propdesk_lookahead")
    assert not any("secret" in value for value in found.values())
    assert found["PROPDESK_WINDOW_DAYS"] == "60"
    assert found["PROPDESK_PRICE_STORE_URL"] == str(tmp_path / "desk" / "prices")
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    theirs = Settings(_env_file=None)
    assert theirs.database_url("pipeline").endswith("@desk/propdesk_lookahead")
    assert theirs.database_url("reader").endswith("@desk/propdesk_lookahead")
    assert theirs.home == tmp_path / "scratch"
    assert theirs.upload_dir == tmp_path / "scratch" / "uploads"
    assert (theirs.first_day, theirs.category_allocations) == (desk.first_day, desk.category_allocations)


def test_a_report_names_the_first_rows_and_counts_all() -> None:
    report = TableReport("research.trades")
    rows = [Difference(date(2025, 6, 4), str(n), ("a",), n == 0) for n in range(SHOWN_MAX + 2)]
    report.add(10, rows[:1])
    report.add(20, rows[1:])
    assert (report.rows, report.differing, report.revised) == (30, SHOWN_MAX + 2, 1)
    assert report.first == rows[:SHOWN_MAX]
