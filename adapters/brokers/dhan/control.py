"""Broker-side locks: kill switch and P&L exit; static IP and profile."""

from dataclasses import dataclass
from typing import Any

from adapters.brokers.dhan import parse
from adapters.brokers.dhan.faults import AccessRefusal, RefusalKind
from adapters.brokers.dhan.http import DhanHttp
from adapters.brokers.dhan.model import PnlExit
from adapters.brokers.dhan.orders import rupees
from propdesk.core.errors import AccessRefused, Rejected

_NO_ORDER = "0"


@dataclass(frozen=True, slots=True)
class Profile:
    """The account as the token shows it; ``valid_until_ns`` is the token's end in Dhan's words."""

    client_id: str
    segments: tuple[str, ...]
    has_data_plan: bool
    valid_until_ns: int | None


class Control:
    """Locks of the account."""

    def __init__(self, http: DhanHttp) -> None:
        self._http = http

    async def activate_kill_switch(self) -> None:
        """Lock trading for the rest of the day; the last step of a halt, refused unless flat and idle.

        Raises
        ------
        Refusal
            While a position or a pending order is left.
        """
        await self._http.write("POST", "/killswitch", params={"killSwitchStatus": "ACTIVATE"})

    async def deactivate_kill_switch(self) -> None:
        """Unlock trading; Dhan limits how often a day."""
        await self._http.write("POST", "/killswitch", params={"killSwitchStatus": "DEACTIVATE"})

    async def is_kill_switch_active(self) -> bool:
        """Read the lock."""
        row = parse.object_of(await self._http.read("/killswitch"), "kill switch")
        words = (
            parse.text(row, "killSwitchStatus")
            .upper()
            .replace("DEACTIVATE", "OFF")
            .replace("INACTIVE", "OFF")
        )
        return "ACTIV" in words

    async def check_access(self) -> None:
        """Find out whether orders are taken from here, by one that cannot do anything.

        Raises
        ------
        AuthExpired, AccessRefused
            If they are not.

        Notes
        -----
        The address is checked on changes only, and before the order is looked for: cancelling an order that
        cannot exist is refused for its own sake once the address is let through.
        """
        if await self.is_kill_switch_active():
            raise AccessRefusal("The kill switch of the account is active.", RefusalKind.KILL_SWITCH)
        try:
            await self._http.write("DELETE", f"/orders/{_NO_ORDER}")
        except AccessRefused:
            raise
        except Rejected:
            return

    async def set_pnl_exit(
        self, *, profit_paise: int, loss_paise: int, products: tuple[str, ...], with_kill_switch: bool
    ) -> None:
        """Let the broker flatten at a day's profit or loss (both > 0, paise).

        ``products`` are the words of this call: INTRADAY, DELIVERY.
        """
        body = {
            "profitValue": rupees(profit_paise),
            "lossValue": rupees(loss_paise),
            "productType": list(products),
            "enableKillSwitch": with_kill_switch,
        }
        await self._http.write("POST", "/pnlExit", body)

    async def pnl_exit(self) -> PnlExit:
        """Read the back-stop."""
        return parse.pnl_exit(await self._http.read("/pnlExit"))

    async def stop_pnl_exit(self) -> None:
        """Take the back-stop away."""
        await self._http.write("DELETE", "/pnlExit")

    async def profile(self) -> Profile:
        """Read the account's segments and the token's end."""
        row = parse.object_of(await self._http.read("/profile"), "profile")
        segments = tuple(word.strip() for word in parse.text(row, "activeSegment").split(",") if word.strip())
        return Profile(
            client_id=parse.text(row, "dhanClientId"),
            segments=segments,
            has_data_plan=parse.text(row, "dataPlan").lower() == "active",
            valid_until_ns=parse.moment_ns(row.get("tokenValidity")),
        )

    async def registered_ips(self) -> tuple[str, ...]:
        """List the registered static addresses, primary first; empty where Dhan names none.

        Notes
        -----
        The names of its fields are not documented: every value that reads like an address counts.
        """
        return tuple(dict.fromkeys(_addresses(await self._http.read("/ip/getIP"))))


def _addresses(body: Any) -> list[str]:
    if isinstance(body, dict):
        return [found for value in body.values() for found in _addresses(value)]
    if isinstance(body, list):
        return [found for value in body for found in _addresses(value)]
    words = str(body)
    is_address = words.count(".") == 3 and all(part.isdigit() for part in words.split("."))
    return [words] if is_address or (words.count(":") >= 2 and " " not in words and "-" not in words) else []
