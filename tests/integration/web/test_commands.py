"""Commands to the daemon through the API."""

import asyncio
import json
from typing import Any

import httpx
import psycopg
import pytest
from fastapi.testclient import TestClient

from adapters.db.engine import psycopg_dsn
from adapters.db.repos.verify import verify_audit_log
from propdesk.model.user import UserRole
from tests.support.desk_commands import answer, ask_anything, write_audit
from tests.support.web_api import ACCOUNT, Desk

pytestmark = pytest.mark.integration

PATH = "/api/v1/commands"


def post(
    client: TestClient, desk: Desk, kind: str, key: str | None, role: UserRole = UserRole.TRADER, **body: str
) -> httpx.Response:
    headers = {**desk.headers(role), **({} if key is None else {"Idempotency-Key": key})}
    return client.post(f"{PATH}/{kind}", json=body, headers=headers)


def test_a_command_is_accepted_and_its_answer_read_at_its_address_and_in_the_stream(
    desk: Desk, client: TestClient, pg_url: str
) -> None:
    asked = post(client, desk, "kill", "one", level="LIQUIDATING", scope="advisor:A01", reason="odd")
    assert asked.status_code == 202, asked.text
    number = asked.json()["command_id"]
    assert asked.headers["Location"] == f"{PATH}/{number}"
    mine = desk.headers(UserRole.TRADER)
    waiting = client.get(asked.headers["Location"], headers=mine)
    assert waiting.json() == asked.json()
    assert (waiting.json()["state"], waiting.json()["answer"]) == ("ASKED", None)
    with psycopg.connect(psycopg_dsn(pg_url), autocommit=True) as connection:
        answer(connection, ACCOUNT, number, "DONE", "ADVISOR:A01 is LIQUIDATING.")
        assert asyncio.run(write_audit(pg_url, ACCOUNT))
        with connection.transaction():
            assert verify_audit_log(connection, ACCOUNT).broken is None
        log = connection.execute(
            "SELECT actor, detail FROM audit.log WHERE action = 'COMMAND_ASKED' AND account_id = %s",
            (ACCOUNT,),
        ).fetchone()
    arguments = {"level": "LIQUIDATING", "scope": "ADVISOR:A01", "reason": "odd"}
    told = {"command_id": number, "kind": "KILL", "arguments": arguments, "door": "API"}
    assert log == ("api:trader", told)
    done = client.get(asked.headers["Location"], headers=mine)
    assert (done.json()["state"], done.json()["answer"]) == ("DONE", "ADVISOR:A01 is LIQUIDATING.")
    assert done.headers["ETag"] != waiting.headers["ETag"]
    stream = client.get("/api/v1/events?follow=false&after=0", headers=mine).text
    (event,) = [block for block in stream.split("\n\n") if "event: COMMAND_ANSWERED" in block]
    payload = json.loads(event.split("data: ")[1])["payload"]
    assert (payload["command_id"], payload["state"], payload["asked_by"]) == (number, "DONE", "api:trader")


def test_a_key_names_one_command_of_one_person(desk: Desk, client: TestClient) -> None:
    first = post(client, desk, "pause", "same")
    again = post(client, desk, "pause", "same")
    assert (again.status_code, again.json()) == (202, first.json())
    for other in (
        post(client, desk, "pause", "same", reason="other words"),
        post(client, desk, "cancel", "same"),
        post(client, desk, "pause", "same", UserRole.ADMIN),
    ):
        assert (other.status_code, other.json()["type"]) == (422, "urn:propdesk:problem:key-reused")


@pytest.mark.parametrize(
    ("kind", "key", "body", "problem"),
    [
        ("pause", None, {}, "invalid-request"),
        ("pause", "k" * 201, {}, "invalid-request"),
        ("pause", "a", {"scope": "nobody"}, "bad-query"),
        ("pause", "b", {"level": "LOCKED"}, "invalid-request"),
        ("pause", "c", {"reason": "a\u0000b"}, "bad-query"),
        ("kill", "d", {"level": "ACTIVE"}, "bad-query"),
        ("kill", "e", {"level": "HIGHER"}, "invalid-request"),
        ("resume", "f", {"reason": " "}, "bad-query"),
        ("exit", "g", {"trade": "3f"}, "invalid-request"),
    ],
)
def test_what_cannot_be_meant_is_not_asked(
    desk: Desk,
    client: TestClient,
    pg_url: str,
    kind: str,
    key: str | None,
    body: dict[str, Any],
    problem: str,
) -> None:
    with psycopg.connect(psycopg_dsn(pg_url)) as connection:
        before = connection.execute("SELECT count(*) FROM trading.commands").fetchone()
        refused = post(client, desk, kind, key, **body)
        assert connection.execute("SELECT count(*) FROM trading.commands").fetchone() == before
    assert (refused.status_code, refused.json()["type"]) == (422, f"urn:propdesk:problem:{problem}")


def test_another_accounts_command_is_not_there(desk: Desk, client: TestClient, pg_url: str) -> None:
    with psycopg.connect(psycopg_dsn(pg_url), autocommit=True) as connection:
        number = ask_anything(connection, "other")
    mine = desk.headers(UserRole.TRADER)
    assert client.get(f"{PATH}/{number}", headers=mine).status_code == 404
    assert number not in [found["command_id"] for found in client.get(PATH, headers=mine).json()["items"]]
