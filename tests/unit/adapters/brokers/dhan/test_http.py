import asyncio
import base64
import io
import json
import logging
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path

import httpx
import pyotp
import pytest
from pydantic import SecretStr

from adapters.brokers.dhan import auth as auth_module
from adapters.brokers.dhan import http as http_module
from adapters.brokers.dhan import transport as transport_module
from adapters.brokers.dhan.auth import FileTokenStore, token_expiry_ns
from adapters.brokers.dhan.client import DhanClient
from adapters.brokers.dhan.config import DhanConfig, data_config, trading_config
from adapters.brokers.dhan.faults import Refusal
from adapters.brokers.dhan.orders import OrderRequest
from adapters.brokers.dhan.super_orders import SuperOrderRequest
from adapters.settings import Settings
from propdesk.core.clock import ManualClock
from propdesk.core.errors import AuthExpired, ConfigFault, OutcomeUnknown, Retryable, TooLate
from propdesk.model.enums import Product, Side

NOW_S = 1_736_915_400
PIN, SEED = "canary-pin-1234", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
ORDER = OrderRequest("pABC", Side.BUY, "NSE_EQ", "11536", Product.INTRADAY, 5, 10_005)
ACCEPTED = {"orderId": "17", "orderStatus": "TRANSIT"}
DEAD = {"errorType": "Invalid_Authentication", "errorCode": "DH-901", "errorMessage": "expired"}


def jwt(lives_s: int, name: str = "a") -> str:
    parts = [{"alg": "none"}, {"exp": NOW_S + lives_s, "name": name}]
    body = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*body, "signature"])


def config(token: str | None = None, *, may_trade: bool = True, can_login: bool = False) -> DhanConfig:
    return DhanConfig(
        client_id="1000000001",
        rest_url="https://rest.test/v2",
        auth_url="https://auth.test",
        order_update_url="wss://orders.test",
        feed_url="wss://feed.test",
        master_url="https://files.test/master.csv",
        access_token=SecretStr(token) if token else None,
        pin=SecretStr(PIN) if can_login else None,
        totp_secret=SecretStr(SEED) if can_login else None,
        may_trade=may_trade,
    )


def client(
    handler: Callable[[httpx.Request], httpx.Response],
    conf: DhanConfig,
    store: FileTokenStore | None = None,
) -> DhanClient:
    clock = ManualClock(NOW_S * 1_000_000_000)
    return DhanClient(conf, clock, store=store, transport=httpx.MockTransport(handler))


def slow_client(handler: Callable[[httpx.Request], Awaitable[httpx.Response]]) -> DhanClient:
    clock, conf = ManualClock(NOW_S * 1_000_000_000), config(jwt(86_400))
    return DhanClient(conf, clock, transport=httpx.MockTransport(handler))


def test_the_tokens_own_end_is_read() -> None:
    assert token_expiry_ns(jwt(60)) == (NOW_S + 60) * 1_000_000_000
    for broken in ("", "a.b", "a.!.c", "a.e30.c"):
        assert token_expiry_ns(broken) is None


@pytest.mark.parametrize("stuck", [1, 3])
async def test_a_book_whose_answers_never_end_is_asked_for_anew(
    monkeypatch: pytest.MonkeyPatch, stuck: int
) -> None:
    monkeypatch.setattr(http_module, "ASK_AGAIN_S", 0.01)
    asked: list[str] = []
    left: list[str] = []

    async def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if len(asked) <= stuck:
            try:
                await asyncio.Event().wait()
            finally:
                left.append(request.url.path)
        return httpx.Response(200, json=[])

    async with slow_client(handler) as dhan, asyncio.timeout(5):
        assert (await dhan.orders.read()).rows == ()
    assert (len(asked), len(left)) == (stuck + 1, stuck), "none is left behind"


async def test_a_slow_book_is_heard_though_asking_anew_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "ASK_AGAIN_S", 0.01)
    refused = asyncio.Event()
    calls = iter(range(99))

    async def handler(request: httpx.Request) -> httpx.Response:
        if next(calls) == 0:
            await refused.wait()
            return httpx.Response(200, json=[])
        refused.set()
        return httpx.Response(500)

    async with slow_client(handler) as dhan, asyncio.timeout(5):
        assert (await dhan.super_orders.read()).rows == ()


async def test_a_book_that_is_refused_at_once_is_not_asked_for_anew() -> None:
    asked: list[str] = []

    async def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(500)

    async with slow_client(handler) as dhan:
        with pytest.raises(Retryable):
            await dhan.portfolio.positions()
    assert asked == ["/v2/positions"]


async def test_an_order_leaves_with_its_headers_and_no_key_that_does_not_apply() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=ACCEPTED)

    token = jwt(86_400)
    async with client(handler, config(token)) as dhan:
        assert (await dhan.orders.place(ORDER)).order_id == "17"
    body = json.loads(seen[0].content)
    assert seen[0].headers["access-token"] == token
    assert body["dhanClientId"] == "1000000001"
    assert (body["price"], body["quantity"], body["orderType"]) == (100.05, 5, "LIMIT")
    assert not {"triggerPrice", "amoTime", "boProfitValue"} & set(body)
    assert None not in body.values()
    assert "" not in body.values()


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (httpx.ConnectError("x"), Retryable),
        (httpx.ConnectTimeout("x"), Retryable),
        (httpx.PoolTimeout("x"), Retryable),
        (httpx.ReadTimeout("x"), OutcomeUnknown),
        (httpx.WriteTimeout("x"), OutcomeUnknown),
        (httpx.ReadError("x"), OutcomeUnknown),
        (httpx.WriteError("x"), OutcomeUnknown),
        (httpx.RemoteProtocolError("x"), OutcomeUnknown),
        (httpx.DecodingError("x"), OutcomeUnknown),
    ],
)
async def test_only_what_never_connected_is_proved_unsent(error: Exception, fault: type[Exception]) -> None:
    calls = 0

    def handler(_: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        raise error

    async with client(handler, config(jwt(86_400))) as dhan:
        with pytest.raises(fault):
            await dhan.orders.place(ORDER)
        assert calls == 1
        with pytest.raises(Retryable):
            await dhan.orders.read()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>gateway</html>"),
        httpx.Response(200, text='{"orderId": "17", "orderSt'),
        httpx.Response(200, text=""),
        httpx.Response(200, json={"orderStatus": "TRANSIT"}),
        httpx.Response(200, text='{"orderId": NaN}'),
        httpx.Response(301, headers={"location": "/elsewhere"}),
        httpx.Response(502, text="<html>bad gateway</html>"),
        httpx.Response(503, json={"errorCode": "DH-909", "errorMessage": "down"}),
    ],
)
async def test_an_unreadable_answer_to_an_order_is_unknown_and_not_sent_again(answer: httpx.Response) -> None:
    calls = 0

    def handler(_: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        return answer

    async with client(handler, config(jwt(86_400))) as dhan:
        with pytest.raises(OutcomeUnknown):
            await dhan.orders.place(ORDER)
    assert calls == 1


async def test_a_process_that_may_not_trade_sends_no_write() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise AssertionError("a request left")

    async with client(handler, config(jwt(86_400), may_trade=False)) as dhan:
        for call in (
            dhan.orders.place(ORDER),
            dhan.orders.cancel("17"),
            dhan.portfolio.exit_all(),
            dhan.control.activate_kill_switch(),
        ):
            with pytest.raises(ConfigFault):
                await call


class Broker:
    """Auth and one order path; counts logins and what was accepted."""

    def __init__(self, token: str, *, renews: bool = False, skew_s: int = 0) -> None:
        self.token = token
        self.renews = renews
        self.skew_s = skew_s
        self.logins = 0
        self.orders = 0
        self.codes: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        date = {"date": formatdate(NOW_S + self.skew_s, usegmt=True)}
        if request.url.host == "auth.test":
            if request.method == "GET":
                return httpx.Response(404, headers=date)
            self.logins += 1
            self.codes.append(request.url.params["totp"])
            assert request.url.params["pin"] == PIN
            self.token = jwt(86_400, f"login-{self.logins}")
            return httpx.Response(200, json={"accessToken": self.token}, headers=date)
        if request.url.path.endswith("/RenewToken"):
            if not self.renews:
                return httpx.Response(400, json={"errorCode": "DH-905", "errorMessage": "no"})
            self.token = jwt(86_400, "renewed")
            return httpx.Response(200, json={"accessToken": self.token})
        if request.headers["access-token"] != self.token:
            return httpx.Response(401, json=DEAD)
        self.orders += 1
        return httpx.Response(200, json=ACCEPTED)


async def test_a_refused_token_is_replaced_by_a_login_and_the_order_sent_once() -> None:
    broker = Broker("other")
    async with client(broker, config(jwt(86_400), can_login=True)) as dhan:
        await dhan.orders.place(ORDER)
        await dhan.orders.place(ORDER)
    assert (broker.logins, broker.orders) == (1, 2)


async def test_a_token_near_its_end_is_renewed_and_without_renewal_a_login_follows() -> None:
    for renews, logins in ((True, 0), (False, 1)):
        old = jwt(600)
        broker = Broker(old, renews=renews)
        async with client(broker, config(old, can_login=True)) as dhan:
            await dhan.orders.place(ORDER)
            assert dhan.session.expires_ns == (NOW_S + 86_400) * 1_000_000_000
        assert (broker.logins, broker.orders) == (logins, 1)


async def test_a_token_near_its_end_still_serves_where_nothing_better_is_to_be_had() -> None:
    old = jwt(600)
    broker = Broker(old)
    async with client(broker, config(old)) as dhan:
        await dhan.orders.place(ORDER)
    assert broker.orders == 1


async def test_there_is_at_most_one_login_in_thirty_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker("other")
    async with client(broker, config(can_login=True)) as dhan:
        await dhan.orders.place(ORDER)
        broker.token = "revoked"
        for _ in range(3):
            with pytest.raises(Retryable):
                await dhan.orders.place(ORDER)
        assert (broker.logins, broker.orders) == (1, 1)
        monkeypatch.setattr(auth_module, "LOGIN_INTERVAL_NS", 0)
        await dhan.orders.place(ORDER)
    assert (broker.logins, broker.orders) == (2, 2)


@pytest.mark.parametrize("skew_s", [0, 40, -40])
async def test_the_login_code_belongs_to_the_brokers_time(skew_s: int) -> None:
    broker = Broker("other", skew_s=skew_s)
    async with client(broker, config(can_login=True)) as dhan:
        await dhan.orders.place(ORDER)
        assert dhan.skew_ns == skew_s * 1_000_000_000
    assert broker.codes == [pyotp.TOTP(SEED).at(NOW_S + skew_s)]


async def test_a_clock_that_is_minutes_off_is_not_used_to_log_in() -> None:
    broker = Broker("other", skew_s=3_600)
    async with client(broker, config(can_login=True)) as dhan:
        with pytest.raises(ConfigFault, match="3600 s off"):
            await dhan.orders.place(ORDER)
    assert broker.logins == 0


async def test_without_login_a_dead_token_ends_in_a_sentence() -> None:
    broker = Broker("other")
    async with client(broker, config(jwt(-5))) as dhan:
        with pytest.raises(AuthExpired, match="no PIN and TOTP"):
            await dhan.orders.place(ORDER)
    assert broker.orders == 0


async def test_a_token_that_another_process_stored_is_used_before_a_login(tmp_path: Path) -> None:
    store = FileTokenStore(tmp_path / "run" / "token")
    shared = jwt(86_400, "shared")
    store.save(shared)
    assert (tmp_path / "run" / "token").stat().st_mode & 0o777 == 0o600
    broker = Broker(shared)
    async with client(broker, config(jwt(86_400), can_login=True), store) as dhan:
        await dhan.orders.place(ORDER)
    assert (broker.logins, broker.orders) == (0, 1)


async def test_no_secret_reaches_a_log_or_a_fault_at_debug_level(caplog: pytest.LogCaptureFixture) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    root.addHandler(handler)
    token = jwt(-5, "canary")
    conf = config(token, can_login=True)
    with caplog.at_level(logging.DEBUG):

        def refuse(_: httpx.Request) -> httpx.Response:
            raise httpx.ReadTimeout("x")

        async with client(refuse, conf) as dhan:
            with pytest.raises(Retryable) as fault:
                await dhan.orders.place(ORDER)
    root.removeHandler(handler)
    told = stream.getvalue() + caplog.text + repr(conf) + str(conf) + repr(fault.value)
    for secret in (PIN, SEED, token):
        assert secret not in told


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)


LOCAL = {
    "dhan_rest_url": "http://127.0.0.1:1/v2",
    "dhan_auth_url": "http://localhost:1",
    "dhan_order_update_url": "ws://127.0.0.1:1/orders",
    "dhan_feed_url": "ws://[::1]:1/feed",
}


def test_paper_never_holds_live_credentials() -> None:
    for name in ("dhan_access_token", "dhan_pin", "dhan_totp_secret"):
        with pytest.raises(ValueError, match="TRADING_MODE=live"):
            settings(**{name: "secret-value"})
        settings(**{name: "secret-value", **LOCAL})
        settings(**{name: "secret-value", "trading_mode": "live"})
    with pytest.raises(ConfigFault, match="TRADING_MODE=live"):
        trading_config(settings(dhan_client_id="1"))


def test_trading_needs_credentials_and_prices_need_a_token_only() -> None:
    with pytest.raises(ConfigFault, match="DHAN_PIN"):
        trading_config(settings(trading_mode="live", dhan_client_id="1", dhan_pin="x"))
    live = trading_config(settings(trading_mode="live", dhan_client_id="1", dhan_access_token="t"))
    assert live.may_trade
    data = data_config(settings(dhan_client_id="1", dhan_data_token="d"))
    assert not data.may_trade
    assert data.pin is None
    with pytest.raises(ConfigFault, match="DATA_TOKEN"):
        data_config(settings(dhan_client_id="1"))


@pytest.mark.parametrize("url", ["http://api.dhan.co/v2", "ws://10.0.0.1", "ftp://127.0.0.1", "x"])
def test_only_this_machine_is_spoken_to_without_encryption(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        settings(dhan_rest_url=url)


async def test_no_holdings_is_an_error_at_dhan_and_an_empty_list_here() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        return httpx.Response(400, json={"errorCode": code, "errorMessage": "none"})

    async with client(handler, config(jwt(86_400))) as dhan:
        code = "DH-1111"
        assert (await dhan.portfolio.holdings()).whole() == ()
        code = "DH-905"
        with pytest.raises(Refusal):
            await dhan.portfolio.holdings()


@pytest.mark.parametrize("when", ["before", "after-a-refusal"])
async def test_no_entry_leaves_after_its_moment_because_a_token_took_long(
    monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    now_ns, placed = 0, []

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal now_ns
        if request.url.path.endswith("generateAccessToken"):
            now_ns += 4_000_000_000  # the broker takes its time over a login
            return httpx.Response(200, json={"accessToken": jwt(86_400, "fresh")})
        if request.method == "GET":
            return httpx.Response(200, json={})
        if request.method == "PUT":
            return httpx.Response(200, json=ACCEPTED)
        placed.append(request)
        return httpx.Response(401, json=DEAD)

    monkeypatch.setattr(transport_module.time, "monotonic_ns", lambda: now_ns)
    held = None if when == "before" else jwt(86_400)
    entry = SuperOrderRequest("pABC", Side.BUY, "NSE_EQ", "11536", Product.INTRADAY, 5, 10_000, 10_100, 9_900)
    async with client(handler, config(held, can_login=True)) as dhan:
        with pytest.raises(TooLate):
            await dhan.super_orders.place(entry, leave_by_ns=3_000_000_000)
        assert len(placed) == (when != "before")
        assert (await dhan.super_orders.modify_stop("17", 9_950)).order_id == "17"  # protection always leaves


async def test_an_entrys_connection_is_waited_for_and_made_by_its_moment() -> None:
    spans: list[dict[str, float]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        spans.append(request.extensions["timeout"])
        return httpx.Response(200, json=ACCEPTED)

    entry = SuperOrderRequest("pABC", Side.BUY, "NSE_EQ", "11536", Product.INTRADAY, 5, 10_000, 10_100, 9_900)
    async with client(handler, config(jwt(86_400))) as dhan:
        leave_by_ns = transport_module.time.monotonic_ns() + 1_000_000_000
        await dhan.super_orders.place(entry, leave_by_ns=leave_by_ns)
    assert spans[0]["pool"] + spans[0]["connect"] <= 1.0


async def test_every_call_that_may_change_something_is_counted_and_no_other() -> None:
    broker = Broker("other")
    async with client(broker, config(jwt(86_400), can_login=True)) as dhan:
        assert dhan.http.writes == 0
        await dhan.orders.place(ORDER)
        assert dhan.http.writes == 2, "once with the token that was refused"
        await dhan.http.read("/orders")
        assert dhan.http.writes == 2
