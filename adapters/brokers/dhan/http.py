"""Dhan's REST calls: token, pace, error bodies."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from adapters.brokers.dhan.auth import Session
from adapters.brokers.dhan.config import DhanConfig
from adapters.brokers.dhan.faults import response_fault
from adapters.brokers.dhan.transport import Transport
from propdesk.core.clock import NS_PER_SECOND
from propdesk.core.errors import AuthExpired, ConfigFault


class Pace(StrEnum):
    """Classes of calls with a rate limit of their own; the longer windows of orders are their sender's."""

    ORDER = "ORDER"
    BOOK = "BOOK"
    DATA = "DATA"
    QUOTE = "QUOTE"
    CHAIN = "CHAIN"


_RATES: Final[dict[Pace, tuple[int, int]]] = {
    Pace.ORDER: (9, NS_PER_SECOND),
    Pace.BOOK: (18, NS_PER_SECOND),
    Pace.DATA: (4, NS_PER_SECOND),
    Pace.QUOTE: (1, NS_PER_SECOND),
    Pace.CHAIN: (1, 3 * NS_PER_SECOND),
}
"""Calls per window, one below the published limit where that allows more than one."""

ASK_AGAIN_S: Final = 0.5
"""After how long a book is asked for a second time: unread, what is held is watched by nobody."""

_WINDOW_MARGIN_NS: Final = 20_000_000
"""The broker's window starts when a call arrives, not when it leaves."""


class Pacer:
    """Lets at most ``calls`` leave in any window of ``window_ns``; callers are served in order."""

    def __init__(self, calls: int, window_ns: int) -> None:
        self._window_ns = window_ns + _WINDOW_MARGIN_NS
        self._left: deque[int] = deque(maxlen=calls)
        self._lock = asyncio.Lock()

    async def wait(self) -> None:
        """Return when the next call may leave."""
        async with self._lock:
            if len(self._left) == self._left.maxlen:
                rest = self._left[0] + self._window_ns - time.monotonic_ns()
                if rest > 0:
                    await asyncio.sleep(rest / NS_PER_SECOND)
            self._left.append(time.monotonic_ns())


class DhanHttp:
    """Sends REST calls with a live token.

    Parameters
    ----------
    config : DhanConfig
    transport : Transport
    session : Session
    is_paced : bool
        Whether calls wait for their rates.
    """

    def __init__(
        self, config: DhanConfig, transport: Transport, session: Session, *, is_paced: bool = True
    ) -> None:
        self.config = config
        self._transport = transport
        self.session = session
        self._pacers = {pace: Pacer(*rate) for pace, rate in _RATES.items() if is_paced}
        self._writes = 0

    @property
    def writes(self) -> int:
        """Calls so far that could have changed something, each counted before it left."""
        return self._writes

    async def read(
        self, path: str, *, pace: Pace = Pace.BOOK, params: Mapping[str, str] | None = None
    ) -> Any:
        """GET; see `call`."""
        return await self.call("GET", path, pace=pace, params=params, is_write=False)

    async def read_soon(self, path: str) -> Any:
        """GET a book whose answer may drip in or never come; raises what the first of its calls does.

        Notes
        -----
        Every half second without an answer it is asked for anew, beside the first call, which keeps its whole
        time: one stuck answer costs no more than that, and a broker that is slow with all is still heard.
        At most two calls are under way. A stepped broker is asked once: its time stands still meanwhile.
        """
        if not self._pacers:
            return await self.read(path)
        first = asyncio.ensure_future(self.read(path))
        again = first
        try:
            await asyncio.wait({first}, timeout=ASK_AGAIN_S)
            while not first.done():
                again = asyncio.ensure_future(self.read(path))
                await asyncio.wait({first, again}, timeout=ASK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
                if again.done() and not again.cancelled() and again.exception() is None:
                    return again.result()
                if again.done():  # refused at once: the first one decides, and is given time again
                    await asyncio.wait({first}, timeout=ASK_AGAIN_S)
                again.cancel()
            return await first
        finally:
            first.cancel()
            again.cancel()
            await asyncio.gather(first, again, return_exceptions=True)

    async def ask(self, path: str, body: Mapping[str, Any], *, pace: Pace) -> Any:
        """POST that only reads (charts, quotes, margins); see `call`."""
        return await self.call("POST", path, body=body, pace=pace, is_write=False)

    async def write(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        leave_by_ns: int | None = None,
    ) -> Any:
        """Change something at the broker, sent once; see `call`.

        Raises
        ------
        ConfigFault
            If this process may not trade.
        """
        if not self.config.may_trade:
            raise ConfigFault("This process reads prices only; it holds no right to trade at Dhan.")
        return await self.call(
            method,
            path,
            body=body,
            params=params,
            pace=Pace.ORDER,
            is_write=True,
            leave_by_ns=leave_by_ns,
        )

    async def call(
        self,
        method: str,
        path: str,
        *,
        pace: Pace,
        is_write: bool,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        leave_by_ns: int | None = None,
    ) -> Any:
        """Send a call and give its parsed body.

        Parameters
        ----------
        leave_by_ns : int, optional
            Moment of the process's own time by which it leaves or not at all: a token may take long to get.

        Raises
        ------
        TooLate
            If it could not leave by then.
        Retryable, OutcomeUnknown, Refusal, AuthExpired
            As `adapters.brokers.dhan.faults` says.

        Notes
        -----
        A refused token proves that nothing was done, so the call is sent again with another one, once.
        """
        token = await self.session.token()
        for last in (False, True):
            if pace in self._pacers:
                await self._pacers[pace].wait()
            self._writes += is_write
            answer = await self._transport.send(
                method,
                f"{self.config.rest_url}{path}",
                headers=self._headers(token),
                params=params,
                body=None if body is None else {"dhanClientId": self.config.client_id, **body},
                is_write=is_write,
                leave_by_ns=leave_by_ns,
            )
            fault = response_fault(answer.status, answer.body, is_write=is_write)
            if fault is None:
                return answer.body
            if last or not isinstance(fault, AuthExpired):
                raise fault
            token = await self.session.refuse(token)
        raise AuthExpired("Dhan refuses every token.")

    def _headers(self, token: str) -> dict[str, str]:
        return {
            "access-token": token,
            "client-id": self.config.client_id,
            "dhanClientId": self.config.client_id,
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
