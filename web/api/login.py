"""Let a person in by password; every surface does it here, under the same limits."""

from typing import Final

from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync
from fastapi import Request
from limits import RateLimitItemPerMinute

from adapters.db.engine import begin
from adapters.db.repos.users import (
    Actor,
    Session,
    count_attempt,
    forget_failures,
    hold_user,
    open_session,
    read_password_hash,
    renew_hash,
)
from web.api.parts import Parts
from web.api.problems import Problem

ATTEMPTS_PER_MINUTE: Final = 20
"""Logins of one address, bad refresh tokens of one address, refreshes of one session: each counted apart.

A desk behind one address fits, a list of passwords does not. A good refresh token is counted by its session
alone: no stranger behind the same address (in a container, everybody's) can stop those who are logged in.
"""
LOGINS_AT_ONCE: Final = 2
"""Threads that look at passwords; others serve the tables, however many people log in."""
_CHECKS_MAX: Final = 2
"""A hash that another login renewed meanwhile is checked once more; whoever is changed twice is refused."""
_TURNS: Final[RunVar[CapacityLimiter]] = RunVar("propdesk_logins")
_LIMIT: Final = RateLimitItemPerMinute(ATTEMPTS_PER_MINUTE)


async def log_in(parts: Parts, login: str, password: str, whence: str) -> Session:
    """Open a session for who knows the password.

    Parameters
    ----------
    parts : Parts
    login, password : str
        As given; of the allowed lengths.
    whence : str
        Address of the caller, whose attempts are counted.

    Raises
    ------
    Problem
        401 if they do not belong together, 429 if the login is locked or the address tried too often.
    """
    count(parts, "login", whence)
    return await run_sync(_log_in, parts, login, password, limiter=_login_turns())


def _login_turns() -> CapacityLimiter:
    """Give the turns of the running loop, as `anyio` keeps those of its threads."""
    turns = _TURNS.get(None)
    if turns is None:
        turns = CapacityLimiter(LOGINS_AT_ONCE)
        _TURNS.set(turns)
    return turns


def _log_in(parts: Parts, login: str, password: str) -> Session:
    actor = parts.actor(login)
    with begin(parts.access) as connection:
        locked_until = count_attempt(connection, login, actor)
    if locked_until is not None:
        wait_s = max(1, int((locked_until - actor.at).total_seconds()))
        detail = "Too many wrong passwords in a row: this login is locked for a while."
        raise Problem(429, "locked", detail, {"Retry-After": str(wait_s)})
    for _ in range(_CHECKS_MAX):
        session = _check_and_open(parts, login, password, actor)
        if session is not None:
            return session
    raise _refused()


def _check_and_open(parts: Parts, login: str, password: str, actor: Actor) -> Session | None:
    """Open a session if the password is right; None if the user was changed while it was looked at."""
    with begin(parts.access) as connection:
        stored = read_password_hash(connection, login)
    # Outside of a transaction: this takes long, and no lock of the database may wait for it.
    if not parts.passwords.matches(stored, password) or stored is None:
        raise _refused()
    renewed = parts.passwords.hash(password) if parts.passwords.is_outdated(stored) else None
    with begin(parts.access) as connection:
        if not hold_user(connection, login, stored):
            return None
        forget_failures(connection, login)
        if renewed is not None:
            renew_hash(connection, login, stored, renewed)
        return open_session(connection, login, parts.session_time, actor)


def _refused() -> Problem:
    return Problem(401, "unauthenticated", "Login and password do not belong together.")


def address(request: Request) -> str:
    """Give the address that a request comes from."""
    return request.client.host if request.client else "unknown"


def count(parts: Parts, what: str, whose: str) -> None:
    """Count an attempt; raises `Problem` (429) beyond `ATTEMPTS_PER_MINUTE`."""
    if not parts.limiter.hit(_LIMIT, what, whose):
        source = "of this session" if what == "session" else "from this address"
        detail = f"More than {ATTEMPTS_PER_MINUTE} attempts within a minute {source}."
        raise Problem(429, "too-many-attempts", detail, {"Retry-After": "60"})
