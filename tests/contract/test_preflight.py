"""What the broker says before the open, with each of the sandbox's faults."""

from dataclasses import replace
from datetime import datetime

import pytest
from pydantic import SecretStr

from adapters.brokers.dhan.auth import token_expiry_ns
from adapters.brokers.dhan.client import DhanClient
from adapters.brokers.dhan.preflight import check_broker
from adapters.brokers.dhan.transport import TimeOuts
from propdesk.core.calendar import ist_to_ns
from propdesk.core.clock import NS_PER_HOUR, NS_PER_SECOND
from propdesk.risk.preflight import Check, Outcome, Verdict, outcome_of
from sandbox.faults import Fault, FaultKind
from sandbox.knobs import Knobs
from tests.contract.conftest import Desk

CLOSE_NS = ist_to_ns(datetime(2025, 7, 1, 15, 30))  # noqa: DTZ001 - read as IST
CAPITAL = {"NSE_EQ": 0.3, "INDEX_OPT": 0.2}
ALL = ["token", "segments", "static IP", "clock against broker"]


async def ask(desk: Desk) -> dict[str, Check]:
    found = await check_broker(desk.client, desk.clock, CLOSE_NS, CAPITAL)
    return {check.name: check for check in found}


def reds(found: dict[str, Check]) -> list[str]:
    return [name for name, check in found.items() if check.verdict is Verdict.RED]


async def test_a_broker_in_order_is_green_and_nothing_was_changed_there(desk: Desk) -> None:
    found = await ask(desk)
    assert list(found) == ALL
    assert {check.verdict for check in found.values()} == {Verdict.GREEN}, found
    assert "127.0.0.1" in found["static IP"].found
    assert not desk.world.exchange.orders
    assert not desk.world.exchange.is_killed


async def test_an_address_that_is_not_let_through_is_told_with_those_registered(desk: Desk) -> None:
    desk.world.faults.arm(Fault(FaultKind.IP_REFUSED, path="/orders"))
    found = await ask(desk)
    assert reds(found) == ["static IP"]
    assert "127.0.0.1" in found["static IP"].found
    assert "register" in found["static IP"].remedy


async def test_the_brokers_own_kill_switch_is_told(desk: Desk) -> None:
    desk.world.exchange.is_killed = True
    found = await ask(desk)
    assert reds(found) == ["static IP"]
    assert "kill switch" in found["static IP"].found


@pytest.mark.parametrize("skew_s", [-30, 30])
async def test_a_clock_out_of_step_is_told(desk: Desk, skew_s: int) -> None:
    desk.world.faults.arm(Fault(FaultKind.CLOCK_SKEW, count=99, values={"skew_s": skew_s}))
    assert reds(await ask(desk)) == ["clock against broker"]


async def test_a_token_that_ended_and_cannot_be_had_anew_is_told_alone(desk: Desk) -> None:
    token = await desk.client.session.token()
    expiry = token_expiry_ns(token)
    assert expiry is not None

    alone = replace(desk.config, access_token=SecretStr(token), pin=None, totp_secret=None)
    desk.clock.ahead_ns = expiry - desk.clock.now_ns() + NS_PER_SECOND
    async with DhanClient(alone, desk.clock) as client:
        found = await check_broker(client, desk.clock, CLOSE_NS, CAPITAL)
    assert [(check.name, check.verdict) for check in found] == [("token", Verdict.RED)]


async def test_a_login_that_is_refused_is_told(desk: Desk) -> None:

    wrong = replace(desk.config, pin=SecretStr("000000"))
    async with DhanClient(wrong, desk.clock) as client:
        found = await check_broker(client, desk.clock, CLOSE_NS, CAPITAL)
    assert [(check.name, check.verdict) for check in found] == [("token", Verdict.RED)]
    assert "000000" not in found[0].found


class TestShortTokens:
    @pytest.fixture
    def knobs(self) -> Knobs:
        return Knobs(transit_ms=0, rate_limits=False, token_life_s=2 * 3_600)

    async def test_a_token_that_ends_within_the_day_is_told_but_renewed_by_itself(self, desk: Desk) -> None:
        found = await ask(desk)
        assert found["token"].verdict is Verdict.NOTE
        assert desk.client.session.expires_ns == desk.world.now_ns + 2 * NS_PER_HOUR


@pytest.mark.parametrize(
    ("path", "names"),
    [("/profile", ["segments"]), ("/killswitch", ["static IP"]), ("/orders", ["static IP"])],
)
async def test_what_is_not_answered_is_unknown_and_never_green(
    desk: Desk, path: str, names: list[str]
) -> None:
    desk.world.faults.arm(Fault(FaultKind.ERROR_STATUS, count=99, path=path, values={"status": 503}))
    found = await ask(desk)
    assert [name for name, check in found.items() if check.verdict is Verdict.UNKNOWN] == names
    assert reds(found) == []
    assert outcome_of(list(found.values()), is_live=True) is Outcome.UNKNOWN


async def test_where_nobody_answers_everything_is_unknown(desk: Desk) -> None:
    closed = replace(desk.config, rest_url="http://127.0.0.1:9", auth_url="http://127.0.0.1:9")
    async with DhanClient(closed, desk.clock, time_outs=TimeOuts(connect_s=0.2)) as client:
        found = await check_broker(client, desk.clock, CLOSE_NS, CAPITAL)
    assert [check.name for check in found] == ALL
    assert {check.verdict for check in found} == {Verdict.UNKNOWN}


async def test_how_addresses_are_listed_decides_nothing(desk: Desk) -> None:
    desk.world.faults.arm(Fault(FaultKind.ERROR_STATUS, count=99, path="/ip/getIP", values={"status": 503}))
    found = await ask(desk)
    assert found["static IP"].verdict is Verdict.GREEN
    assert "not told" in found["static IP"].found
