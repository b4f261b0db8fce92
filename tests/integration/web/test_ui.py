"""The door of the dashboard, and what lies behind it without a browser."""

import asyncio
import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest
from fastapi.testclient import TestClient
from nicegui import Client

from adapters.db.engine import DatabaseUnreachable, begin, psycopg_dsn
from adapters.db.repos.books import read_positions
from adapters.db.repos.pages import PAGE_ROWS_MAX, make_query
from adapters.db.repos.users import end_session, open_session, read_session
from adapters.settings import Settings
from propdesk.model.command import Door
from propdesk.model.user import UserRole
from tests.support.web_api import PASSWORD, Desk, open_desk
from web.api.commands import ask_in_name_of
from web.api.events import Bell
from web.api.limits import BODY_BYTES_MAX
from web.api.login import ATTEMPTS_PER_MINUTE
from web.api.problems import Problem
from web.ui.app import create_app
from web.ui.grid import file_text
from web.ui.pages import PAGES
from web.ui.people import COOKIE
from web.ui.visit import House, SessionOver, Visit
from web.ui.words import listings

pytestmark = pytest.mark.integration
HOST = "http://testserver"


@pytest.fixture(scope="module")
def desk(pg_role_urls: dict[str, str]) -> Iterator[Desk]:
    desk = open_desk(pg_role_urls)
    desk.app = create_app(desk.parts, Settings(_env_file=None), None)
    yield desk
    desk.close()


@pytest.fixture(scope="module")
def running(desk: Desk) -> Iterator[TestClient]:
    with TestClient(desk.app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


@pytest.fixture
def client(desk: Desk, running: TestClient) -> TestClient:
    """A browser that nobody used before."""
    desk.parts.limiter.storage.reset()
    running.cookies.clear()
    return running


def enter(client: TestClient, login: str = "viewer", next: str = "/", **headers: str) -> httpx.Response:
    given = {"login": login, "password": PASSWORD, "next": next}
    return client.post("/login", data=given, headers={"Origin": HOST, **headers})


def let_in(desk: Desk, client: TestClient, role: UserRole) -> str:
    with begin(desk.parts.access) as connection:
        session = open_session(
            connection, role.value.lower(), desk.parts.session_time, desk.parts.actor("test")
        )
    client.cookies.set(COOKIE, desk.parts.tokens.page(session))
    return session.session_id


@pytest.mark.parametrize("path", [page.path for page in PAGES])
def test_every_page_leads_a_stranger_to_the_door(client: TestClient, path: str) -> None:
    answer = client.get(re.sub(r"\{.*\}", "x", path))
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")


def test_the_session_is_kept_where_no_script_and_no_other_site_gets_it(client: TestClient) -> None:
    answer = enter(client, next="/rules?sort=n")
    assert (answer.status_code, answer.headers["location"]) == (303, "/rules?sort=n")
    kept = answer.headers["set-cookie"].lower()
    assert all(word in kept for word in ("httponly", "samesite=strict", "path=/"))
    assert "frame-ancestors 'none'" in client.get("/").headers["content-security-policy"]


def test_a_login_gives_a_new_session_and_ends_the_one_before(desk: Desk, client: TestClient) -> None:
    before = let_in(desk, client, UserRole.VIEWER)
    planted = client.cookies[COOKIE]
    kept = enter(client).headers["set-cookie"]
    assert kept.startswith(f"{COOKIE}=")
    assert planted not in kept
    with begin(desk.parts.access) as connection:
        assert read_session(connection, before, desk.parts.now()) is None


def test_a_stranger_leaves_nothing_behind(client: TestClient) -> None:
    """A page that NiceGUI builds lives for a minute, looked at or not."""
    before = len(Client.instances)
    for page in PAGES:
        client.get(page.path)
    for path in ("/nothing", "/rules/x/y", "/data/nothing", "/_nicegui/nothing"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "object-src 'none'" in answer.headers["content-security-policy"]
    assert len(Client.instances) == before


def test_a_page_is_there_for_who_is_logged_in(desk: Desk, client: TestClient) -> None:
    let_in(desk, client, UserRole.VIEWER)
    before = len(Client.instances)
    assert client.get("/rules").status_code == 200
    assert len(Client.instances) == before + 1
    assert client.get("/advisors/A%2FB").status_code == 200  # ids are whatever a source calls them


@pytest.mark.parametrize(
    "said", [{"X-Forwarded-Proto": "https"}, {"Origin": "https://testserver"}], ids=["proxy", "browser"]
)
def test_a_cookie_given_behind_tls_is_secure(client: TestClient, said: dict[str, str]) -> None:
    """No proxy is trusted by default, so the scheme is http to us whatever the browser sees."""
    assert "secure" in enter(client, **said).headers["set-cookie"].lower()


def test_a_cookie_given_on_this_machine_is_kept_without_tls(client: TestClient) -> None:
    assert "secure" not in enter(client).headers["set-cookie"].lower()


@pytest.mark.parametrize(("error", "status"), [(DatabaseUnreachable("away"), 503), (ValueError("x"), 500)])
def test_a_page_that_cannot_be_made_says_so_to_a_person(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("web.ui.people.session_of", fail)
    page = client.get("/rules", headers={"Accept": "text/html,*/*"})
    assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert 'role="alert"' in page.text
    data = client.get("/data/rules", headers={"Accept": "application/json"})
    assert (data.status_code, data.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize("has_length", [True, False])
def test_a_strangers_body_has_a_limit(client: TestClient, has_length: bool) -> None:
    """Each form field may hold a megabyte and a thousand may come: none of it is kept."""
    field = b"f=" + b"x" * BODY_BYTES_MAX
    headers = {"Origin": HOST, "Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/login", content=field if has_length else iter([field]), headers=headers)
    assert answer.status_code == 413


def test_a_strangers_file_is_refused_before_it_is_stored(client: TestClient) -> None:
    sent = {"anything": ("x", b"x" * 2 * BODY_BYTES_MAX)}
    answer = client.post("/login", files=sent, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 413


def test_pages_may_speak_to_no_other_machine(client: TestClient) -> None:
    policy = client.get("/login").headers["content-security-policy"]
    rules = {words[0]: words[1:] for words in map(str.split, policy.split(";"))}
    assert rules["connect-src"] == rules["default-src"] == ["'self'"]
    assert not {"ws:", "wss:", "http:", "https:", "*"} & {word for words in rules.values() for word in words}


@pytest.mark.parametrize("target", ["//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb"])
def test_the_door_leads_to_no_other_machine(client: TestClient, target: str) -> None:
    assert enter(client, next=target).headers["location"] == "/"


def test_a_form_of_another_site_logs_nobody_in(client: TestClient) -> None:
    answer = enter(client, Origin="https://evil.example")
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_what_was_typed_never_becomes_html(client: TestClient) -> None:
    answer = client.get("/login", params={"next": '/"><script>alert(1)</script>'})
    assert "<script" not in answer.text


def test_guessing_is_counted_as_the_api_counts_it(client: TestClient) -> None:
    given = {"login": "nobody", "password": "a wrong guess", "next": "/"}
    codes = [
        client.post("/login", data=given, headers={"Origin": HOST}).status_code
        for _ in range(ATTEMPTS_PER_MINUTE + 1)
    ]
    assert codes[:5] == [401] * 5  # then the login is locked
    assert set(codes[5:]) == {429}


def test_a_log_out_ends_the_session(desk: Desk, client: TestClient) -> None:
    session_id = let_in(desk, client, UserRole.ADMIN)
    client.post("/logout", headers={"Origin": "https://evil.example"})
    assert client.get("/data/rules").status_code == 200
    client.post("/logout", headers={"Origin": HOST})
    with begin(desk.parts.access) as connection:
        assert read_session(connection, session_id, desk.parts.now()) is None


@pytest.mark.parametrize("role", list(UserRole))
def test_grids_get_the_tables_that_the_role_may_see(desk: Desk, client: TestClient, role: UserRole) -> None:
    assert client.get("/data/rules").status_code == 401
    let_in(desk, client, role)
    codes = [client.get(f"/data/{name}").status_code for name in ("rules", "inbox", "audit-log")]
    seen = [role.includes(needed) for needed in (UserRole.VIEWER, UserRole.TRADER, UserRole.ADMIN)]
    assert codes == [200 if may else 403 for may in seen]


def test_tokens_of_the_api_open_no_page_and_those_of_pages_no_route(desk: Desk, client: TestClient) -> None:
    with begin(desk.parts.access) as connection:
        session = open_session(connection, "viewer", timedelta(hours=1), desk.parts.actor("test"))
    for token in (desk.parts.tokens.access(session), desk.parts.tokens.refresh(session)):
        client.cookies.set(COOKIE, token)
        assert client.get("/data/rules").status_code == 401
    bearer = {"Authorization": f"Bearer {desk.parts.tokens.page(session)}"}
    with open_client(desk) as api:
        assert api.get("/api/v1/rules", headers=bearer).status_code == 401


def open_client(desk: Desk) -> TestClient:
    from web.api.app import create_app as create_api

    return TestClient(create_api(desk.parts))


def test_a_file_holds_every_row_and_no_formula(desk: Desk, client: TestClient, pg_url: str) -> None:
    with psycopg.connect(psycopg_dsn(pg_url)) as connection:
        connection.execute(
            "INSERT INTO ref.alerts (alert_id, account_id, kind, severity, subject, message, raised_at) "
            "SELECT n::text, %s, '=cmd()' || n, 'info', 'x', 'm', now() FROM generate_series(1, 1500) AS n",
            (desk.parts.account_id,),
        )
    assert client.get("/csv/alerts").status_code == 401
    let_in(desk, client, UserRole.VIEWER)
    answer = client.get("/csv/alerts", params={"filter": "subject=x"})
    read = [row["kind"] for row in csv.DictReader(io.StringIO(answer.text))]
    assert sorted(read) == sorted(f"'=cmd(){n}" for n in range(1, 1_501))
    assert client.get("/csv/alerts", params={"filter": "nothing=x"}).status_code == 422


def test_a_page_above_the_persons_role_says_so_and_reads_nothing(desk: Desk, client: TestClient) -> None:
    let_in(desk, client, UserRole.TRADER)
    refused = client.get("/audit").text
    assert "This page needs the role ADMIN; yours is TRADER." in refused
    assert "audit-log" not in refused
    assert 'href="/audit"' not in client.get("/system").text
    let_in(desk, client, UserRole.ADMIN)
    assert "audit-log" in client.get("/audit").text


_GROUP = """
    INSERT INTO trading.trade_groups (account_id, group_id, trade_date, signal_id, advisor_id, instrument_key,
        category, period, product, side, entry_type, stop_paise, targets_paise, lot_size, margin_paise,
        active_from_ns, valid_until_ns, is_reverse, rule_text, targets_hit, ambiguous_bar, gapped_through,
        is_shadow, is_closed, pool, planned_risk_paise, opened_ns, gross_pnl_paise, charges_paise,
        net_pnl_paise, journal_seq)
    VALUES ('paper', %s, '2025-07-01', %s, 'A01', 'NSE_EQ:TSTA', 'EQUITY', 'INTRADAY', 'MIS', 'BUY', 'MARKET',
        9000, '{11000,12000}', 1, 0, 0, 1, false, 'r', 1, false, false, %s, false, 'EQUITY', 0, 1, 0, 0, 0, 1)
"""
_LEG = (
    "INSERT INTO trading.legs (account_id, group_id, leg_number, state, lots, quantity, target_paise, "
    "stop_paise, filled_quantity, exited_quantity, entry_notional_paise, exit_notional_paise, generation) "
    "VALUES ('paper', %s, %s, %s, 10, 10, %s, %s, 10, %s, 100005, 0, 0)"
)


def test_open_legs_are_read_with_the_stop_that_stands(desk: Desk, pg_url: str) -> None:
    with psycopg.connect(psycopg_dsn(pg_url)) as connection:
        for group, is_shadow in (("g1", False), ("g2", True)):
            connection.execute(_GROUP, (group, f"of-{group}", is_shadow))
            connection.execute(_LEG, (group, 1, "CLOSED", 11_000, 9_000, 10))
            connection.execute(_LEG, (group, 2, "OPEN", 12_000, 10_001, 4))
    with begin(desk.parts.reader) as connection:
        (leg,) = read_positions(connection, desk.parts.account_id)
    shown = {
        name: leg[name] for name in ("signal_id", "leg_number", "held_quantity", "stop_paise", "entry_paise")
    }
    # The plan said 90.00; when the first target was reached, the stop of the second leg went to its entry.
    assert shown == {
        "signal_id": "of-g1",
        "leg_number": 2,
        "held_quantity": 6,
        "stop_paise": 10_001,
        "entry_paise": 10_001,
    }
    assert (leg["entry_type"], leg["entry_low_paise"], leg["opened_ns"]) == ("MARKET", None, 1)


@pytest.fixture
def many_alerts(pg_url: str) -> int:
    """More rows than a page of a file holds."""
    rows = 2 * PAGE_ROWS_MAX + 1
    with psycopg.connect(psycopg_dsn(pg_url)) as connection:
        connection.execute(
            "INSERT INTO ref.alerts (alert_id, account_id, kind, severity, subject, message, raised_at) "
            "SELECT 'many' || n, 'paper', 'k' || n, 'info', 'many', 'm', now() "
            "FROM generate_series(1, %s) AS n ON CONFLICT DO NOTHING",
            (rows,),
        )
    return rows


def pieces(desk: Desk, client: TestClient, *, end_after: int | None = None) -> list[str]:
    """Give a file as it is sent; its session ends after so many pieces."""
    session_id = let_in(desk, client, UserRole.VIEWER)
    filters = ("subject=many",)
    query = make_query(listings()["alerts"], filters=filters, limit=PAGE_ROWS_MAX)

    async def main() -> list[str]:
        found: list[str] = []
        async for piece in file_text(desk.parts, client.cookies[COOKIE], query, filters, None):
            found.append(piece)
            if len(found) == end_after:
                with begin(desk.parts.access) as connection:
                    end_session(connection, session_id, desk.parts.actor("viewer"))
        return found

    return asyncio.run(main())


def test_a_file_takes_a_turn_for_a_page_and_not_for_a_row(
    desk: Desk, client: TestClient, many_alerts: int
) -> None:
    found = pieces(desk, client)
    assert len(found) == 4  # the header and three pages
    assert "".join(found).count("\n") == many_alerts + 1


def test_a_file_that_is_cut_off_says_so(
    desk: Desk, client: TestClient, many_alerts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.ui.grid.CSV_PAGES_MAX", 1)
    *_, last = pieces(desk, client)
    assert last.startswith('"cut off: a file holds 1,000 rows at most')


def test_a_file_ends_with_the_session(desk: Desk, client: TestClient, many_alerts: int) -> None:
    *read, last = pieces(desk, client, end_after=2)
    assert len(read) == 2
    assert last.startswith("cut off: The session has ended")


def test_a_command_is_asked_with_the_role_that_the_person_has_now(desk: Desk) -> None:
    """The page was opened before; whoever was shut out meanwhile asks nothing."""
    parts, bell = desk.parts, Bell("")
    house = House(parts, {}, bell, Settings(_env_file=None), None)

    def ask(login: UserRole, *, ends: bool = False) -> dict[str, Any]:
        with begin(parts.access) as connection:
            session = open_session(connection, login.value.lower(), parts.session_time, parts.actor("test"))
            if ends:
                end_session(connection, session.session_id, parts.actor("test"))
        visit = Visit(house, session, {}, {}, "", "/commands")
        acting = partial(ask_in_name_of, parts, door=Door.UI, key="one", kind="PAUSE", arguments={})
        return asyncio.run(visit.act(acting, UserRole.TRADER))

    asked = ask(UserRole.TRADER)
    assert (asked["state"], asked["role"], asked["door"]) == ("ASKED", "TRADER", "UI")
    assert ask(UserRole.TRADER)["command_id"] == asked["command_id"]
    with pytest.raises(Problem, match="TRADER"):
        ask(UserRole.VIEWER)
    with pytest.raises(SessionOver):
        ask(UserRole.TRADER, ends=True)
