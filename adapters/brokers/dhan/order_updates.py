"""Order-update WebSocket: a wake-up call, never the truth; it may lose, repeat and reorder."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable

from websockets.asyncio.client import ClientConnection

from adapters.brokers.dhan import parse
from adapters.brokers.dhan.auth import Session
from adapters.brokers.dhan.config import DhanConfig
from adapters.brokers.dhan.model import OrderAlert
from adapters.brokers.dhan.stream import Stream, StreamTiming
from adapters.brokers.dhan.transport import parse_json
from propdesk.core.errors import BrokerFault, DataFault

_LOGIN_CODE = 42


class OrderUpdates:
    """Streams order alerts of every platform of the account.

    Parameters
    ----------
    on_change : callable, optional
        Told ``("orders", connected, reason)`` at each connect and loss: reconcile after each connect, since
        nothing is replayed.

    Notes
    -----
    Silence is normal here, so a mute socket cannot be told by silence: whoever finds by polling what the
    stream should have told calls `suspect`.
    """

    def __init__(
        self,
        config: DhanConfig,
        session: Session,
        *,
        on_change: Callable[[str, bool, str], None] | None = None,
        timing: StreamTiming | None = None,
    ) -> None:
        self._config = config
        self._session = session
        self._token = ""
        self.unreadable = 0
        self.stream = Stream(
            "orders",
            self._address,
            self._greet,
            is_due=lambda: False,
            on_refused=self._refused,
            on_change=on_change or (lambda _name, _connected, _reason: None),
            timing=timing or StreamTiming(),
        )

    async def alerts(self) -> AsyncIterator[OrderAlert]:
        """Give alerts until cancelled; a malformed message is counted and left out."""
        async for frame in self.stream.frames():
            try:
                alert = parse.order_alert(parse_json(frame))
            except (DataFault, ValueError):
                self.unreadable += 1
                continue
            if alert is not None:
                yield alert

    async def suspect(self) -> None:
        """Connect anew: polling found what the stream did not tell."""
        await self.stream.drop("mute socket: polling found news that the stream did not tell")

    async def _refused(self) -> None:
        with contextlib.suppress(BrokerFault):
            await self._session.refuse(self._token)

    async def _address(self) -> str:
        return self._config.order_update_url

    async def _greet(self, socket: ClientConnection) -> None:
        self._token = await self._session.token()
        login = {"MsgCode": _LOGIN_CODE, "ClientId": self._config.client_id, "Token": self._token}
        await socket.send(json.dumps({"LoginReq": login, "UserType": "SELF"}))
