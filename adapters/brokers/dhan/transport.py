"""One long-lived HTTP client with typed time-outs; tells what provably did not leave from what may have.

Nothing here ever logs an address: those of the login carry PIN and TOTP.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from adapters.log import silence_request_logs
from propdesk.core.clock import NS_PER_SECOND, Clock, to_ns
from propdesk.core.errors import BrokerFault, OutcomeUnknown, Retryable, TooLate

_BODY_BYTES_MAX: Final = 64_000_000
"""An option chain has under 1 MB, 90 days of minute candles under 5 MB."""

_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class TimeOuts:
    """Time-outs in seconds.

    Attributes
    ----------
    connect_s : float
        Until a connection stands; its end proves that nothing left.
    order_s : float
        Until an order call is answered to its last byte, after connecting (never the official client's 60 s).
    read_s : float
        Until anything else is answered.
    """

    connect_s: float = 2.0
    order_s: float = 5.0
    read_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status and parsed body; None for an empty body. ``skew_ns``: their clock minus ours."""

    status: int
    body: Any
    skew_ns: int | None


class Transport:
    """Sends requests and turns what can go wrong below HTTP into our exceptions.

    Parameters
    ----------
    clock : Clock
        Compared with the ``Date`` header of every answer.
    time_outs : TimeOuts, optional
    transport : httpx.AsyncBaseTransport, optional
        Stands in for the network in tests.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        time_outs: TimeOuts | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        silence_request_logs()
        self._clock = clock
        self._time_outs = time_outs or TimeOuts()
        self.skew_ns: int | None = None
        # HTTP/1.1 only: the broker's load balancer answers writes over HTTP/2 with false redirects.
        self._client = httpx.AsyncClient(
            http1=True,
            http2=False,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=30.0),
            transport=transport,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        is_write: bool,
        leave_by_ns: int | None = None,
    ) -> Answer:
        """Send one request, once.

        Raises
        ------
        TooLate
            ``leave_by_ns`` (`time.monotonic_ns`) has passed; nothing left.
        Retryable
            Nothing left this machine, or the call could not have changed anything.
        OutcomeUnknown
            A write left and no readable answer came back.
        """
        limit = self._time_outs.order_s if is_write else self._time_outs.read_s
        wait = httpx.Timeout(limit, connect=self._time_outs.connect_s)
        if leave_by_ns is not None:
            left_s = (leave_by_ns - time.monotonic_ns()) / NS_PER_SECOND
            if left_s <= 0:
                raise TooLate("The moment to send this order by has passed; nothing was sent.")
            # a connection is waited for, then made: together by the deadline
            wait = httpx.Timeout(limit, connect=min(self._time_outs.connect_s, left_s / 2), pool=left_s / 2)
        try:
            # httpx limits the pause between two bytes only: an answer that drips in would never end
            async with asyncio.timeout(limit + self._time_outs.connect_s):
                response = await self._client.request(
                    method,
                    url,
                    headers=dict(headers or {}),
                    params=dict(params) if params else None,
                    content=None if body is None else json.dumps(body, allow_nan=False).encode(),
                    timeout=wait,
                )
        except _NEVER_SENT as error:
            raise Retryable(
                f"Dhan could not be reached ({type(error).__name__}); nothing was sent."
            ) from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise _lost(type(error).__name__, is_write=is_write) from None
        return self._read(response, is_write=is_write)

    def _read(self, response: httpx.Response, *, is_write: bool) -> Answer:
        skew = self._skew(response.headers.get("date"))
        if skew is not None:
            self.skew_ns = skew
        content = response.content
        if not content.strip():
            return Answer(response.status_code, None, skew)
        if len(content) > _BODY_BYTES_MAX:
            raise _lost("body too large", is_write=is_write)
        try:
            return Answer(response.status_code, parse_json(content), skew)
        except ValueError:
            if response.status_code >= 400:  # a proxy's page: the status alone decides
                return Answer(response.status_code, None, skew)
            raise _lost("body is no JSON", is_write=is_write) from None

    def _skew(self, date: str | None) -> int | None:
        if date is None:
            return None
        try:
            return to_ns(parsedate_to_datetime(date)) - self._clock.now_ns()
        except (ValueError, TypeError, AssertionError):
            return None


def parse_json(content: bytes | str) -> Any:
    """Parse JSON with exact numbers: fractions as Decimal, no NaN or Infinity.

    Raises
    ------
    ValueError
        If it is not JSON.
    """
    return json.loads(content, parse_float=Decimal, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _lost(what: str, *, is_write: bool) -> BrokerFault:
    if is_write:
        return OutcomeUnknown(f"The answer of Dhan was lost ({what}); the call may have had an effect.")
    return Retryable(f"The answer of Dhan was lost ({what}); reading again is harmless.")
