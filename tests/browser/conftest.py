"""A small running system and a browser in front of it; without a Chromium the tests are skipped."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, Response, sync_playwright

from runtime.servers import ServerSet
from tests.support.dagster_desk import FIRST, Desk, dagster_database, running_desk
from tests.support.desk_settings import desk_settings

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WAIT_MS = 90_000
"""Longest wait for one thing on a page; a page on an idle machine takes two seconds."""
_PHASES = pytest.StashKey[dict[str, bool]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember which phases of a test failed, so that its page can be photographed."""
    report: Any = yield
    item.stash.setdefault(_PHASES, {})[report.when] = report.failed
    return report


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the system's browser; nothing is ever downloaded."""
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser here: install {PROGRAMS[0]} with the system's package manager")
    return found


@pytest.fixture(scope="module")
def desk(
    chromium: str, servers: ServerSet, pg_role_urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """Dagster with two weeks of a sample market, backfilled."""
    with dagster_database(servers, "dagster_browser") as dagster_url:
        settings = desk_settings(
            tmp_path_factory.mktemp("desk") / "home",
            pg_role_urls,
            redis_url=servers.redis_url,
            mongo_url=servers.mongo_url,
            mongo_database="browser",
            dagster_postgres_url=dagster_url,
            first_day=FIRST,
        )
        with running_desk(settings) as desk:
            yield desk


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """The system's Chromium without a window."""
    with sync_playwright() as playwright:
        # A sandbox within a container, or as root, is refused by the kernel; no GPU is looked for.
        arguments = ["--no-sandbox", "--disable-gpu"]
        running = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield running
        running.close()


@dataclass(slots=True)
class Faults:
    """What went wrong in a page, and what it asked of other machines."""

    said: list[str] = field(default_factory=list)

    def watch(self, page: Page, address: str) -> None:
        """Listen to a page that shows ``address``."""
        page.on("console", lambda message: self._note(message.type == "error", f"console: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"script: {error}"))
        page.on("response", lambda answer: self._note(answer.status >= 400, _words(answer)))
        page.on("request", lambda request: self._note(_is_foreign(request, address), f"asked {request.url}"))

    def _note(self, is_fault: bool, words: str) -> None:
        if is_fault:
            self.said.append(words)


def _words(answer: Response) -> str:
    return f"{answer.status} from {answer.url}"


def _is_foreign(request: Request, address: str) -> bool:
    return not request.url.startswith((address, address.replace("http:", "ws:"), "data:", "blob:"))


@pytest.fixture
def page(browser: Browser, desk: Desk, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A fresh page in IST; its faults fail the test, and a failed test leaves its picture in tmp_path."""
    context = browser.new_context(
        base_url=desk.address, viewport={"width": 1440, "height": 900}, timezone_id="Asia/Kolkata"
    )
    context.set_default_timeout(WAIT_MS)
    shown, faults = context.new_page(), Faults()
    faults.watch(shown, desk.address)
    yield shown
    if faults.said or request.node.stash.get(_PHASES, {}).get("call"):
        picture = tmp_path / "failed.png"
        shown.screenshot(path=picture)
        request.node.add_report_section("teardown", "picture", f"The page as it was: {picture}")
    context.close()
    assert faults.said == []
