"""Flags in Redis: readiness, heartbeat; PostgreSQL stays the truth (§5)."""

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

_TIMEOUT_S: Final = 1.0


class FlagLog(Protocol):
    """Where a lost mirror is reported."""

    def warning(self, event: str, **values: object) -> object:
        """Write a line that someone should read."""
        ...


class RedisFlags:
    """Flags of one account.

    Parameters
    ----------
    url : str or None
        None: no mirror is kept.
    account_id : str
    """

    def __init__(self, url: str | None, account_id: str, log: FlagLog) -> None:
        self._redis: Redis | None = (
            None
            if url is None
            else Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
        )
        self._account_id = account_id
        self._log = log
        self._is_lost = False

    def key(self, name: str) -> str:
        """Name of a flag in Redis."""
        return f"propdesk:{self._account_id}:{name}"

    async def mirror(self, name: str, value: Mapping[str, object], expire_s: int) -> None:
        """Set a flag that expires by itself; an unreachable Redis is reported once and forgiven."""
        if self._redis is None:
            return
        try:
            await self._redis.set(self.key(name), json.dumps(value, sort_keys=True, default=str), ex=expire_s)
            self._is_lost = False
        except (RedisError, OSError) as error:
            if not self._is_lost:
                self._log.warning("mirror_lost", reason=str(error)[:200])
            self._is_lost = True

    async def read(self, name: str) -> dict[str, Any] | None:
        """Read a flag; None where it is absent, expired or Redis does not answer."""
        if self._redis is None:
            return None
        try:
            raw = await self._redis.get(self.key(name))
        except (RedisError, OSError):
            return None
        value = None if raw is None else json.loads(raw)
        return value if isinstance(value, dict) else None

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()
