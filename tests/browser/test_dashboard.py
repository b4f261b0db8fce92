"""Every page of the dashboard in a real browser, over tables full of hostile text."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect
from psycopg.types.json import Jsonb

from adapters.clock import SystemClock
from adapters.db.engine import begin, psycopg_dsn
from adapters.db.repos.events import CHANNEL
from adapters.db.repos.users import end_sessions, open_session
from adapters.settings import CLONE_ROOT
from cli.up_surfaces import surface_obstacle
from propdesk.core.clock import from_ns
from propdesk.model.user import UserRole
from runtime.ports import LOOPBACK
from tests.browser.conftest import Faults
from tests.support.marts import fill, make_marts
from tests.support.rows import any_row, drop_checks
from tests.support.web_api import KEY, PASSWORD, Desk, open_desk
from web.ui.frame import PageSpec
from web.ui.pages import PAGES
from web.ui.people import COOKIE
from web.ui.words import listings

pytestmark = [pytest.mark.integration, pytest.mark.browser, pytest.mark.slow]

HOSTILE = "<img src=x onerror=\"document.title='owned'\">{{7*7}}"
WIDE: ViewportSize = {"width": 1000, "height": 700}
WAIT_MS = 30_000
POLL_MS = 100
"""Asking with each frame, which is the default, lays out the page sixty times a second."""
START_S = 120.0
SETTLED = (
    "document.querySelector('.link.on') && !document.body.innerText.includes('Loading …')"
    " && [...document.querySelectorAll('.grid-state')].every(place => place.innerText)"
)


@dataclass
class House:
    """The dashboard, its database and its address."""

    desk: Desk
    connection: psycopg.Connection[Any]
    address: str

    def commands(self) -> list[tuple[Any, ...]]:
        """Commands that were asked here, not those of the rows that fill the table."""
        return self.connection.execute(
            "SELECT command_id, asked_by, role, door, kind, arguments FROM trading.commands "
            "WHERE asked_by NOT LIKE '<%%' ORDER BY command_id"
        ).fetchall()

    def ring(self) -> None:
        self.connection.execute(f"NOTIFY {CHANNEL}")


def hostile_row(connection: psycopg.Connection[Any], table: str, number: int) -> dict[str, object]:
    row = any_row(connection, table, number)
    for name, value in row.items():
        if isinstance(value, str) and value.startswith("text "):
            row[name] = f"{HOSTILE} {number}"
        elif isinstance(value, Jsonb):
            row[name] = Jsonb({"n": HOSTILE})
        elif isinstance(value, list) and value and isinstance(value[0], str):
            row[name] = [HOSTILE]
    known = {"trust_flag": None, "candidates": Jsonb([{"rule_text": HOSTILE}]), "profile": "desk"}
    return {name: known.get(name, value) if name in known else value for name, value in row.items()}


@pytest.fixture(scope="module")
def house(
    chromium: str, pg_url: str, pg_role_urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    with (
        process(tmp_path_factory.mktemp("home"), pg_role_urls) as (serving, address),
        psycopg.connect(psycopg_dsn(pg_url), autocommit=True) as connection,
    ):
        fill_with_hostile_rows(connection)
        desk = open_desk(pg_role_urls, from_ns(SystemClock().now_ns()))
        wait_until_answered(serving, address)
        yield House(desk, connection, address)
        desk.close()


def fill_with_hostile_rows(connection: psycopg.Connection[Any]) -> None:
    make_marts(connection)
    drop_checks(connection)
    tables = {listing.source for listing in listings().values() if " " not in listing.source}
    left = {"trading.trade_events", "trading.risk_levels", "audit.log"}  # alerts make events of themselves
    for table in sorted({*tables, "marts.rules_6d"} - left):
        fill(connection, table, [hostile_row(connection, table, number) for number in (1, 2)])
    connection.execute("ALTER TABLE trading.commands ALTER command_id RESTART WITH 3")


@contextmanager
def process(home: Path, urls: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Serve as `up` does; there is one NiceGUI in a process, which comes up while tables are filled."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        port = probe.getsockname()[1]
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PROPDESK_")},
        "PROPDESK_HOME": str(home),
        "PROPDESK_POSTGRES_URL": urls["reader"],
        "PROPDESK_POSTGRES_READER_URL": urls["reader"],
        "PROPDESK_POSTGRES_ACCESS_URL": urls["access"],
        "PROPDESK_API_SECRET": KEY,
    }
    address = f"http://{LOOPBACK}:{port}"
    command = [sys.executable, "-m", "cli", "ui", "--port", str(port)]
    with subprocess.Popen(command, env=env, cwd=CLONE_ROOT, stderr=subprocess.DEVNULL) as serving:
        try:
            yield serving, address
        finally:
            serving.terminate()


def wait_until_answered(serving: subprocess.Popen[bytes], address: str) -> None:
    pause, end = threading.Event(), time.monotonic() + START_S
    while surface_obstacle(address) is not None:
        assert serving.poll() is None
        assert time.monotonic() < end
        pause.wait(0.2)


@pytest.fixture(scope="module")
def context(browser: Browser, house: House) -> Iterator[BrowserContext]:
    """One for all tests: scripts are read and compiled once."""
    context = browser.new_context(base_url=house.address, viewport=WIDE)
    context.set_default_timeout(WAIT_MS)
    yield context
    context.close()


@pytest.fixture
def faults() -> Iterator[Faults]:
    """What no page of a test may say."""
    faults = Faults()
    yield faults
    assert faults.said == []


@pytest.fixture
def page(context: BrowserContext, house: House, faults: Faults) -> Iterator[Page]:
    """A page of a browser that nobody is logged in with."""
    context.clear_cookies()
    shown = context.new_page()
    faults.watch(shown, house.address)
    yield shown
    shown.close()


def let_in(page: Page, house: House, role: UserRole) -> None:
    """Give a browser a session without the form, which one test goes through."""
    parts = house.desk.parts
    with begin(parts.access) as connection:
        session = open_session(connection, role.value.lower(), parts.session_time, parts.actor("test"))
    page.context.add_cookies([{"name": COOKIE, "value": parts.tokens.page(session), "url": house.address}])


def test_every_page_shows_hostile_text_as_text_in_both_themes_and_widths(
    page: Page, house: House, faults: Faults
) -> None:
    let_in(page, house, UserRole.ADMIN)
    named = quote(f"{HOSTILE} 1", safe="")
    addresses = {
        "/rule": f"/rule?rule={named}",
        "/advisors/{advisor_id:path}": f"/advisors/{named}",
        "/signals/{signal_id:path}": f"/signals/{named}",
    }
    tabs = [page, page.context.new_page()]  # one loads while the other is looked at
    faults.watch(tabs[1], house.address)
    hurt: list[str] = []
    for number, spec in enumerate((*PAGES, None)):
        if spec is not None:
            tab = tabs[number % 2]
            address = addresses.get(spec.path, spec.path.replace("{run_id}", "none"))
            tab.goto(address, wait_until="commit")
            tab.set_viewport_size(WIDE)
            tab.emulate_media(color_scheme="light")
        if number > 0:
            hurt += faults_of(tabs[(number - 1) % 2], PAGES[number - 1])
    tabs[1].close()
    assert hurt == []


def faults_of(page: Page, spec: PageSpec) -> list[str]:
    page.wait_for_function(SETTLED, polling=POLL_MS)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.get_by_role("heading", level=1)).to_have_text(spec.title)
    found = []
    if page.locator("img[src=x]").count() or page.title() != f"{spec.title} · propdesk":
        found.append(f"{spec.path} took text for HTML")
    if page.locator("text=Something broke here").count():
        found.append(f"{spec.path} broke")
    if page.evaluate("document.documentElement.scrollWidth") > 390:
        found.append(f"{spec.path} is wider than a phone")
    return found


ASKED_BY_A_FILTER = """
async ([kind, model]) => {
  const source = propdesk.source("x", ["a=1"], {});
  const api = {
    getColumnDef: () => ({ context: { kind } }), getColumns: () => [], showNoRowsOverlay() {},
    hideOverlay() {},
  };
  propdesk.ready("x", { api });
  const kept = window.fetch;
  let asked = "";
  window.fetch = async (address) => {
    asked = address;
    return { ok: true, status: 200, json: async () => ({ items: [], next_cursor: null }) };
  };
  const nothing = () => {};
  const filterModel = { c: { filterType: "date", ...model } };
  try {
    await source.getRows({ startRow: 0, endRow: 1, sortModel: [], filterModel, successCallback: nothing,
      failCallback: nothing });
  } finally {
    window.fetch = kept;
  }
  return new URLSearchParams(asked.split("?")[1]).getAll("filter");
}
"""
FIRST, LAST = "2025-06-27 00:00:00", "2025-06-30 00:00:00"


DAYS: list[tuple[str, dict[str, str], list[str]]] = [
    (
        "moment",
        {"type": "inRange", "dateFrom": FIRST, "dateTo": LAST},
        ["c>=2025-06-27T00:00:00+05:30", "c<2025-07-01T00:00:00+05:30"],
    ),
    ("moment", {"type": "greaterThan", "dateFrom": LAST}, ["c>=2025-07-01T00:00:00+05:30"]),
    ("moment", {"type": "lessThan", "dateFrom": LAST}, ["c<2025-06-30T00:00:00+05:30"]),
    ("day", {"type": "inRange", "dateFrom": FIRST, "dateTo": LAST}, ["c>=2025-06-27", "c<=2025-06-30"]),
    ("day", {"type": "greaterThan", "dateFrom": LAST}, ["c>2025-06-30"]),
]


def test_a_day_is_all_its_moments_and_a_file_has_the_filters_before_rows_came(
    page: Page, house: House
) -> None:
    let_in(page, house, UserRole.VIEWER)
    page.route("**/data/rules*", lambda route: None)  # rows never come
    page.goto("/rules?level=none")
    page.wait_for_function("document.querySelector('.link.on')", polling=POLL_MS)
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    assert "filter=level%3Dnone" in saved.value.url
    for kind, model, asked in DAYS:
        assert page.evaluate(ASKED_BY_A_FILTER, [kind, model]) == ["a=1", *asked], (kind, model)


def test_what_happens_shows_at_once_and_whoever_is_shut_out_is_out(page: Page, house: House) -> None:
    page.goto("/login")
    page.get_by_label("Login").fill("viewer")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_function(SETTLED, polling=POLL_MS)
    level = hostile_row(house.connection, "trading.risk_levels", 1)
    level |= {"level": "LOCKED", "actor": "asha", "reason": "drill", "cleared_ns": None}
    fill(house.connection, "trading.risk_levels", [level])
    house.ring()
    expect(page.get_by_text("by asha: drill")).to_be_visible()
    with begin(house.desk.parts.access) as connection:
        end_sessions(connection, UserRole.VIEWER.value.lower(), "DISABLED", house.desk.parts.now())
    house.ring()
    expect(page.get_by_label("Password")).to_be_visible()


def test_a_rule_is_found_by_filter_and_opened_with_the_keyboard(page: Page, house: House) -> None:
    let_in(page, house, UserRole.VIEWER)
    page.goto("/rules?level=none")
    expect(page.locator(".grid-state")).to_have_text("No row fits.")
    page.locator(".q-select", has_text="Level").get_by_role("button", name="Clear").click()
    cell = page.locator('.ag-row [col-id="rule_text"]').first
    expect(cell.locator("a")).to_be_visible()
    cell.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Rule")


def test_a_command_is_asked_after_a_confirmation_and_its_answer_shows(page: Page, house: House) -> None:
    let_in(page, house, UserRole.TRADER)
    page.goto("/commands?ask=KILL&level=LIQUIDATING&scope=")
    page.get_by_label("Reason").fill("odd fills")
    page.keyboard.press("Enter")
    expect(page.get_by_text("'' is no scope")).to_be_visible()  # and not everything
    page.get_by_label("Scope").fill("advisor:A01")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Everything of the scope is closed")
    assert house.commands() == []
    page.get_by_role("button", name="Ask: KILL").dblclick()
    newest = page.get_by_role("region", name="Newest commands")
    expect(newest).to_contain_text("holds entries back already")
    arguments = {"level": "LIQUIDATING", "scope": "ADVISOR:A01", "reason": "odd fills"}
    ((number, *asked),) = house.commands()
    assert asked == ["ui:trader", "TRADER", "UI", "KILL", arguments]
    house.connection.execute(
        "UPDATE trading.commands SET state = 'DONE', answer = %s, answered_at = now(), journal_date = now(), "
        "journal_seq = 1 WHERE command_id = %s",
        (HOSTILE, number),
    )
    house.ring()
    expect(newest).to_contain_text(HOSTILE)
