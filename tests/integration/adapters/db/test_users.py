"""Users, sessions and locks in a real database, under the role of the API."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from adapters.db.engine import begin, create_engine, psycopg_dsn
from adapters.db.repos.users import (
    FAILURES_MAX,
    LOCK_TIME,
    Actor,
    Connection,
    add_first_user,
    add_user,
    count_attempt,
    end_session,
    forget_failures,
    hold_user,
    open_session,
    read_password_hash,
    read_session,
    read_users,
    rotate_session,
    set_disabled,
    set_password,
    set_role,
    unlock,
)
from propdesk.core.errors import ConfigFault, GapFault
from propdesk.model.user import UserRole
from web.api.serve import IDLE_TIMEOUT_S

pytestmark = pytest.mark.integration

AT = datetime(2025, 7, 1, 4, 0, tzinfo=UTC)
LASTS = timedelta(hours=12)


def actor(at: datetime = AT) -> Actor:
    return Actor("test", "paper", at)


@pytest.fixture
def connection(pg_role_urls: dict[str, str]) -> Iterator[Connection]:
    with psycopg.connect(psycopg_dsn(pg_role_urls["access"])) as connection:
        add_user(connection, "asha", UserRole.VIEWER, "hash", actor())
        yield connection
        connection.rollback()


def actions(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT action FROM audit.log ORDER BY seq")]


def test_a_user_is_added_once_and_each_change_is_in_the_audit_log(connection: Connection) -> None:
    with pytest.raises(ConfigFault, match="a user asha already"):
        add_user(connection, "asha", UserRole.ADMIN, "other", actor())
    set_role(connection, "asha", UserRole.TRADER, actor())
    set_disabled(connection, "asha", actor(), is_disabled=True)
    assert read_password_hash(connection, "asha") is None
    set_disabled(connection, "asha", actor(), is_disabled=False)
    set_password(connection, "asha", "new", actor())
    unlock(connection, "asha", actor())
    assert read_password_hash(connection, "asha") == "new"
    assert [(user.login, user.role, user.is_disabled) for user in read_users(connection)] == [
        ("asha", "TRADER", False)
    ]
    assert actions(connection) == [
        "USER_ADDED",
        "USER_ROLE_SET",
        "USER_DISABLED",
        "USER_ENABLED",
        "USER_PASSWORD_SET",
        "USER_UNLOCKED",
    ]


@pytest.mark.parametrize("change", [set_role, set_password, unlock, set_disabled])
def test_what_is_done_to_nobody_is_a_fault(connection: Connection, change: object) -> None:
    calls = {
        set_role: lambda: set_role(connection, "nobody", UserRole.ADMIN, actor()),
        set_password: lambda: set_password(connection, "nobody", "hash", actor()),
        unlock: lambda: unlock(connection, "nobody", actor()),
        set_disabled: lambda: set_disabled(connection, "nobody", actor(), is_disabled=True),
    }
    with pytest.raises(GapFault, match="no user nobody"):
        calls[change]()
    assert actions(connection) == ["USER_ADDED"]


def test_the_first_user_is_made_only_where_there_is_none(connection: Connection) -> None:
    assert not add_first_user(connection, "admin", "hash", actor())
    connection.execute("DELETE FROM access.users")
    assert add_first_user(connection, "admin", "hash", actor())
    assert [(user.login, user.role) for user in read_users(connection)] == [("admin", "ADMIN")]


def test_a_refresh_token_serves_once_and_a_second_use_ends_the_family(connection: Connection) -> None:
    session = open_session(connection, "asha", LASTS, actor())
    assert (session.generation, session.role) == (1, UserRole.VIEWER)
    later = rotate_session(connection, session.session_id, 1, actor())
    assert later is not None
    assert later.generation == 2
    assert rotate_session(connection, session.session_id, 1, actor()) is None
    assert read_session(connection, session.session_id, AT) is None
    assert rotate_session(connection, session.session_id, 2, actor()) is None
    assert actions(connection)[-1] == "SESSION_REUSED"


def test_a_generation_that_never_was_harms_nobody(connection: Connection) -> None:
    session = open_session(connection, "asha", LASTS, actor())
    assert rotate_session(connection, session.session_id, 7, actor()) is None
    assert rotate_session(connection, "unknown", 1, actor()) is None
    assert read_session(connection, session.session_id, AT) is not None


def test_one_family_does_not_end_another(connection: Connection) -> None:
    first = open_session(connection, "asha", LASTS, actor())
    second = open_session(connection, "asha", LASTS, actor())
    rotate_session(connection, first.session_id, 1, actor())
    rotate_session(connection, first.session_id, 1, actor())
    assert read_session(connection, first.session_id, AT) is None
    assert read_session(connection, second.session_id, AT) is not None


def test_a_session_ends_by_its_time_by_logout_by_disabling_and_by_a_new_password(
    connection: Connection,
) -> None:
    session = open_session(connection, "asha", LASTS, actor())
    last = AT + LASTS - timedelta(seconds=1)
    assert read_session(connection, session.session_id, last) is not None
    assert read_session(connection, session.session_id, AT + LASTS) is None
    assert rotate_session(connection, session.session_id, 1, actor(AT + LASTS)) is None
    end_session(connection, session.session_id, actor())
    end_session(connection, session.session_id, actor())
    assert read_session(connection, session.session_id, AT) is None
    assert actions(connection).count("LOGOUT") == 1
    for end in (
        lambda: set_disabled(connection, "asha", actor(), is_disabled=True),
        lambda: set_password(connection, "asha", "new", actor()),
    ):
        session = open_session(connection, "asha", LASTS, actor())
        end()
        set_disabled(connection, "asha", actor(), is_disabled=False)
        assert read_session(connection, session.session_id, AT) is None


def test_a_role_counts_from_the_next_look(connection: Connection) -> None:
    session = open_session(connection, "asha", LASTS, actor())
    set_role(connection, "asha", UserRole.ADMIN, actor())
    found = read_session(connection, session.session_id, AT)
    assert found is not None
    assert found.role is UserRole.ADMIN


@pytest.mark.parametrize("login", ["asha", "nobody"])
def test_a_login_is_locked_after_its_failures_whether_it_exists_or_not(
    connection: Connection, login: str
) -> None:
    for _ in range(FAILURES_MAX):
        assert count_attempt(connection, login, actor()) is None
    until = AT + LOCK_TIME
    late = actor(AT + LOCK_TIME - timedelta(seconds=1))
    assert [count_attempt(connection, login, late) for _ in range(3)] == [until] * 3
    assert actions(connection).count("LOGIN_LOCKED") == 1
    assert count_attempt(connection, login, actor(until + timedelta(seconds=1))) is None


def test_a_success_or_a_quarter_of_an_hour_begins_the_count_anew(connection: Connection) -> None:
    for _ in range(FAILURES_MAX):
        count_attempt(connection, "asha", actor())
    forget_failures(connection, "asha")
    for _ in range(FAILURES_MAX):
        assert count_attempt(connection, "asha", actor()) is None
    after = actor(AT + LOCK_TIME + timedelta(seconds=1))
    assert count_attempt(connection, "asha", after) is None


def test_of_two_uses_at_once_one_wins_and_the_family_ends(pg_role_urls: dict[str, str]) -> None:
    with psycopg.connect(psycopg_dsn(pg_role_urls["access"])) as connection:
        add_user(connection, "twice", UserRole.VIEWER, "hash", actor())
        session = open_session(connection, "twice", LASTS, actor())

    def use(_: int) -> bool:
        with psycopg.connect(psycopg_dsn(pg_role_urls["access"])) as connection:
            return rotate_session(connection, session.session_id, 1, actor()) is not None

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(use, range(2))) == [False, True]
    with psycopg.connect(psycopg_dsn(pg_role_urls["access"])) as connection:
        assert read_session(connection, session.session_id, AT) is None


def test_a_transaction_that_does_nothing_is_ended_in_seconds(pg_role_urls: dict[str, str]) -> None:
    engine = create_engine(pg_role_urls["access"], "test-idle", idle_timeout_s=IDLE_TIMEOUT_S)
    with begin(engine) as connection:
        assert connection.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("5s",)
    engine.dispose()


def test_sessions_that_are_over_are_forgotten_at_a_login(connection: Connection) -> None:
    old = open_session(connection, "asha", LASTS, actor())
    later = open_session(connection, "asha", LASTS, actor(AT + timedelta(seconds=1)))
    new = open_session(connection, "asha", LASTS, actor(AT + LASTS))
    kept = {
        row[0] for row in connection.execute("SELECT session_id FROM access.sessions WHERE login = 'asha'")
    }
    assert kept == {later.session_id, new.session_id}
    assert old.session_id not in kept


def test_a_password_is_not_set_while_a_login_holds_its_user(pg_role_urls: dict[str, str]) -> None:
    dsn = psycopg_dsn(pg_role_urls["access"])
    with psycopg.connect(dsn) as connection:
        add_user(connection, "held", UserRole.VIEWER, "old", actor())
    with psycopg.connect(dsn) as login, psycopg.connect(dsn, options="-c lock_timeout=200") as reset:
        assert not hold_user(login, "held", "another")
        set_password(reset, "held", "old", actor())
        reset.commit()
        assert hold_user(login, "held", "old")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            set_password(reset, "held", "new", actor())


def test_guesses_side_by_side_are_all_counted(pg_role_urls: dict[str, str]) -> None:
    def guess(_: int) -> bool:
        with psycopg.connect(psycopg_dsn(pg_role_urls["access"])) as connection:
            return count_attempt(connection, "guessed", actor()) is None

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(guess, range(12))) == FAILURES_MAX
