"""Who gets in: every role at every route, sessions, locks, tokens."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import jwt
import psycopg
import pytest
import uvicorn
from argon2 import PasswordHasher
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient

from adapters.db.engine import POOL_OVERFLOW, POOL_SIZE, begin, psycopg_dsn
from adapters.db.repos.users import (
    FAILURES_MAX,
    LOCK_TIME,
    forget_failures,
    read_password_hash,
    renew_hash,
    set_disabled,
    set_password,
)
from adapters.passwords import Passwords
from adapters.settings import Settings
from propdesk.core.clock import NS_PER_SECOND
from propdesk.model.user import UserRole
from tests.support.web_api import KEY, PASSWORD, Desk
from web.api.guard import ROLE_MARK
from web.api.login import ATTEMPTS_PER_MINUTE, LOGINS_AT_ONCE
from web.api.problems import MEDIA_TYPE
from web.api.serve import server_options

pytestmark = pytest.mark.integration

OPEN = {
    ("GET", "/health"),
    ("GET", "/ready"),
    ("POST", "/api/v1/auth/login"),
    ("POST", "/api/v1/auth/refresh"),
}
"""Operations for which nobody need be logged in; every other one must refuse."""
PARTS = {"{day}": "2025-07-01", "{signal_id}": "none", "{command_id}": "1"}
BODIES = {
    "/api/v1/commands/resume": {"reason": "looked"},
    "/api/v1/commands/kill": {"level": "REDUCE_ONLY"},
    "/api/v1/commands/exit": {"trade": "none"},
}
"""Of operations whose body may not be empty."""
QUERIES = {
    "/api/v1/rules/why": "?rule=none",
    "/api/v1/rules/funnel": "?profile=desk",
    "/api/v1/events": "?follow=false",
}


def operations(desk: Desk) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every operation that the application has, by its own list of routes: method, path, marks."""
    found = [(route.path, route) for route in iter_route_contexts(desk.app.routes)]
    assert {path for path, route in found if not isinstance(route.original_route, APIRoute)} == {
        "/api/v1/openapi.json"
    }
    for path, route in found:
        if isinstance(route.original_route, APIRoute):
            assert path is not None
            for method in sorted(route.methods or ()):
                yield method, path, route.openapi_extra or {}


def address(path: str) -> str:
    filled = path
    for part, value in PARTS.items():
        filled = filled.replace(part, value)
    assert "{" not in filled, path
    return filled + QUERIES.get(path, "")


def test_the_routes_are_those_of_the_document(desk: Desk) -> None:
    documented = {
        (method.upper(), path) for path, methods in desk.app.openapi()["paths"].items() for method in methods
    }
    assert {(method, path) for method, path, _ in operations(desk)} == documented


def test_every_operation_refuses_who_brings_nothing(desk: Desk, client: TestClient) -> None:
    refused = set()
    for method, path, _ in operations(desk):
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic dTpw"}):
            status = client.request(method, address(path), headers=headers).status_code
            if (method, path) in OPEN:
                assert status in (200, 422), (method, path)
            else:
                assert status == 401, (method, path, headers)
                refused.add(path)
    assert len(refused) > 45


def test_every_role_at_every_route(desk: Desk, client: TestClient) -> None:
    headers = {role: desk.headers(role) for role in UserRole}
    seen = set()
    for method, path, marks in operations(desk):
        if (method, path) in OPEN:
            assert ROLE_MARK not in marks
            continue
        needed = UserRole(marks[ROLE_MARK])
        for role in UserRole:
            if path.endswith("/logout"):
                answer = client.request(method, path, headers=desk.headers(role))
            else:
                answer = client.request(
                    method,
                    address(path),
                    headers={**headers[role], "Idempotency-Key": f"{path} {role}"},
                    json=BODIES.get(path, {}) if method == "POST" else None,
                )
            is_let_in = answer.status_code in (200, 202, 204, 404)
            assert is_let_in == role.includes(needed), (method, path, role, answer.text)
            assert is_let_in or answer.status_code == 403
            seen.add((needed, role, is_let_in))
    assert seen == {(needed, role, role.includes(needed)) for needed in UserRole for role in UserRole}


def test_only_people_of_rank_see_orders_users_and_the_audit_log(desk: Desk) -> None:
    needed = {path.removeprefix("/api/v1/"): marks.get(ROLE_MARK) for _, path, marks in operations(desk)}
    assert {path for path, role in needed.items() if role == "ADMIN"} == {"users", "audit-log"}
    assert {path for path, role in needed.items() if role == "TRADER"} == {
        "inbox",
        "order-intents",
        "broker-orders",
        "notifications",
        "signals/{signal_id}/why",
        "commands",
        "commands/{command_id}",
        *(f"commands/{kind}" for kind in ("pause", "resume", "kill", "flatten", "exit", "cancel")),
    }


def test_a_session_from_login_to_logout(desk: Desk, client: TestClient) -> None:
    pair = desk.login(client, "trader")
    assert (pair["token_type"], pair["expires_in"], pair["role"]) == ("Bearer", 600, "TRADER")
    mine = {"Authorization": f"Bearer {pair['access_token']}"}
    me = client.get("/api/v1/auth/me", headers=mine)
    assert (me.json()["login"], me.json()["role"]) == ("trader", "TRADER")
    assert client.post("/api/v1/auth/logout", headers=mine).status_code == 204
    assert client.get("/api/v1/auth/me", headers=mine).status_code == 401
    again = client.post("/api/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    assert again.status_code == 401


def test_a_refresh_token_used_twice_ends_its_family_for_thief_and_owner(
    desk: Desk, client: TestClient
) -> None:
    first = desk.login(client)
    second = client.post("/api/v1/auth/refresh", json={"refresh_token": first["refresh_token"]})
    assert second.status_code == 200
    other = desk.login(client)
    stolen = client.post("/api/v1/auth/refresh", json={"refresh_token": first["refresh_token"]})
    assert stolen.status_code == 401
    owner = second.json()
    for pair in (first, owner):
        mine = {"Authorization": f"Bearer {pair['access_token']}"}
        assert client.get("/api/v1/auth/me", headers=mine).status_code == 401
    late = client.post("/api/v1/auth/refresh", json={"refresh_token": owner["refresh_token"]})
    assert late.status_code == 401
    untouched = {"Authorization": f"Bearer {other['access_token']}"}
    assert client.get("/api/v1/auth/me", headers=untouched).status_code == 200


def test_tokens_end_by_the_clock(desk: Desk, client: TestClient) -> None:
    pair = desk.login(client)
    mine = {"Authorization": f"Bearer {pair['access_token']}"}
    desk.pass_time(599)
    assert client.get("/api/v1/auth/me", headers=mine).status_code == 200
    desk.pass_time(1)
    assert client.get("/api/v1/auth/me", headers=mine).status_code == 401
    refreshed = client.post("/api/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    assert refreshed.status_code == 200
    assert refreshed.json()["session_ends_at"] == pair["session_ends_at"]
    desk.pass_time(12 * 3600)
    late = client.post("/api/v1/auth/refresh", json={"refresh_token": refreshed.json()["refresh_token"]})
    assert late.status_code == 401


def test_neither_token_serves_as_the_other(desk: Desk, client: TestClient) -> None:
    pair = desk.login(client)
    wrong = {"Authorization": f"Bearer {pair['refresh_token']}"}
    assert client.get("/api/v1/auth/me", headers=wrong).status_code == 401
    answer = client.post("/api/v1/auth/refresh", json={"refresh_token": pair["access_token"]})
    assert answer.status_code == 401


@pytest.mark.parametrize("missing", ["iss", "sub", "sid", "typ", "iat", "exp"])
def test_a_token_without_a_claim_is_none(desk: Desk, client: TestClient, missing: str) -> None:
    claims = jwt.decode(
        desk.login(client)["access_token"],
        KEY,
        algorithms=["HS256"],
        options={"verify_exp": False, "verify_iat": False},
    )
    del claims[missing]
    forged = jwt.encode(claims, KEY, algorithm="HS256")
    answer = client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {forged}"})
    assert answer.status_code == 401


@pytest.mark.parametrize(("key", "algorithm"), [("x" * 48, "HS256"), (KEY, "HS512"), ("", "none")])
def test_a_token_under_another_key_or_algorithm_is_none(
    desk: Desk, client: TestClient, key: str, algorithm: str
) -> None:
    end = desk.clock.now_ns() // NS_PER_SECOND + 600
    claims = {"iss": "propdesk", "sub": "admin", "sid": "x", "typ": "access", "iat": end - 600, "exp": end}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # PyJWT warns of short keys
        forged = jwt.encode(claims, key or None, algorithm=algorithm)  # type: ignore[arg-type]
    answer = client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {forged}"})
    assert answer.status_code == 401


def test_disabling_and_a_lower_role_count_with_the_next_request(
    desk: Desk, client: TestClient, pg_role_urls: dict[str, str]
) -> None:
    admin = desk.headers(UserRole.ADMIN)
    assert client.get("/api/v1/users", headers=admin).status_code == 200
    with psycopg.connect(psycopg_dsn(pg_role_urls["access"])) as connection:
        connection.execute("UPDATE access.users SET role = 'VIEWER' WHERE login = 'admin'")
    assert client.get("/api/v1/users", headers=admin).status_code == 403
    with psycopg.connect(psycopg_dsn(pg_role_urls["access"])) as connection:
        connection.execute("UPDATE access.users SET role = 'ADMIN', is_disabled = true WHERE login = 'admin'")
    assert client.get("/api/v1/users", headers=admin).status_code == 401
    attempt = client.post("/api/v1/auth/login", json={"login": "admin", "password": PASSWORD})
    assert attempt.status_code == 401
    with psycopg.connect(psycopg_dsn(pg_role_urls["access"])) as connection:
        connection.execute("UPDATE access.users SET is_disabled = false WHERE login = 'admin'")
        connection.execute("DELETE FROM access.login_failures")


@pytest.mark.parametrize("login", ["viewer", "nobody"])
def test_wrong_passwords_lock_a_login_whether_it_exists_or_not(
    desk: Desk, client: TestClient, login: str, pg_role_urls: dict[str, str]
) -> None:
    wrong = {"login": login, "password": "wrong"}
    answers = [client.post("/api/v1/auth/login", json=wrong) for _ in range(FAILURES_MAX + 1)]
    assert [answer.status_code for answer in answers] == [401] * FAILURES_MAX + [429]
    assert answers[-1].json()["type"] == "urn:propdesk:problem:locked"
    assert 0 < int(answers[-1].headers["retry-after"]) <= LOCK_TIME.total_seconds()
    right = client.post("/api/v1/auth/login", json={"login": login, "password": PASSWORD})
    assert right.status_code == 429
    desk.pass_time(LOCK_TIME.total_seconds() + 1)
    after = client.post("/api/v1/auth/login", json={"login": login, "password": PASSWORD})
    assert after.status_code == (200 if login == "viewer" else 401)
    with psycopg.connect(psycopg_dsn(pg_role_urls["access"])) as connection:
        connection.execute("DELETE FROM access.login_failures")


def test_an_address_has_so_many_logins_a_minute_and_so_many_bad_tokens(
    desk: Desk, client: TestClient
) -> None:
    bodies = {
        "/api/v1/auth/refresh": {"refresh_token": "none"},
        "/api/v1/auth/login": {"login": "viewer", "password": PASSWORD},
    }
    for (path, body), status in zip(bodies.items(), (401, 200), strict=True):
        answers = [client.post(path, json=body) for _ in range(ATTEMPTS_PER_MINUTE + 1)]
        assert [answer.status_code for answer in answers] == [status] * ATTEMPTS_PER_MINUTE + [429]
        assert answers[-1].json()["type"] == "urn:propdesk:problem:too-many-attempts"
        assert answers[-1].headers["retry-after"] == "60"


def test_a_stranger_at_the_same_address_stops_no_refresh_and_a_session_has_its_own_limit(
    desk: Desk, client: TestClient
) -> None:
    pair = desk.login(client)
    for n in range(ATTEMPTS_PER_MINUTE + 1):
        client.post("/api/v1/auth/login", json={"login": f"stranger{n}", "password": "x"})
        client.post("/api/v1/auth/refresh", json={"refresh_token": "none"})
    codes = []
    for _ in range(ATTEMPTS_PER_MINUTE + 1):
        answer = client.post("/api/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})
        codes.append(answer.status_code)
        pair = answer.json() if answer.status_code == 200 else pair
    assert codes == [200] * ATTEMPTS_PER_MINUTE + [429]
    with begin(desk.parts.access) as connection:
        connection.execute("DELETE FROM access.login_failures")


def codes_of_refreshes(desk: Desk, settings: Settings, *headers: dict[str, str]) -> list[int]:
    """Status of a bad refresh with each of the headers, from this machine, served as `web.api.serve` does."""
    config = uvicorn.Config(desk.app, **server_options(settings))
    config.load()

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app=config.loaded_app, client=("127.0.0.1", 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            body = {"refresh_token": "none"}
            answers = [await client.post("/api/v1/auth/refresh", json=body, headers=one) for one in headers]
        return [answer.status_code for answer in answers]

    return anyio.run(ask)


def test_nobody_chooses_the_address_that_is_counted(desk: Desk, tmp_path: Path) -> None:
    headers = [{"X-Forwarded-For": f"203.0.113.{n}"} for n in range(ATTEMPTS_PER_MINUTE + 1)]
    alone = Settings(_env_file=None, home=tmp_path)
    assert codes_of_refreshes(desk, alone, *headers) == [401] * ATTEMPTS_PER_MINUTE + [429]


def test_a_trusted_proxy_tells_the_address_and_what_stood_before_it_does_not_count(
    desk: Desk, tmp_path: Path
) -> None:
    behind = Settings(_env_file=None, home=tmp_path, api_trusted_proxies="127.0.0.1")
    made_up = [{"X-Forwarded-For": f"203.0.113.{n}, 198.51.100.7"} for n in range(ATTEMPTS_PER_MINUTE + 1)]
    another = {"X-Forwarded-For": "198.51.100.8"}
    codes = codes_of_refreshes(desk, behind, *made_up, another)
    assert codes == [401] * ATTEMPTS_PER_MINUTE + [429, 401]


def test_logins_leave_threads_for_everybody_else(
    desk: Desk, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = desk.headers(UserRole.VIEWER)
    looked = threading.Semaphore(0)
    may_end = threading.Event()

    def slow(*_: object) -> bool:
        looked.release()
        assert may_end.wait(60)
        return False

    monkeypatch.setattr(Passwords, "matches", slow)
    attempts = POOL_SIZE + POOL_OVERFLOW + 4
    with ThreadPoolExecutor(attempts + 1) as pool:
        logins = [
            pool.submit(client.post, "/api/v1/auth/login", json={"login": f"slow{n}", "password": "x"})
            for n in range(attempts)
        ]
        try:
            for _ in range(LOGINS_AT_ONCE):
                assert looked.acquire(timeout=30)
            me = pool.submit(client.get, "/api/v1/auth/me", headers=headers)
            health = client.get("/health")
            assert (health.status_code, me.result(30).status_code) == (200, 200)
        finally:
            may_end.set()
        assert {login.result(60).status_code for login in logins} == {401}
    with begin(desk.parts.access) as connection:
        connection.execute("DELETE FROM access.login_failures")


def test_logins_ends_and_thefts_are_in_the_audit_log(desk: Desk, client: TestClient) -> None:
    pair = desk.login(client)
    for _ in range(2):
        client.post("/api/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    log = client.get("/api/v1/audit-log?limit=3", headers=desk.headers(UserRole.ADMIN)).json()["items"]
    assert [(row["actor"], row["action"]) for row in log[1:]] == [
        ("api:viewer", "SESSION_REUSED"),
        ("api:viewer", "LOGIN"),
    ]


def test_a_hash_of_older_parameters_is_renewed_at_login(
    desk: Desk, client: TestClient, pg_role_urls: dict[str, str]
) -> None:
    old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    with psycopg.connect(psycopg_dsn(pg_role_urls["access"])) as connection:
        connection.execute("UPDATE access.users SET password_hash = %s WHERE login = 'viewer'", (old,))
    desk.login(client)
    with psycopg.connect(psycopg_dsn(pg_role_urls["access"])) as connection:
        row = connection.execute("SELECT password_hash FROM access.users WHERE login = 'viewer'").fetchone()
    assert row is not None
    assert row[0] != old
    assert not desk.parts.passwords.is_outdated(row[0])
    desk.login(client)


@contextmanager
def meanwhile(desk: Desk, change: Callable[[psycopg.Connection[Any]], None]) -> Iterator[None]:
    """Change something each time when a password was looked at and its session is not yet open."""
    look = Passwords.matches

    def looking(self: Passwords, stored: str | None, password: str) -> bool:
        is_right = look(self, stored, password)
        with begin(desk.parts.access) as connection:
            change(connection)
        return is_right

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Passwords, "matches", looking)
        yield


@pytest.mark.parametrize("is_outdated", [False, True])
def test_a_login_under_way_survives_no_password_reset_and_undoes_none(
    desk: Desk, client: TestClient, is_outdated: bool
) -> None:
    actor = desk.parts.actor("test")
    if is_outdated:  # a hash that the login would renew
        old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
        with begin(desk.parts.access) as connection:
            set_password(connection, "viewer", old, actor)
    new = desk.parts.passwords.hash("a wholly new password")
    with meanwhile(desk, lambda connection: set_password(connection, "viewer", new, actor)):
        answer = client.post("/api/v1/auth/login", json={"login": "viewer", "password": PASSWORD})
    assert answer.status_code == 401
    with begin(desk.parts.access) as connection:
        assert read_password_hash(connection, "viewer") == new
        good = connection.execute(
            "SELECT count(*) FROM access.sessions WHERE login = 'viewer' AND revoked_at IS NULL"
        ).fetchone()
        set_password(connection, "viewer", desk.parts.passwords.hash(PASSWORD), actor)
    assert good == (0,)


def test_who_is_disabled_during_the_login_is_refused_like_anybody(desk: Desk, client: TestClient) -> None:
    actor = desk.parts.actor("test")
    with meanwhile(desk, lambda connection: set_disabled(connection, "viewer", actor, is_disabled=True)):
        answer = client.post("/api/v1/auth/login", json={"login": "viewer", "password": PASSWORD})
    with begin(desk.parts.access) as connection:
        set_disabled(connection, "viewer", actor, is_disabled=False)
        forget_failures(connection, "viewer")
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:propdesk:problem:unauthenticated")


def test_a_hash_that_another_login_renewed_meanwhile_is_checked_once_more(
    desk: Desk, client: TestClient
) -> None:
    renewed = desk.parts.passwords.hash(PASSWORD)
    with meanwhile(
        desk,
        lambda connection: renew_hash(
            connection, "viewer", read_password_hash(connection, "viewer") or "", renewed
        ),
    ):
        desk.login(client)


def test_a_refused_password_is_not_repeated(client: TestClient) -> None:
    secret = "hidden-word" * 100
    answer = client.post("/api/v1/auth/login", json={"login": "viewer", "password": secret})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert "hidden-word" not in answer.text
