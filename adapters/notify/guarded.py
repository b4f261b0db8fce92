"""HTTP to addresses that a person configured, and to nothing that they turn out to lead to.

The name is resolved here, every address it has is looked at, and the connection goes to the one looked at: a
name that answers differently a moment later (DNS rebinding) gains nothing. No redirect is followed, no proxy
of the environment is used, answers are cut off by size and time.
"""

import asyncio
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import httpx

from adapters.log import silence_request_logs
from adapters.settings import is_loopback
from propdesk.core.errors import PropdeskError

TIMEOUT_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 65_536
_CONNECT_SHARE: Final = 0.6
"""Connecting ends before the whole time is over, so that it is known that nothing left."""

_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]


class NothingSent(PropdeskError):
    """No byte of the request left."""


class OutcomeLost(PropdeskError):
    """The request left, and no answer came that could be read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def resolve(host: str, port: int) -> list[str]:
    """Give the addresses of a host by the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class GuardedClient:
    """Posts JSON to one base address.

    Parameters
    ----------
    url : str
        Base address; ``https``, or ``http`` to this machine (or a private network, where that is allowed).
    is_private_allowed : bool
        Whether it may lie in a private network. An address of this machine may where the URL names it so.
    timeout_s : float
        For a whole call.
    answer_bytes_max : int
        A longer answer is not read.
    resolve : callable
        Gives the addresses of a host and port.
    """

    def __init__(
        self,
        url: str,
        *,
        is_private_allowed: bool = False,
        timeout_s: float = TIMEOUT_S,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
        resolve: Resolve = resolve,
    ) -> None:
        silence_request_logs()
        self._url = httpx.URL(url)
        self._is_local = is_loopback(url)
        self._is_private_allowed = is_private_allowed
        self._timeout_s = timeout_s
        self._answer_bytes_max = answer_bytes_max
        self._resolve = resolve
        # A connection that the other side closed meanwhile would look like an answer that was lost.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(follow_redirects=False, trust_env=False, limits=limits)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send one request, once.

        Parameters
        ----------
        path : str
            Behind the base address; may hold a secret, so no message ever shows it.
        body : mapping
            Sent as JSON.
        headers : mapping, optional
        timeout_s : float, optional
            Instead of the client's own, s.

        Raises
        ------
        NothingSent
            If the host has no address that may be called, or none that answers.
        OutcomeLost
            If it left and no whole answer came in time.
        """
        limit = timeout_s or self._timeout_s
        is_under_way = False
        try:
            # httpx limits the pause between two bytes only: an answer that drips in would never end
            async with asyncio.timeout(limit):
                addresses = await self._addresses()
                is_under_way = True
                content = json.dumps(body, allow_nan=False).encode()
                share_s = limit * _CONNECT_SHARE / len(addresses)
                wait = httpx.Timeout(limit, connect=share_s)
                return await self._send(
                    [self._request(address, path, content, headers or {}, wait) for address in addresses]
                )
        except _NEVER_SENT as error:
            raise NothingSent(f"{self._url.host} cannot be reached ({type(error).__name__})") from None
        except (httpx.HTTPError, TimeoutError) as error:
            if not is_under_way:
                raise NothingSent(f"the name {self._url.host} was not resolved in time") from None
            raise OutcomeLost(f"no answer of {self._url.host} ({type(error).__name__})") from None

    @property
    def _port(self) -> int:
        return self._url.port or (443 if self._url.scheme == "https" else 80)

    async def _addresses(self) -> list[str]:
        """Give the addresses of the host, all of which are allowed."""
        host = self._url.host
        try:
            found = await self._resolve(host, self._port)
        except OSError as error:
            raise NothingSent(f"the name {host} has no address ({error.strerror})") from None
        for text in found:
            if not self._is_allowed(ipaddress.ip_address(text.partition("%")[0])):
                raise NothingSent(
                    f"{host} leads to {text}, which is no public address: it is not called "
                    "(PROPDESK_WUZAPI_IS_PRIVATE allows one of a private network)"
                )
        if not found:
            raise NothingSent(f"the name {host} has no address")
        return list(dict.fromkeys(found))

    def _is_allowed(self, address: Address) -> bool:
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        if self._is_local:
            return address.is_loopback
        if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
            return False
        return address.is_global or (self._is_private_allowed and address.is_private)

    def _request(
        self, address: str, path: str, content: bytes, headers: Mapping[str, str], wait: httpx.Timeout
    ) -> httpx.Request:
        base = self._url.path.rstrip("/")
        return self._client.build_request(
            "POST",
            self._url.copy_with(host=address, port=self._port, path=f"{base}{path}"),
            content=content,
            headers={**headers, "Content-Type": "application/json", "Host": self._url.netloc.decode()},
            timeout=wait,
            extensions={"sni_hostname": self._url.host},
        )

    async def _send(self, requests: list[httpx.Request]) -> Answer:
        """Send to the first address that takes a connection: IPv6 is often announced and out of reach."""
        for request in requests[:-1]:
            with suppress(*_NEVER_SENT):
                return await self._read(request)
        return await self._read(requests[-1])

    async def _read(self, request: httpx.Request) -> Answer:
        response = await self._client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._answer_bytes_max:
                    raise OutcomeLost(f"{self._url.host} answers more than {self._answer_bytes_max} bytes")
        finally:
            await response.aclose()
        return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(body))
