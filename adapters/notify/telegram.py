"""Telegram: a bot's calls, and messages by it."""

from collections.abc import Mapping
from typing import Any, Final

from adapters.notify.guarded import GuardedClient, NothingSent, OutcomeLost
from adapters.notify.sender import Delivered, Outcome, Undelivered, document_of, lost, refusal
from propdesk.core.clock import NS_PER_SECOND

TEXT_MAX: Final = 4_096
_PAUSE_NS: Final = NS_PER_SECOND + 50_000_000
"""Telegram takes about one message a second to a person,"""
_GROUP_PAUSE_NS: Final = 3 * NS_PER_SECOND + 50_000_000
"""and twenty a minute to a group, whose number is negative or which has a name."""


class TelegramBot:
    """Calls of one bot; implements `adapters.notify.sender.Sender`.

    Parameters
    ----------
    client : GuardedClient
        On the address of the Bot API.
    token : str
        It is a part of the path of every call, so no path is ever logged or told.
    """

    name = "telegram"

    def __init__(self, client: GuardedClient, token: str) -> None:
        self._client = client
        self._token = token

    def pause_ns(self, address: str) -> int:
        """Least time between two messages to a chat, ns."""
        return _GROUP_PAUSE_NS if address.startswith(("-", "@")) else _PAUSE_NS

    async def call(
        self, method: str, body: Mapping[str, Any], *, timeout_s: float | None = None
    ) -> tuple[Outcome, Any]:
        """Call a method of the Bot API, once.

        Parameters
        ----------
        method : str
            ``sendMessage``; a reader of updates would take ``getUpdates`` with a long ``timeout_s``.
        body : mapping
        timeout_s : float, optional
            Instead of the client's own, s.

        Returns
        -------
        tuple
            How it went, and Telegram's ``result`` where it went well (else None).
        """
        try:
            answer = await self._client.post(f"/bot{self._token}/{method}", body, timeout_s=timeout_s)
        except (NothingSent, OutcomeLost) as fault:
            return lost(fault), None
        document = document_of(answer)
        if document is None:
            return refusal(answer, "the answer is no JSON object"), None
        if document.get("ok") is True and "result" in document:
            return Delivered(), document["result"]
        parameters = document.get("parameters")
        wait_s = parameters.get("retry_after") if isinstance(parameters, dict) else None
        return refusal(answer, document.get("description"), wait_s), None

    async def send(self, address: str, text: str, *, message_id: str, is_silent: bool) -> Outcome:
        """Send plain text; Telegram has no key by which it would know a repeat."""
        del message_id
        outcome, result = await self.call(
            "sendMessage",
            {
                "chat_id": int(address) if address.lstrip("-").isdigit() else address,
                "text": text[:TEXT_MAX],
                "disable_notification": is_silent,
                "link_preview_options": {"is_disabled": True},
            },
        )
        if isinstance(outcome, Delivered) and not isinstance(result, dict):
            return Undelivered("the answer names no message", is_unknown=True)
        return outcome
