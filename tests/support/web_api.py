"""The API on a database of a test: people of each role, a clock that the test moves."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from fastapi import FastAPI
from fastapi.testclient import TestClient

from adapters.db.engine import create_engine, psycopg_dsn
from adapters.db.repos.users import Actor, add_user
from propdesk.core.clock import NS_PER_SECOND, ManualClock, from_ns, to_ns
from propdesk.model.user import UserRole
from tests.support.access import cheap_passwords
from web.api.app import create_app
from web.api.parts import Parts, memory_limiter
from web.api.tokens import Tokens

NOW = datetime(2025, 7, 1, 4, 0, tzinfo=UTC)
KEY = "the key of the tests, long enough for any digest"
PASSWORD = "correct horse battery"
ACCOUNT = "paper"


@dataclass
class Desk:
    """An API with its clock; users are named as their roles, in lower case."""

    app: FastAPI
    parts: Parts
    clock: ManualClock

    def client(self) -> TestClient:
        return TestClient(self.app, raise_server_exceptions=False)

    def login(self, client: TestClient, login: str = "viewer") -> dict[str, Any]:
        answer = client.post("/api/v1/auth/login", json={"login": login, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        pair: dict[str, Any] = answer.json()
        return pair

    def headers(self, role: UserRole) -> dict[str, str]:
        """Authorization of a person of a role, without the limit on logins."""
        from adapters.db.engine import begin
        from adapters.db.repos.users import open_session

        with begin(self.parts.access) as connection:
            session = open_session(
                connection, role.value.lower(), self.parts.session_time, self.parts.actor("test")
            )
        return {"Authorization": f"Bearer {self.parts.tokens.access(session)}"}

    def pass_time(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.now_ns() + int(seconds * NS_PER_SECOND))

    def close(self) -> None:
        self.parts.reader.dispose()
        self.parts.access.dispose()


def open_desk(urls: Mapping[str, str], now: datetime = NOW) -> Desk:
    """Make an API on a database, with one user per role unless they are there."""
    clock = ManualClock(to_ns(now))
    passwords = cheap_passwords()
    with psycopg.connect(psycopg_dsn(urls["access"])) as connection:
        for role in UserRole:
            found = connection.execute("SELECT 1 FROM access.users WHERE login = %s", (role.value.lower(),))
            if found.fetchone() is None:
                actor = Actor("test", ACCOUNT, from_ns(clock.now_ns()))
                add_user(connection, role.value.lower(), role, passwords.hash(PASSWORD), actor)
    parts = Parts(
        reader=create_engine(urls["reader"], "test-api", statement_timeout_s=10),
        access=create_engine(urls["access"], "test-api-access"),
        passwords=passwords,
        tokens=Tokens(KEY, clock, access_s=600),
        clock=clock,
        account_id=ACCOUNT,
        session_time=timedelta(hours=12),
        limiter=memory_limiter(),
    )
    return Desk(create_app(parts), parts, clock)
