"""WhatsApp through a WuzAPI server of the desk's own."""

import re
from typing import Final

from adapters.notify.guarded import GuardedClient, NothingSent, OutcomeLost
from adapters.notify.sender import Delivered, Outcome, document_of, lost, refusal
from propdesk.core.clock import NS_PER_SECOND

_PAUSE_NS: Final = NS_PER_SECOND + 50_000_000
"""WhatsApp names no rate; who sends faster than a person is shut out."""
_MARK: Final = re.compile(r"(?<!\w)[*_~`]|[*_~`](?!\w)")
_HARMLESS: Final = {"*": "∗", "_": "＿", "~": "∼", "`": "ʼ"}


class WuzApi:
    """Messages of one WhatsApp number; implements `adapters.notify.sender.Sender`.

    Parameters
    ----------
    client : GuardedClient
        On the address of the server.
    token : str
        Of the server's user, whose number sends.
    """

    name = "wuzapi"

    def __init__(self, client: GuardedClient, token: str) -> None:
        self._client = client
        self._token = token

    def pause_ns(self, address: str) -> int:
        """Least time between two messages to a number, ns."""
        del address
        return _PAUSE_NS

    async def send(self, address: str, text: str, *, message_id: str, is_silent: bool) -> Outcome:
        """Send plain text under an id of ours, by which WhatsApp knows a repeat; it is never silent."""
        del is_silent
        try:
            answer = await self._client.post(
                "/chat/send/text",
                {"Phone": address, "Body": without_marks(text), **({"Id": message_id} if message_id else {})},
                {"Token": self._token},
            )
        except (NothingSent, OutcomeLost) as fault:
            return lost(fault)
        document = document_of(answer)
        if document is None:
            return refusal(answer, "the answer is no JSON object")
        if answer.status == 200 and document.get("success") is True:
            return Delivered()
        return refusal(answer, document.get("error") or document.get("message"))


def without_marks(text: str) -> str:
    """Put look-alikes for the characters that WhatsApp would read as bold, slanted, struck or code.

    Examples
    --------
    >>> without_marks("*buy* NSE_EQ:TATA")
    '∗buy∗ NSE_EQ:TATA'
    """
    return _MARK.sub(lambda found: _HARMLESS[found[0]], text)
