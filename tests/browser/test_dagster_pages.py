"""Dagster's pages as a trader and an operator use them: by clicks in a real browser."""

import csv
import re
import shutil
from collections.abc import Iterator
from datetime import date

import pytest
from playwright.sync_api import Locator, Page, expect

from assets._shared.dress import GROUPS
from tests.support.dagster_desk import FIRST, LAST, NEXT, Desk

pytestmark = [pytest.mark.integration, pytest.mark.browser, pytest.mark.slow]

DAY = date(2025, 4, 9)
SHOWN_MS = 90_000
"""Longest wait for a part of a page; on an idle machine it takes some two seconds."""
RUN_MS = 400_000
"""Longest wait for a run; on an idle machine a day takes some fifteen seconds."""
JUDGED = (
    *("raw_signals", "validated_signals", "normalised_signals", "resolved_signals"),
    *("trades", "excursions", "group_metrics"),
)
MARTS = ("rules_6d", "mini_rules", "adverse_rules", "eligible_rules", "rule_changes", "advis…_leaderboard")
"""As the graph writes them: it shortens long names in their middle."""


@pytest.fixture(autouse=True, scope="module")
def _patience() -> Iterator[None]:
    expect.set_options(timeout=SHOWN_MS)
    yield
    expect.set_options(timeout=None)


def group_box(page: Page, group: str) -> Locator:
    """Give the box of a closed group in the graph."""
    return page.locator(f'svg [data-tooltip="{group}"]')


def entry(page: Page, key: str) -> Locator:
    """Give the row of a metadata table."""
    return page.get_by_role("row").filter(has_text=key)


def runs(page: Page, *texts: str) -> Locator:
    """Give the lines of the list of runs that hold all these texts; they carry no role to ask for."""
    found = page.locator('[class*="VirtualizedTable_row"]')
    for text in texts:
        found = found.filter(has_text=text)
    return found


def test_the_first_page_opens_without_a_dialog_over_it(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="Lineage").click()
    expect(page.get_by_text("Global asset lineage")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_lineage_holds_nine_steps_and_the_marts_in_one_graph(page: Page) -> None:
    page.goto("/asset-groups")
    for group in ("sources", *GROUPS.values()):
        expect(group_box(page, group)).to_be_visible()
    group_box(page, GROUPS[9]).click()
    for mart in MARTS:
        expect(page.locator("svg").get_by_text(mart, exact=True)).to_be_visible()
    expect(group_box(page, GROUPS[8])).to_be_visible()


def test_a_day_shows_its_rows_its_quality_and_its_picture(page: Page, desk: Desk) -> None:
    ((rows,),) = desk.ask("SELECT count(*) FROM research.trades WHERE trade_date = %s", DAY)
    assert rows > 0
    page.goto(f"/assets/trades?view=partitions&partition={DAY}")
    expect(page.get_by_text("Latest materialization")).to_be_visible()
    expect(entry(page, "dagster/partition_row_count")).to_contain_text(str(rows))
    expect(entry(page, "quality")).to_contain_text(re.compile(r"all \d+ expectations hold"))
    expect(entry(page, "price_coverage")).to_contain_text("all 4 expectations hold")
    expect(entry(page, "run_days")).to_contain_text(f"{FIRST} to {LAST}")
    entry(page, "picture").get_by_text("[Show Markdown]").click()
    picture = page.get_by_role("dialog").get_by_alt_text("Ideas by outcome")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth") == 460


@pytest.mark.parametrize("table", JUDGED)
def test_a_table_shows_the_verdict_of_its_blocking_check(page: Page, table: str) -> None:
    page.goto(f"/assets/{table}?view=checks")
    if table == "trades":
        expect(page.get_by_text("Checks (2)")).to_be_visible()
        expect(page.get_by_text("This is a non-blocking asset check.")).to_be_visible()
        expect(page.get_by_text("prices of 8 of 8 days are complete")).to_be_visible()
        page.get_by_text("quality", exact=True).first.click()
    else:
        expect(page.get_by_text("Checks (1)")).to_be_visible()
    expect(page.get_by_text("This is a blocking asset check.")).to_be_visible()
    expect(page.get_by_text("Passed", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile(rf"^{table}: all \d+ expectations hold"))).to_be_visible()


def test_a_past_day_is_made_again_by_clicks_and_no_byte_changes(page: Page, desk: Desk) -> None:
    before = desk.tables()
    page.goto("/locations/propdesk/jobs/signals_to_excursions")
    page.get_by_role("button", name="Materialize all").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Show all partitions").click()
    chosen = dialog.get_by_role("textbox").first
    chosen.fill(DAY.isoformat())
    chosen.press("Enter")
    dialog.get_by_role("button", name="Launch 1 run").click()
    expect(dialog).to_have_count(0)

    page.goto("/runs")
    run = runs(page, "signals_to_excursions", f"partition: {DAY}")
    expect(run).to_contain_text("Success", timeout=RUN_MS)
    assert run.count() == 1
    assert desk.tables() == before


def test_a_file_dropped_into_the_upload_folder_is_taken_and_computed(page: Page, desk: Desk) -> None:
    with desk.waiting.open(encoding="utf-8", newline="") as file:
        dropped = sum(1 for _ in csv.DictReader(file))
    assert dropped > 0
    page.goto("/runs")
    expect(runs(page, "Success").first).to_be_visible()
    shutil.copy(desk.waiting, desk.settings.upload_dir / "calls.csv")

    expect(runs(page, "upload_folder", "Success")).to_be_visible(timeout=RUN_MS)
    expect(runs(page, "after_upload", "Success")).to_be_visible(timeout=RUN_MS)
    assert (desk.settings.upload_dir / "accepted" / "calls.csv").exists()
    ((read, accepted, status),) = desk.ask(
        "SELECT rows_read, rows_accepted, status FROM raw.uploads WHERE file_name = 'calls.csv'"
    )
    assert (read, status) == (dropped, "ACCEPTED")
    assert accepted > 0
    ((trades, rules),) = desk.ask(
        "SELECT (SELECT count(*) FROM research.trades WHERE trade_date = %s), "
        "(SELECT count(*) FROM marts.mini_rules WHERE as_of_date = %s)",
        NEXT, NEXT,
    )  # fmt: skip
    assert trades > 0
    assert rules > 0
