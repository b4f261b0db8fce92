"""HTTP connections of the webhook: whoever sends no request soon is closed, and takes nobody's place."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S: Final = 10.0
"""From the connection, or from the answer before, to the end of a request's headers, s."""
WAITING_MAX: Final = 64
"""Connections that may wait for a request at once; one more closes the one that waits longest."""

_waiting: dict["GuardedProtocol", asyncio.TimerHandle] = {}


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol, whose own limits begin only with a request's headers.

    Notes
    -----
    The limit runs from the beginning of the wait, however many bytes drip in meanwhile.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read; with the end of the headers the wait is over."""
        super().data_received(data)
        if self._is_busy():
            self._wait_no_longer()

    def on_response_complete(self) -> None:
        """Wait for the next request, which may have come already."""
        super().on_response_complete()
        if not self._is_busy():
            self._wait()

    def _is_busy(self) -> bool:
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _wait(self) -> None:
        self._wait_no_longer()
        if self.transport.is_closing():
            return
        if len(_waiting) >= WAITING_MAX:
            next(iter(_waiting)).close_waiting()
        _waiting[self] = self.loop.call_later(HEAD_S, self.close_waiting)

    def _wait_no_longer(self) -> None:
        timer = _waiting.pop(self, None)
        if timer is not None:
            timer.cancel()

    def close_waiting(self) -> None:
        """Close a connection that brought no request."""
        self._wait_no_longer()
        self.transport.abort()
