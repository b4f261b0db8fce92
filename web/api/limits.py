"""What is refused before anything looks at it, on every route of the API and of the dashboard."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.api import problems
from web.api.problems import Problem

BODY_BYTES_MAX: Final = 65_536
"""The largest body any route takes: a login, a token, a command."""
_TOO_LARGE: Final = f"A body here has {BODY_BYTES_MAX} bytes at most."


class Limits:
    """Refuse large bodies before they are read whole, and forbid browsers to guess what an answer is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or int(value) > BODY_BYTES_MAX):
                await problems.respond(Problem(413, "too-large", _TOO_LARGE))(scope, receive, send)
                return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > BODY_BYTES_MAX:
                raise HTTPException(413, _TOO_LARGE)
            return message

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                problems.forbid_guessing(MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, counted, dressed)
