"""What Dhan says before the open: token, clocks, address, segments, locks; changes nothing there."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

from adapters.brokers.dhan.client import DhanClient
from adapters.brokers.dhan.faults import AccessRefusal, RefusalKind
from propdesk.core.clock import Clock
from propdesk.core.errors import AccessRefused, AuthExpired, BrokerFault, ConfigFault, PropdeskError, Rejected
from propdesk.risk.preflight import (
    Check,
    Verdict,
    judge_segments,
    judge_skew,
    judge_token,
)

_LOGIN: Final = "look at client id, PIN and TOTP seed (PROPDESK_DHAN_…), or set a new access token"
_REGISTER: Final = "register this machine's address at Dhan, and trade from there"


async def check_broker(
    client: DhanClient, clock: Clock, close_ns: int, allocations: Mapping[str, float]
) -> list[Check]:
    """Ask the broker what decides whether the day can be traded there.

    Parameters
    ----------
    client : DhanClient
        Of a process that may trade: whether the address is let through shows on a change only.
    clock : Clock
        The machine's; a sandbox's where that is the broker.
    close_ns : int
        Close of the day, ns UTC.
    allocations : mapping of str to float
        Category to its share of the corpus.

    Returns
    -------
    list of Check
        What could not be asked is UNKNOWN; a refusal is RED.
    """

    async def token() -> Check:
        await client.session.token()
        can_login = client.session.can_login
        return judge_token(client.session.expires_ns, clock.now_ns(), close_ns, can_login=can_login)

    async def segments() -> Check:
        return judge_segments((await client.control.profile()).segments, allocations)

    checks = [await _asked("token", token, _LOGIN)]
    if checks[0].verdict is Verdict.RED:
        return checks  # everything else would only be refused for the same reason
    checks.append(await _asked("segments", segments, "look at the account at Dhan"))
    checks.append(await _asked("static IP", lambda: _address(client), _REGISTER))
    checks.append(judge_skew("clock against broker", client.skew_ns))
    return checks


async def _address(client: DhanClient) -> Check:
    registered = "not told"
    with suppress(BrokerFault):  # how Dhan lists them is its own matter; an order that is let through decides
        registered = ", ".join(await client.control.registered_ips()) or "none named"
    try:
        await client.control.check_access()
    except AccessRefusal as refusal:
        if refusal.kind is RefusalKind.KILL_SWITCH:
            remedy = "lift the kill switch of the account at Dhan, once it is clear why it was set"
            return Check("static IP", Verdict.RED, str(refusal), remedy)
        return Check("static IP", Verdict.RED, f"{refusal}; registered: {registered}", _REGISTER)
    return Check("static IP", Verdict.GREEN, f"orders are taken from here; registered: {registered}")


async def _asked(name: str, ask: Callable[[], Awaitable[Check]], remedy: str) -> Check:
    try:
        return await ask()
    except (AuthExpired, AccessRefused, Rejected, ConfigFault) as fault:
        return Check(name, Verdict.RED, str(fault), remedy)
    except PropdeskError as fault:
        return Check(name, Verdict.UNKNOWN, str(fault), "try again; see whether Dhan answers at all")
