"""Access token: its life is read from itself; it is renewed, or obtained anew by PIN and TOTP."""

import asyncio
import base64
import binascii
import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import pyotp

from adapters.brokers.dhan.config import DhanConfig
from adapters.brokers.dhan.faults import Refusal, response_fault
from adapters.brokers.dhan.transport import Answer, Transport, parse_json
from adapters.settings import ENV_PREFIX
from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND, Clock, from_ns
from propdesk.core.errors import AuthExpired, BrokerFault, ConfigFault, Retryable

LOGIN_INTERVAL_NS: Final = 30 * NS_PER_SECOND
"""At most one login in this time: more look like an attack and get the account locked."""

RENEW_BEFORE_NS: Final = 30 * NS_PER_MINUTE
"""A token this close to its end is renewed."""

SKEW_NS_MAX: Final = 5 * NS_PER_MINUTE
"""A clock further off than this is wrong, not skewed: stamps and expiries could not be trusted."""


class TokenStore(Protocol):
    """Where a token outlives the process."""

    def load(self) -> str | None:
        """Token saved last; None if there is none."""
        ...

    def save(self, token: str) -> None:
        """Keep a token."""
        ...


class Tokens(Protocol):
    """Who gives a token to connect with."""

    async def token(self) -> str:
        """Give a token that is not known to be dead; BrokerFault if there is none now."""
        ...

    async def refuse(self, token: str) -> str:
        """Tell that the broker refused ``token``; gives another one, or BrokerFault."""
        ...


REFUSED_NS: Final = 30 * NS_PER_SECOND
"""How long a refused token that cannot be replaced is left alone."""


class GivenToken:
    """The token of the settings as it is: never renewed, never replaced by a login.

    For whoever only listens: renewing ends the token that another process may be trading with. One that was
    refused is given again `REFUSED_NS` later: a server that is busy refuses good ones.

    Parameters
    ----------
    config : DhanConfig
        With an access token.
    clock : Clock
    """

    def __init__(self, config: DhanConfig, clock: Clock) -> None:
        self._token = config.access_token.get_secret_value() if config.access_token else ""
        self._clock = clock
        self._refused_ns: int | None = None

    async def token(self) -> str:
        """Give the token.

        Raises
        ------
        AuthExpired
            If its life is over, or the broker has just refused it.
        """
        now_ns, expiry_ns = self._clock.now_ns(), token_expiry_ns(self._token)
        is_over = expiry_ns is not None and expiry_ns <= now_ns
        is_refused = self._refused_ns is not None and now_ns < self._refused_ns + REFUSED_NS
        if not self._token or is_over or is_refused:
            done = "was refused and is tried again" if is_refused else "has ended"
            raise AuthExpired(
                f"The token that Dhan's prices are read with {done}: if it stays so, set a new one "
                f"({ENV_PREFIX}DHAN_DATA_TOKEN) and start again."
            )
        return self._token

    async def refuse(self, token: str) -> str:
        """Note that the broker refused the token: there is no other one.

        Raises
        ------
        AuthExpired
            Where it is the one that was given.
        """
        if token == self._token:
            self._refused_ns = self._clock.now_ns()
        return await self.token()


class FileTokenStore:
    """A token in a private file (mode 0600), replaced in one step."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> str | None:
        """Read the token; None if there is none."""
        try:
            return self._path.read_text(encoding="ascii").strip() or None
        except (OSError, UnicodeDecodeError):
            return None

    def save(self, token: str) -> None:
        """Write the token."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token)
        fresh.replace(self._path)


def token_expiry_ns(token: str) -> int | None:
    """Read the end of a JWT's life from its payload, ns UTC; None where it tells none.

    Notes
    -----
    The signature is not checked: only the broker can, and does, on every call.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        payload = parse_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return int(payload["exp"]) * NS_PER_SECOND
    except (ValueError, TypeError, KeyError, ArithmeticError, binascii.Error):
        return None


class Session:
    """Keeps a usable token for everything that talks to Dhan.

    Parameters
    ----------
    config : DhanConfig
    transport : Transport
    clock : Clock
    store : TokenStore, optional
        Read before every login and after every refusal, so that a token another process obtained is used.
    elapsed_ns : callable, optional
        Measures pauses between logins; by default the machine's own time, which no clock setting moves.

    Notes
    -----
    One attempt at a time; who comes meanwhile gets its result.
    """

    def __init__(
        self,
        config: DhanConfig,
        transport: Transport,
        clock: Clock,
        store: TokenStore | None = None,
        *,
        elapsed_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._config = config
        self._transport = transport
        self._clock = clock
        self._store = store
        self._elapsed_ns = elapsed_ns
        self._token = config.access_token.get_secret_value() if config.access_token else None
        self._refused: set[str] = set()
        self._lock = asyncio.Lock()
        self._last_login: int | None = None
        self._last_attempt: int | None = None
        self.logins = 0

    @property
    def can_login(self) -> bool:
        """Whether a login without a person is possible."""
        return self._config.pin is not None and self._config.totp_secret is not None

    @property
    def expires_ns(self) -> int | None:
        """End of the present token's life, ns UTC."""
        return token_expiry_ns(self._token) if self._token else None

    async def token(self) -> str:
        """Give a token that is not known to be dead; renews or logs in where needed.

        Raises
        ------
        AuthExpired
            If there is none and none can be obtained.
        Retryable
            If the login host cannot be reached, or the last login was less than 30 s ago.
        """
        if self._token is not None and self._is_alive(self._token, RENEW_BEFORE_NS):
            return self._token
        async with self._lock:
            if self._token is not None and self._is_usable(self._token):
                return self._token
            return await self._obtain()

    async def refuse(self, token: str) -> str:
        """Tell that the broker refused ``token``; gives another one.

        Raises
        ------
        AuthExpired, Retryable
            As `token`.
        """
        self._refused.add(token)
        async with self._lock:
            if self._token is not None and self._is_alive(self._token, 0):
                return self._token
            return await self._obtain()

    def _is_alive(self, token: str, margin_ns: int) -> bool:
        if token in self._refused:
            return False
        expiry = token_expiry_ns(token)
        return expiry is None or expiry - margin_ns > self._clock.now_ns()

    def _is_usable(self, token: str) -> bool:
        """Whether it lives long enough, or renewing it was tried just now."""
        if self._is_alive(token, RENEW_BEFORE_NS):
            return True
        tried = self._last_attempt
        return (
            self._is_alive(token, 0) and tried is not None and self._elapsed_ns() - tried < LOGIN_INTERVAL_NS
        )

    async def _obtain(self) -> str:
        self._last_attempt = self._elapsed_ns()
        saved = self._store.load() if self._store else None
        if saved and saved != self._token and self._is_alive(saved, 0):
            self._token = saved
            if self._is_alive(saved, RENEW_BEFORE_NS):
                return saved
        old = self._token
        if old is not None and self._is_alive(old, 0):
            fresh = await self._renew(old)
            if fresh is not None:
                return self._keep(fresh)
        if self.can_login:
            try:
                return self._keep(await self._login())
            except BrokerFault:
                # a token near its end still works while the login does not
                if old is not None and self._is_alive(old, 0):
                    return old
                raise
        if old is not None and self._is_alive(old, 0):
            return old
        raise AuthExpired(
            "The access token of Dhan has ended or was refused, and no PIN and TOTP seed are set "
            "to obtain another."
        )

    def _keep(self, token: str) -> str:
        if token in self._refused:
            raise AuthExpired("Dhan handed out the same token that it refuses.")
        self._token = token
        if self._store is not None:
            self._store.save(token)
        return token

    async def _renew(self, token: str) -> str | None:
        """Renew; None where the broker will not (tokens made by TOTP may not be renewable)."""
        headers = {"access-token": token, "dhanClientId": self._config.client_id}
        with contextlib.suppress(BrokerFault):
            answer = await self._transport.send(
                "GET", f"{self._config.rest_url}/RenewToken", headers=headers, is_write=False
            )
            if response_fault(answer.status, answer.body, is_write=False) is None:
                return _token_in(answer)
        return None

    async def _login(self) -> str:
        pin, seed = self._config.pin, self._config.totp_secret
        if pin is None or seed is None:
            raise AuthExpired("Dhan needs PIN and TOTP seed for a login.")
        now = self._elapsed_ns()
        if self._last_login is not None and now - self._last_login < LOGIN_INTERVAL_NS:
            raise Retryable("Dhan was asked for a login less than 30 s ago; wait before the next.")
        server_ns = self._clock.now_ns() + await self._measure_skew()
        self._last_login = self._elapsed_ns()
        self.logins += 1
        try:
            # The code belongs to the broker's time: a clock that is off by seconds still logs in.
            code = pyotp.TOTP(seed.get_secret_value()).at(from_ns(server_ns))
        except (binascii.Error, ValueError):
            raise ConfigFault("The TOTP seed of Dhan is not base32 text of at least 112 bits.") from None
        answer = await self._transport.send(
            "POST",
            f"{self._config.auth_url}/app/generateAccessToken",
            params={"dhanClientId": self._config.client_id, "pin": pin.get_secret_value(), "totp": code},
            is_write=False,
        )
        fault = response_fault(answer.status, answer.body, is_write=False)
        if isinstance(fault, Refusal):
            raise AuthExpired(f"Dhan refused the login: {fault}")
        if fault is not None:
            raise fault
        token = _token_in(answer)
        if token is None:
            raise AuthExpired("Dhan answered the login without a token.")
        return token

    async def _measure_skew(self) -> int:
        """Their clock minus ours, ns, from the Date header of a harmless request."""
        answer = await self._transport.send("GET", self._config.auth_url, is_write=False)
        skew = answer.skew_ns or 0
        if abs(skew) > SKEW_NS_MAX:
            raise ConfigFault(
                f"This machine's clock is {abs(skew) // NS_PER_SECOND} s off Dhan's: "
                "set it (NTP) before trading."
            )
        return skew


def _token_in(answer: Answer) -> str | None:
    body = answer.body if isinstance(answer.body, dict) else {}
    nested = body.get("data")
    for place in (body, nested if isinstance(nested, dict) else {}):
        for name in ("accessToken", "access_token", "token"):
            if isinstance(place.get(name), str) and place[name]:
                return str(place[name])
    return None
