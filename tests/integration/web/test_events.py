"""The stream of events over a real server: what is missed is sent first, what happens at once."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn
from structlog.testing import capture_logs

from adapters.db.engine import psycopg_dsn
from adapters.db.repos.users import set_disabled
from propdesk.model.user import UserRole
from runtime.servers import ServerSet
from tests.support.marts import fill
from tests.support.web_api import ACCOUNT, Desk
from web.api import events

pytestmark = pytest.mark.integration

SEEN_WITHIN_S = 5.0
"""Between commit and sight on a busy machine; a look without an announcement would come after `BEAT_S`."""


@contextmanager
def served(desk: Desk) -> Iterator[str]:
    """Serve the API on a free port until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(desk.app, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1/events"
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


def happen(pg_url: str, *messages: str, account: str = ACCOUNT) -> None:
    with psycopg.connect(psycopg_dsn(pg_url)) as connection:
        for message in messages:
            row = {"kind": "HALT", "severity": "info", "message": message, "event_ns": 1, "is_sent": False}
            fill(connection, "trading.trade_events", [{**row, "account_id": account, "payload": "{}"}])


def read(lines: Iterator[str]) -> dict[str, Any]:
    """Give the next event of a stream, with its name and number."""
    found: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line == "" and "data" in found:
            return {**json.loads(found["data"]), "event": found["event"], "id": found.get("id")}
        if name:
            found[name] = value
    raise AssertionError("the stream ended")


def messages(answer: httpx.Response) -> list[str]:
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(text)["message"] for text in data]


def test_what_was_missed_comes_first_and_what_happens_at_once(desk: Desk, pg_url: str) -> None:
    happen(pg_url, "one", "two", "three")
    headers = desk.headers(UserRole.VIEWER)
    with served(desk) as url, httpx.Client(headers=headers, timeout=30) as client:
        assert messages(client.get(f"{url}?follow=false&after=0")) == ["one", "two", "three"]
        assert messages(client.get(f"{url}?follow=false")) == []
        with client.stream("GET", f"{url}?after=0") as stream:
            lines = stream.iter_lines()
            seen = [read(lines) for _ in range(3)]
            assert [(event["event"], event["message"]) for event in seen] == [
                ("HALT", "one"),
                ("HALT", "two"),
                ("HALT", "three"),
            ]
            happen(pg_url, "of another", account="other")
            happen(pg_url, "four")
            begun = time.monotonic()
            assert read(lines)["message"] == "four"
            assert time.monotonic() - begun < SEEN_WITHIN_S < events.BEAT_S
        again = client.get(f"{url}?follow=false&after=0", headers={"Last-Event-ID": seen[1]["id"]})
        assert messages(again) == ["three", "four"]


def put(connection: psycopg.Connection[Any], message: str) -> None:
    row = {"kind": "HALT", "severity": "info", "message": message, "event_ns": 1, "is_sent": False}
    fill(connection, "trading.trade_events", [{**row, "account_id": ACCOUNT, "payload": "{}"}])


def test_an_event_that_is_committed_after_a_later_one_is_not_missed(desk: Desk, pg_url: str) -> None:
    dsn = psycopg_dsn(pg_url)
    headers = desk.headers(UserRole.VIEWER)
    with served(desk) as url, httpx.Client(headers=headers, timeout=30) as client:
        happen(pg_url, "before")
        assert messages(client.get(f"{url}?follow=false&after=0"))[-1] == "before"
        with (
            client.stream("GET", url) as stream,
            psycopg.connect(dsn) as slow,
            psycopg.connect(dsn) as third,
        ):
            lines = stream.iter_lines()
            next(lines)
            put(slow, "number first, commit last")
            happen(pg_url, "number second")
            held_back = messages(client.get(f"{url}?follow=false&after=0"))
            put(third, "number third")  # begun behind that look: nothing waits for it
            slow.commit()
            assert [read(lines)["message"] for _ in range(2)] == [
                "number first, commit last",
                "number second",
            ]
            third.rollback()
        assert held_back[-1] == "before"


def test_a_writer_that_adds_nothing_holds_up_what_it_might_have_added_until_it_ends(
    desk: Desk, pg_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SETTLE_MAX_S", 0.2)
    headers = desk.headers(UserRole.VIEWER)
    with served(desk) as url, httpx.Client(headers=headers, timeout=30) as client:
        with psycopg.connect(psycopg_dsn(pg_url)) as idle, client.stream("GET", url) as stream:
            lines = stream.iter_lines()
            next(lines)
            put(idle, "never")
            happen(pg_url, "held up")
            refused = client.get(url)
            idle.rollback()
            begun = time.monotonic()
            assert read(lines)["message"] == "held up"
            assert time.monotonic() - begun < SEEN_WITHIN_S
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:propdesk:problem:not-ready")


def test_more_than_a_batch_is_sent_whole(desk: Desk, pg_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "BATCH", 2)
    happen(pg_url, *"abcde")
    with served(desk) as url:
        answer = httpx.get(f"{url}?follow=false&after=0", headers=desk.headers(UserRole.VIEWER), timeout=30)
    assert messages(answer)[-5:] == list("abcde")


def test_the_stream_of_a_session_that_ended_ends(
    desk: Desk, pg_role_urls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "BEAT_S", 0.2)
    headers = desk.headers(UserRole.TRADER)
    with served(desk) as url, httpx.stream("GET", url, headers=headers, timeout=30) as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("retry: ")
        with psycopg.connect(psycopg_dsn(pg_role_urls["access"])) as connection:
            set_disabled(connection, "trader", desk.parts.actor("test"), is_disabled=True)
        assert read(lines)["event"] == "SESSION_ENDED"
        assert list(lines) == []


def test_a_lost_announcement_is_made_good_by_the_next_look_and_the_line_is_dialled_again(
    desk: Desk, pg_url: str, pg_database: str, servers: ServerSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_DIAL_AGAIN_S", 0.1)
    headers = desk.headers(UserRole.VIEWER)
    with served(desk) as url, httpx.stream("GET", url, headers=headers, timeout=30) as stream:
        lines = stream.iter_lines()
        next(lines)
        with psycopg.connect(servers.superuser_dsn, autocommit=True) as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'propdesk-api-events' AND datname = %s",
                (pg_database,),
            ).fetchall()
        happen(pg_url, "while nobody listened")
        assert read(lines)["message"] == "while nobody listened"
    assert ended == [(True,)]


def test_the_listener_survives_any_error_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_DIAL_AGAIN_S", 0.0)
    bell = events.Bell("unused")
    dialled = 0

    async def dial(*_: str) -> None:
        nonlocal dialled
        dialled += 1
        if dialled == 2:
            raise asyncio.CancelledError
        raise RuntimeError("of a kind that nobody expects")

    monkeypatch.setattr(events, "connect", dial)
    with capture_logs() as said, pytest.raises(asyncio.CancelledError):
        asyncio.run(bell.listen())
    assert [(line["event"], line["log_level"]) for line in said] == [("events_listener_failed", "error")]


def test_one_user_does_not_take_every_stream(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "STREAMS_PER_USER_MAX", 1)
    mine, anothers = desk.headers(UserRole.VIEWER), desk.headers(UserRole.ADMIN)
    with served(desk) as url, httpx.stream("GET", url, headers=mine, timeout=30) as stream:
        lines = stream.iter_lines()
        next(lines)
        codes = [
            httpx.get(f"{url}?follow=false", headers=headers, timeout=30).status_code
            for headers in (mine, anothers)
        ]
    assert codes == [503, 200]


@pytest.mark.parametrize("bound", ["STREAMS_MAX", "STREAMS_PER_USER_MAX"])
def test_streams_are_bounded(desk: Desk, bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, bound, 1)
    headers = desk.headers(UserRole.VIEWER)
    with served(desk) as url:
        with httpx.stream("GET", url, headers=headers, timeout=30) as stream:
            lines = stream.iter_lines()  # held: a reader that is thrown away ends the stream
            next(lines)
            refused = httpx.get(url, headers=headers, timeout=30)
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:propdesk:problem:not-ready")
        deadline = time.monotonic() + 20
        while httpx.get(f"{url}?follow=false", headers=headers, timeout=30).status_code != 200:
            assert time.monotonic() < deadline, "a stream that was left still counts"
