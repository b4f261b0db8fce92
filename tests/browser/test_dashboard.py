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
from playwright.sync_api import Browser, Page, expect
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
from web.ui.pages import PAGES
from web.ui.people import COOKIE
from web.ui.words import listings

pytestmark = [pytest.mark.integration, pytest.mark.browser, pytest.mark.slow]

HOSTILE = "<img src=x onerror=\"document.title='owned'\">{{7*7}}"
WAIT_MS = 30_000
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
    with psycopg.connect(psycopg_dsn(pg_url), autocommit=True) as connection:
        make_marts(connection)
        drop_checks(connection)
        tables = {listing.source for listing in listings().values() if " " not in listing.source}
        for table in {*tables, "marts.rules_6d"} - {
            "trading.risk_levels",
            "trading.trade_events",
            "audit.log",
        }:
            fill(connection, table, [hostile_row(connection, table, number) for number in (1, 2)])
        desk = open_desk(pg_role_urls, from_ns(SystemClock().now_ns()))
        with process(tmp_path_factory.mktemp("home"), pg_role_urls) as address:
            yield House(desk, connection, address)
        desk.close()


@contextmanager
def process(home: Path, urls: dict[str, str]) -> Iterator[str]:
    """Serve as `up` does; there is one NiceGUI in a process."""
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
            wait_until_answered(serving, address)
            yield address
        finally:
            serving.terminate()


def wait_until_answered(serving: subprocess.Popen[bytes], address: str) -> None:
    pause, end = threading.Event(), time.monotonic() + START_S
    while surface_obstacle(address) is not None:
        assert serving.poll() is None
        assert time.monotonic() < end
        pause.wait(0.2)


@pytest.fixture
def page(browser: Browser, house: House) -> Iterator[Page]:
    """A page that no fault of the browser's may pass through."""
    context = browser.new_context(base_url=house.address, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(WAIT_MS)
    shown, faults = context.new_page(), Faults()
    faults.watch(shown, house.address)
    yield shown
    context.close()
    assert faults.said == []


def let_in(page: Page, house: House, role: UserRole) -> None:
    """Give a browser a session without the form, which one test goes through."""
    parts = house.desk.parts
    with begin(parts.access) as connection:
        session = open_session(connection, role.value.lower(), parts.session_time, parts.actor("test"))
    page.context.add_cookies([{"name": COOKIE, "value": parts.tokens.page(session), "url": house.address}])


def test_every_page_shows_hostile_text_as_text_in_both_themes_and_widths(page: Page, house: House) -> None:
    let_in(page, house, UserRole.ADMIN)
    named = quote(f"{HOSTILE} 1", safe="")
    addresses = {
        "/rule": f"/rule?rule={named}",
        "/advisors/{advisor_id}": f"/advisors/{named}",
        "/signals/{signal_id}": f"/signals/{named}",
    }
    hurt: list[str] = []
    for spec in PAGES:
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(addresses.get(spec.path, spec.path.replace("{run_id}", "none")))
        page.wait_for_function(SETTLED)
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": 390, "height": 844})
        expect(page.get_by_role("heading", level=1)).to_have_text(spec.title)
        if page.locator("img[src=x]").count() or page.title() != f"{spec.title} · propdesk":
            hurt.append(f"{spec.path} took text for HTML")
        if page.locator("text=Something broke here").count():
            hurt.append(f"{spec.path} broke")
        if page.evaluate("document.documentElement.scrollWidth") > 390:
            hurt.append(f"{spec.path} is wider than a phone")
    assert hurt == []


def test_what_happens_shows_at_once_and_whoever_is_shut_out_is_out(page: Page, house: House) -> None:
    page.goto("/login")
    page.get_by_label("Login").fill("viewer")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_function(SETTLED)
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
    page.goto("/rules")
    link = page.locator('.ag-row [col-id="rule_text"] a').first
    expect(link).to_be_visible()
    page.locator('.ag-row [col-id="rule_text"]').first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Rule")
