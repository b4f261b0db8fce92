"""Every error is a problem document; nothing else leaves the API, least of all a traceback."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from adapters.db.engine import create_engine, psycopg_dsn
from propdesk.model.user import UserRole
from tests.support.web_api import Desk
from web.api.app import create_app
from web.api.limits import BODY_BYTES_MAX
from web.api.problems import MEDIA_TYPE

pytestmark = pytest.mark.integration

AWAY = "postgresql+psycopg://nobody:none@127.0.0.1:1/none"


def check(answer: Any, status: int, kind: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    document: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail"} <= set(document)
    assert (document["type"], document["status"]) == (f"urn:propdesk:problem:{kind}", status)
    assert "Traceback" not in answer.text
    return document


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("GET", "/nothing", None, 404, "not-found"),
        ("GET", "/api/v1/docs", None, 404, "not-found"),
        ("DELETE", "/api/v1/overview", None, 405, "method-not-allowed"),
        ("GET", "/api/v1/overview?bad=1", None, 422, "bad-query"),
        ("GET", "/api/v1/rules?limit=0", None, 422, "invalid-request"),
        ("GET", "/api/v1/rules?sort=profit", None, 422, "invalid-request"),
        ("GET", "/api/v1/rules?filter=n=x", None, 422, "bad-query"),
        ("GET", "/api/v1/days/tomorrow/report", None, 422, "invalid-request"),
        ("GET", "/api/v1/signals/none/why", None, 404, "not-found"),
        ("GET", "/api/v1/signals/%00/why", None, 422, "invalid-request"),
        ("GET", "/api/v1/rules/why?rule=none", None, 404, "not-found"),
        ("POST", "/api/v1/auth/login", b"{", 422, "invalid-request"),
        ("POST", "/api/v1/auth/login", b"\xff", 422, "invalid-request"),
        ("POST", "/api/v1/auth/login", b'{"login": "a", "password": "\\ud800"}', 422, "invalid-request"),
        (
            "POST",
            "/api/v1/auth/login",
            b'{"login": "a", "password": "b", "\\ud800": 1}',
            422,
            "invalid-request",
        ),
        ("POST", "/api/v1/auth/login", b'{"login": "A B", "password": "b"}', 422, "invalid-request"),
        ("POST", "/api/v1/auth/login", b'{"login": "a", "password": "b"}', 401, "unauthenticated"),
        ("POST", "/api/v1/auth/refresh", '{"refresh_token": "é.b.c"}'.encode(), 401, "unauthenticated"),
        ("POST", "/api/v1/auth/login", b"x" * (BODY_BYTES_MAX + 1), 413, "too-large"),
    ],
)
def test_each_error_is_a_problem(
    desk: Desk,
    client: TestClient,
    method: str,
    path: str,
    body: bytes | None,
    status: int,
    kind: str,
) -> None:
    headers = {**desk.headers(UserRole.ADMIN), "Content-Type": "application/json"}
    check(client.request(method, path, content=body, headers=headers), status, kind)


def test_a_body_without_a_length_is_counted_while_it_comes(client: TestClient) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(BODY_BYTES_MAX // 1_000 + 2):
            yield b"x" * 1_000

    headers = {"Content-Type": "application/json"}
    check(client.post("/api/v1/auth/login", content=drip(), headers=headers), 413, "too-large")


def test_who_may_not_is_told_what_it_takes(desk: Desk, client: TestClient) -> None:
    anonymous = client.get("/api/v1/users")
    check(anonymous, 401, "unauthenticated")
    assert anonymous.headers["www-authenticate"] == "Bearer"
    worn = client.get("/api/v1/users", headers={"Authorization": "Bearer x"})
    check(worn, 401, "unauthenticated")
    assert worn.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    document = check(client.get("/api/v1/users", headers=desk.headers(UserRole.TRADER)), 403, "forbidden")
    assert "ADMIN" in document["detail"]


def test_a_database_that_is_away_is_503_and_health_stays(desk: Desk) -> None:
    away = create_engine(AWAY, "test")
    with TestClient(create_app(replace(desk.parts, reader=away))) as client:
        headers = desk.headers(UserRole.VIEWER)
        for path in ("/ready", "/api/v1/overview", "/api/v1/trades"):
            answer = client.get(path, headers=headers)
            document = check(answer, 503, "not-ready")
            assert int(answer.headers["retry-after"]) > 0
            assert "127.0.0.1" not in document["detail"]
        assert client.get("/health").json() == {"status": "ok"}
    away.dispose()


def test_a_query_that_takes_too_long_is_ended(desk: Desk, pg_url: str, pg_role_urls: dict[str, str]) -> None:
    impatient = create_engine(pg_role_urls["reader"], "test", statement_timeout_s=1)
    headers = desk.headers(UserRole.VIEWER)
    with psycopg.connect(psycopg_dsn(pg_url)) as holder:
        holder.execute("LOCK TABLE ref.regimes IN ACCESS EXCLUSIVE MODE")
        with TestClient(create_app(replace(desk.parts, reader=impatient))) as client:
            check(client.get("/api/v1/regimes", headers=headers), 503, "not-ready")
    impatient.dispose()


def test_a_fault_of_ours_says_nothing_of_itself(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("hidden-word")

    monkeypatch.setattr("web.api.views.read_overview", fail)
    with desk.client() as client:
        answer = client.get("/api/v1/overview", headers=desk.headers(UserRole.VIEWER))
    check(answer, 500, "internal")
    assert "hidden-word" not in answer.text


def test_ready_says_when_the_tables_are_missing(desk: Desk, servers: Any) -> None:
    empty = create_engine(servers.role_url("propdesk_access", "postgres"), "test")
    with TestClient(create_app(replace(desk.parts, access=empty))) as client:
        document = check(client.get("/ready"), 503, "not-ready")
        assert "db migrate" in document["detail"]
    empty.dispose()
    with desk.client() as client:
        assert client.get("/ready").json() == {"status": "ready"}
