"""Users of the surfaces, their sessions and failed logins (schema ``access``), as the role of the API."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.rows import class_row

from adapters.db.repos.audit import append_audit
from propdesk.core.errors import ConfigFault, GapFault
from propdesk.model.user import UserRole

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

FAILURES_MAX: Final = 5
"""Wrong passwords in a row after which a login is locked (§7.2)."""
LOCK_TIME: Final = timedelta(minutes=15)
"""How long it stays locked, and how long a failure counts."""
_SESSION_ID_BYTES: Final = 16
_COLUMNS: Final = "login, role, is_disabled, created_at, created_by, password_set_at, last_login_at"


@dataclass(frozen=True, slots=True)
class User:
    """A person; the password's hash never leaves this module but by `read_password_hash`."""

    login: str
    role: str
    is_disabled: bool
    created_at: datetime
    created_by: str
    password_set_at: datetime
    last_login_at: datetime | None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something, on which account's audit log, when (aware UTC)."""

    name: str
    account_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """A family of refresh tokens that is good now."""

    session_id: str
    login: str
    role: UserRole
    generation: int
    expires_at: datetime


def read_users(connection: Connection) -> list[User]:
    """Read every user, by login."""
    with connection.cursor(row_factory=class_row(User)) as cursor:
        return cursor.execute(
            f'SELECT {_COLUMNS} FROM access.users ORDER BY login COLLATE "C"'  # noqa: S608 - a constant
        ).fetchall()


def read_password_hash(connection: Connection, login: str) -> str | None:
    """Read the hash of a user who may log in; None for anybody else."""
    row = connection.execute(
        "SELECT password_hash FROM access.users WHERE login = %s AND NOT is_disabled", (login,)
    ).fetchone()
    return None if row is None else str(row[0])


def read_role(connection: Connection, login: str) -> UserRole | None:
    """Read what a user may do; None for one who is disabled or not there."""
    row = connection.execute(
        "SELECT role FROM access.users WHERE login = %s AND NOT is_disabled", (login,)
    ).fetchone()
    return None if row is None else UserRole(row[0])


def add_user(connection: Connection, login: str, role: UserRole, password_hash: str, by: Actor) -> None:
    """Add a user.

    Raises
    ------
    ConfigFault
        If the login is taken.
    """
    done = connection.execute(
        "INSERT INTO access.users (login, role, password_hash, is_disabled, created_at, created_by, "
        "password_set_at) VALUES (%s, %s, %s, false, %s, %s, %s) ON CONFLICT DO NOTHING",
        (login, role.value, password_hash, by.at, by.name, by.at),
    )
    if done.rowcount == 0:
        raise ConfigFault(f"There is a user {login} already: `propdesk users list` shows all.")
    _audit(connection, by, "USER_ADDED", {"login": login, "role": role.value})


def add_first_user(connection: Connection, login: str, password_hash: str, by: Actor) -> bool:
    """Add an administrator unless there is any user; returns whether it was done."""
    connection.execute("LOCK TABLE access.users IN EXCLUSIVE MODE")
    if connection.execute("SELECT 1 FROM access.users LIMIT 1").fetchone():
        return False
    add_user(connection, login, UserRole.ADMIN, password_hash, by)
    return True


def set_role(connection: Connection, login: str, role: UserRole, by: Actor) -> None:
    """Give a user another role, at once: the role is read with each request; `GapFault` if there is none."""
    _change(connection, login, "role = %s", (role.value,))
    _audit(connection, by, "USER_ROLE_SET", {"login": login, "role": role.value})


def set_disabled(connection: Connection, login: str, by: Actor, *, is_disabled: bool) -> None:
    """Close or open a user's door; closing ends every session. `GapFault` if there is no such user."""
    _change(connection, login, "is_disabled = %s", (is_disabled,))
    if is_disabled:
        end_sessions(connection, login, "DISABLED", by.at)
    _audit(connection, by, "USER_DISABLED" if is_disabled else "USER_ENABLED", {"login": login})


def set_password(connection: Connection, login: str, password_hash: str, by: Actor) -> None:
    """Set a new password, which ends every session and every lock; `GapFault` if there is no such user."""
    _change(connection, login, "password_hash = %s, password_set_at = %s", (password_hash, by.at))
    end_sessions(connection, login, "PASSWORD_SET", by.at)
    forget_failures(connection, login)
    _audit(connection, by, "USER_PASSWORD_SET", {"login": login})


def hold_user(connection: Connection, login: str, password_hash: str) -> bool:
    """Keep a user from being changed until the transaction ends, if nothing has changed until now.

    Parameters
    ----------
    connection : psycopg.Connection
    login : str
    password_hash : str
        The one that the password was checked against, before this transaction.

    Returns
    -------
    bool
        False if the password was set anew meanwhile, or the user disabled: the check is worth nothing then.
    """
    found = connection.execute(
        "SELECT 1 FROM access.users WHERE login = %s AND password_hash = %s AND NOT is_disabled FOR UPDATE",
        (login, password_hash),
    ).fetchone()
    return found is not None


def renew_hash(connection: Connection, login: str, old: str, new: str) -> None:
    """Store the same password under newer parameters, unless another password was set meanwhile."""
    connection.execute(
        "UPDATE access.users SET password_hash = %s WHERE login = %s AND password_hash = %s",
        (new, login, old),
    )


def unlock(connection: Connection, login: str, by: Actor) -> None:
    """Forget failed logins; `GapFault` if there is no such user."""
    _change(connection, login, "login = login", ())
    forget_failures(connection, login)
    _audit(connection, by, "USER_UNLOCKED", {"login": login})


def count_attempt(connection: Connection, login: str, by: Actor) -> datetime | None:
    """Count a login attempt as failed, before its password is looked at.

    Returns
    -------
    datetime or None
        Until when the login is locked, and the attempt is refused unseen; None if it may go on, and
        `forget_failures` follows if the password is right.
    """
    connection.execute("DELETE FROM access.login_failures WHERE failed_at < %s", (by.at - LOCK_TIME,))
    row = connection.execute(
        "INSERT INTO access.login_failures AS f (login, failures, failed_at) VALUES (%(login)s, 1, %(at)s) "
        "ON CONFLICT (login) DO UPDATE SET failures = f.failures + 1, "
        "failed_at = CASE WHEN f.failures < %(most)s THEN %(at)s ELSE f.failed_at END, "
        "locked_until_at = CASE WHEN f.failures >= %(most)s THEN f.failed_at + %(time)s END "
        "RETURNING failures, locked_until_at",
        {"login": login, "at": by.at, "most": FAILURES_MAX, "time": LOCK_TIME},
    ).fetchone()
    if row is None or row[1] is None:
        return None
    if row[0] == FAILURES_MAX + 1:  # told once, not for every guess that follows
        _audit(connection, by, "LOGIN_LOCKED", {"login": login, "until": row[1].isoformat()})
    locked: datetime = row[1]
    return locked


def forget_failures(connection: Connection, login: str) -> None:
    """Begin to count anew."""
    connection.execute("DELETE FROM access.login_failures WHERE login = %s", (login,))


def open_session(connection: Connection, login: str, lasts: timedelta, by: Actor) -> Session:
    """Begin a family of refresh tokens under an id of our own making; forgets those that are over."""
    # Nothing asks for a session that is over; who logged in when is in the audit log.
    connection.execute(
        "DELETE FROM access.sessions WHERE session_id IN "
        "(SELECT session_id FROM access.sessions WHERE expires_at <= %s FOR UPDATE SKIP LOCKED)",
        (by.at,),
    )
    session_id = secrets.token_urlsafe(_SESSION_ID_BYTES)
    expires_at = by.at + lasts
    connection.execute(
        "INSERT INTO access.sessions (session_id, login, generation, opened_at, refreshed_at, expires_at) "
        "VALUES (%s, %s, 1, %s, %s, %s)",
        (session_id, login, by.at, by.at, expires_at),
    )
    _change(connection, login, "last_login_at = %s", (by.at,))
    _audit(connection, by, "LOGIN", {"login": login})
    return _require(read_session(connection, session_id, by.at))


def read_session(connection: Connection, session_id: str, at: datetime) -> Session | None:
    """Read a session that is good at a moment, with the role its user has now; None for any other."""
    row = connection.execute(
        "SELECT s.session_id, s.login, u.role, s.generation, s.expires_at FROM access.sessions s "
        "JOIN access.users u USING (login) WHERE s.session_id = %s AND s.revoked_at IS NULL "
        "AND s.expires_at > %s AND NOT u.is_disabled",
        (session_id, at),
    ).fetchone()
    return None if row is None else Session(row[0], row[1], UserRole(row[2]), row[3], row[4])


def rotate_session(connection: Connection, session_id: str, generation: int, by: Actor) -> Session | None:
    """Take a refresh token, which serves once; a token that was taken before ends its whole family.

    Returns
    -------
    Session or None
        With the generation that the next token carries; None if the token is not good (any more).
    """
    done = connection.execute(
        "UPDATE access.sessions SET generation = generation + 1, refreshed_at = %(at)s "
        "WHERE session_id = %(id)s AND generation = %(generation)s AND revoked_at IS NULL "
        "AND expires_at > %(at)s",
        {"at": by.at, "id": session_id, "generation": generation},
    )
    if done.rowcount == 1:
        return read_session(connection, session_id, by.at)
    reused = connection.execute(
        "UPDATE access.sessions SET revoked_at = %s, revoked_reason = 'REUSED' "
        "WHERE session_id = %s AND generation > %s AND revoked_at IS NULL RETURNING login",
        (by.at, session_id, generation),
    ).fetchone()
    if reused is not None:
        _audit(connection, by, "SESSION_REUSED", {"login": reused[0], "session_id": session_id})
    return None


def end_session(connection: Connection, session_id: str, by: Actor) -> None:
    """End one session, as its own user asks."""
    done = connection.execute(
        "UPDATE access.sessions SET revoked_at = %s, revoked_reason = 'LOGOUT' "
        "WHERE session_id = %s AND revoked_at IS NULL",
        (by.at, session_id),
    )
    if done.rowcount:
        _audit(connection, by, "LOGOUT", {"session_id": session_id})


def end_sessions(connection: Connection, login: str, reason: str, at: datetime) -> None:
    """End every session of a user."""
    connection.execute(
        "UPDATE access.sessions SET revoked_at = %s, revoked_reason = %s "
        "WHERE login = %s AND revoked_at IS NULL",
        (at, reason, login),
    )


def _change(connection: Connection, login: str, assignments: str, values: tuple[object, ...]) -> None:
    statement = f"UPDATE access.users SET {assignments} WHERE login = %s"  # noqa: S608 - our own constants
    if connection.execute(statement.encode(), (*values, login)).rowcount == 0:
        raise GapFault(f"There is no user {login}: `propdesk users list` shows all.")


def _audit(connection: Connection, by: Actor, action: str, detail: dict[str, object]) -> None:
    append_audit(connection, by.account_id, actor=by.name, action=action, detail=detail, logged_at=by.at)


def _require(session: Session | None) -> Session:
    if session is None:
        raise GapFault("The user was disabled while the session was opened.")
    return session
