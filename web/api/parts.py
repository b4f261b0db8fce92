"""What the routes work with; made once by `web.api.serve`, or by a test."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from sqlalchemy import Engine

from adapters.db.repos.users import Actor
from adapters.passwords import Passwords
from propdesk.core.clock import Clock, from_ns
from web.api.tokens import Tokens

PREFIX: Final = "/api/v1"
"""Where every route but those of the state is."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything outside of the API that it needs.

    Parameters
    ----------
    reader : Engine
        Database as the reader: every table but those of users.
    access : Engine
        Database as the role of users and sessions.
    passwords : Passwords
    tokens : Tokens
    clock : Clock
    account_id : str
        Account whose books are shown.
    session_time : timedelta
        How long a login lasts, however active.
    limiter : MovingWindowRateLimiter
        Counts logins and bad tokens by address, refreshes by session.
    surface : {"api", "ui"}
        Which of the processes it is, as the audit log names it.
    """

    reader: Engine
    access: Engine
    passwords: Passwords
    tokens: Tokens
    clock: Clock
    account_id: str
    session_time: timedelta
    limiter: MovingWindowRateLimiter
    surface: str = "api"

    def now(self) -> datetime:
        """Give the present moment, aware UTC."""
        return from_ns(self.clock.now_ns())

    def actor(self, login: str) -> Actor:
        """Name who acts now, for the audit log."""
        return Actor(f"{self.surface}:{login}", self.account_id, self.now())


def memory_limiter() -> MovingWindowRateLimiter:
    """Make a counter of attempts that lives as long as the process."""
    return MovingWindowRateLimiter(MemoryStorage())
