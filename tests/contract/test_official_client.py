"""The official client, unchanged but for its addresses, behaves against the sandbox as against Dhan."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pyotp
import pytest
from dhanhq import DhanContext, DhanLogin, MarketFeed, OrderUpdate, dhanhq
from dhanhq.dhan_http import DhanHTTP
from websockets.exceptions import ConnectionClosed

from propdesk.core.clock import from_ns
from sandbox.catalogue import Catalogue, listing_of
from sandbox.faults import Fault, FaultKind
from sandbox.knobs import Knobs
from sandbox.server import Sandbox
from sandbox.world import make_world
from tests.contract.conftest import KEY, START
from tests.support.instruments import equity
from tests.support.sandbox_thread import RunningSandbox, running

WAIT_S = 60


@pytest.fixture(scope="module")
def served() -> Iterator[RunningSandbox]:
    """One sandbox for the module, moved by hand, without rate limits."""
    world = make_world(
        Catalogue([listing_of(equity(freeze_quantity=1_001))]),
        START,
        knobs=Knobs(transit_ms=0, rate_limits=False),
        previous_close={KEY: 10_000},
    )
    with running(Sandbox(world)) as found:
        found.do(lambda: world.trade(KEY, 10_000))
        yield found


@pytest.fixture
def context(served: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> DhanContext:
    """The client's own context, pointed at the sandbox, with a token obtained by its own login."""
    monkeypatch.setattr(DhanHTTP, "API_BASE_URL", f"http://{served.place}/v2")
    monkeypatch.setattr(DhanLogin, "API_BASE_URL", f"http://{served.place}/v2")
    monkeypatch.setattr(DhanLogin, "AUTH_BASE_URL", f"http://{served.place}")
    monkeypatch.setattr(MarketFeed, "market_feed_wss", f"ws://{served.place}")
    knobs = served.sandbox.world.knobs
    code = pyotp.TOTP(knobs.totp_secret).at(from_ns(served.do(lambda: served.sandbox.world.now_ns)))
    answer = DhanLogin(knobs.client_id).generate_token(knobs.pin, code)
    return DhanContext(knobs.client_id, answer["accessToken"])


@pytest.fixture
def client(context: DhanContext) -> Any:
    """The client."""
    return dhanhq(context)


def good(answer: dict[str, Any]) -> Any:
    assert answer["status"] == "success", answer
    return answer["data"]


def trade(served: RunningSandbox, rupees: float) -> None:
    served.do(lambda: served.sandbox.world.trade(KEY, round(rupees * 100)))


def place(client: Any, **changes: Any) -> Any:
    words = {
        "security_id": "11536",
        "exchange_segment": client.NSE,
        "transaction_type": client.BUY,
        "quantity": 5,
        "order_type": client.LIMIT,
        "product_type": client.INTRA,
        "price": 95.0,
    }
    return client.place_order(**{**words, **changes})


def place_super(client: Any, price: float, target: float, stop: float, tag: str = "") -> Any:
    return client.place_super_order(
        "11536", client.NSE, client.BUY, 10, client.LIMIT, client.INTRA, price, target, stop, tag=tag
    )


def super_row(client: Any, order_id: str) -> Any:
    return next(row for row in good(client.get_super_order_list()) if row["orderId"] == order_id)


def test_an_order_is_placed_changed_found_and_cancelled(client: Any) -> None:
    order_id = good(place(client, tag="official-1"))["orderId"]
    good(client.modify_order(order_id, client.LIMIT, "", 6, 96.0, 0, 0, client.DAY))
    (row,) = good(client.get_order_by_id(order_id))
    assert (row["quantity"], row["price"], row["orderStatus"]) == (6, 96.0, "PENDING")
    assert good(client.get_order_by_correlationID("official-1"))[0]["orderId"] == order_id
    assert good(client.cancel_order(order_id))["orderStatus"] == "CANCELLED"
    book = {row["orderId"]: row["orderStatus"] for row in good(client.get_order_list())}
    assert book[order_id] == "CANCELLED"


def test_a_market_order_trades_and_shows_in_the_books(client: Any, served: RunningSandbox) -> None:
    trade(served, 100)
    order_id = good(place(client, order_type=client.MARKET, price=0))["orderId"]
    (row,) = good(client.get_order_by_id(order_id))
    assert (row["orderStatus"], row["orderType"], row["filledQty"]) == ("TRADED", "LIMIT", 5)
    assert [one["tradedQuantity"] for one in good(client.get_trade_book(order_id))] == [5]
    assert order_id in {one["orderId"] for one in good(client.get_trade_book())}
    assert good(client.get_positions())[0]["netQty"] >= 5
    assert good(client.get_fund_limits())["utilizedAmount"] > 0
    good(place(client, transaction_type=client.SELL, order_type=client.MARKET, price=0))


def test_an_order_above_the_freeze_quantity_is_refused_and_sliced(client: Any) -> None:
    refused = place(client, quantity=2_500)
    assert refused["status"] == "failure"
    assert refused["remarks"]["error_code"] == "DH-906"
    words = ("11536", client.NSE, client.BUY, 2_500, client.LIMIT, client.INTRA, 91.0)
    parts = good(client.place_slice_order(*words))
    rows = [good(client.get_order_by_id(part["orderId"]))[0]["quantity"] for part in parts]
    assert rows == [1_001, 1_001, 498]
    for part in parts:
        good(client.cancel_order(part["orderId"]))


def test_a_super_order_lives_its_whole_life(client: Any, served: RunningSandbox) -> None:
    trade(served, 100)
    order_id = good(place_super(client, 100.0, 104.0, 98.0, "super-1"))["orderId"]
    good(client.modify_super_order(order_id, client.LIMIT, "STOP_LOSS_LEG", stopLossPrice=99.0))
    good(client.modify_super_order(order_id, client.LIMIT, "TARGET_LEG", targetPrice=103.0))
    row = super_row(client, order_id)
    legs = {leg["legName"]: leg["price"] for leg in row["legDetails"]}
    assert (row["orderStatus"], row["correlationId"]) == ("TRADED", "super-1")
    assert legs == {"STOP_LOSS_LEG": 99.0, "TARGET_LEG": 103.0}
    trade(served, 103)
    row = super_row(client, order_id)
    states = {leg["legName"]: leg["orderStatus"] for leg in row["legDetails"]}
    assert row["orderStatus"] == "CLOSED"
    assert states == {"STOP_LOSS_LEG": "CANCELLED", "TARGET_LEG": "TRIGGERED"}


def test_a_waiting_super_order_is_cancelled_with_all_its_legs(client: Any, served: RunningSandbox) -> None:
    trade(served, 100)
    order_id = good(place_super(client, 95.0, 99.0, 94.0))["orderId"]
    assert good(client.cancel_super_order(order_id, "ENTRY_LEG"))["orderStatus"] == "CANCELLED"
    assert {leg["orderStatus"] for leg in super_row(client, order_id)["legDetails"]} == {"CANCELLED"}


def test_control_margin_prices_and_an_error_read_as_the_client_reads_them(client: Any) -> None:
    words = ("11536", client.NSE, client.BUY, 5, client.INTRA, 100.0)
    assert good(client.margin_calculator(*words))["totalMargin"]
    quote = good(client.ticker_data({"NSE_EQ": [11536]}))
    assert quote["data"]["NSE_EQ"]["11536"]["last_price"]
    assert good(client.set_pnl_exit(5_000, 2_000, ["INTRADAY"]))["pnlExitStatus"] == "ACTIVE"
    assert good(client.get_pnl_exit())["loss"] == "2000.00"
    assert good(client.stop_pnl_exit())["pnlExitStatus"] == "DISABLED"
    assert "killSwitchStatus" in good(client.status_kill_switch())
    empty = good(client.intraday_minute_data("11536", client.NSE, "EQUITY", "2025-06-02", "2025-06-03"))
    assert empty["open"] == []
    assert client.get_holdings()["remarks"]["error_code"] == "DH-1111"


def test_the_client_cannot_tell_a_lost_answer_from_a_refusal(client: Any, served: RunningSandbox) -> None:
    trade(served, 100)
    fault = Fault(FaultKind.TRUNCATED_JSON, path="/super/orders", method="POST")
    served.do(lambda: served.sandbox.world.faults.arm(fault))
    assert place_super(client, 95.0, 99.0, 94.0, "lost-answer")["status"] == "failure"
    rows = good(client.get_super_order_list())
    assert [row["orderStatus"] for row in rows if row["correlationId"] == "lost-answer"] == ["PENDING"]


def test_profile_and_renewal(context: DhanContext, served: RunningSandbox) -> None:
    login = DhanLogin(served.sandbox.world.knobs.client_id)
    assert login.user_profile(context.get_access_token())["dhanClientId"] == login.client_id
    fresh = login.renew_token(context.get_access_token())["accessToken"]
    assert dhanhq(DhanContext(login.client_id, fresh)).get_positions()["status"] == "success"
    assert dhanhq(context).get_positions()["remarks"]["error_code"] == "DH-901"


def test_order_updates_reach_the_clients_callback(
    context: DhanContext, client: Any, served: RunningSandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[dict[str, Any]] = []
    done = threading.Event()
    update = OrderUpdate(context)
    update.order_feed_wss = f"ws://{served.place}"

    def hear(message: dict[str, Any]) -> None:
        heard.append(message["Data"])
        if message["Data"]["status"] == "Cancelled":
            done.set()

    update.on_update = hear
    reader = threading.Thread(target=update.connect_to_dhan_websocket_sync, daemon=True)
    reader.start()
    deadline = time.monotonic() + WAIT_S
    while not served.do(lambda: len(served.sandbox.orders.connected)) and time.monotonic() < deadline:
        reader.join(0.02)
    order_id = good(place(client))["orderId"]
    good(client.cancel_order(order_id))
    assert done.wait(WAIT_S)
    served.do(served.sandbox.orders.disconnect_all)
    reader.join(WAIT_S)
    assert [row["status"] for row in heard if row["orderNo"] == order_id] == [
        "Transit",
        "Pending",
        "Cancelled",
    ]
    capsys.readouterr()


def test_the_feed_is_read_by_the_clients_parser(
    context: DhanContext, served: RunningSandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    trade(served, 100)
    feed = MarketFeed(context, [(MarketFeed.NSE, "11536", MarketFeed.Ticker)], "v2")
    feed.run_forever()
    assert [feed.get_data()["type"] for _ in range(2)] == ["Previous Close", "Ticker Data"]
    trade(served, 100.55)
    assert feed.get_data()["LTP"] == "100.55"
    feed.subscribe_symbols([(MarketFeed.NSE, "11536", MarketFeed.Full)])
    feed.loop.run_until_complete(asyncio.sleep(0.05))
    full = [feed.get_data() for _ in range(2)][1]
    assert (full["type"], full["LTP"], len(full["depth"])) == ("Full Data", "100.55", 5)
    feed.close_connection()
    feed.loop.close()
    capsys.readouterr()


def test_positions_are_converted_and_all_closed_before_the_account_is_locked(
    client: Any, served: RunningSandbox
) -> None:
    trade(served, 100)
    good(client.exit_all_positions())
    good(place(client, quantity=6, order_type=client.MARKET, price=0))
    good(client.convert_position(client.INTRA, client.NSE, "LONG", "11536", 2, client.CNC))
    held = {row["productType"]: row["netQty"] for row in good(client.get_positions())}
    assert (held["INTRADAY"], held["CNC"]) == (4, 2)
    assert client.kill_switch("ACTIVATE")["remarks"]["error_code"] == "DH-906"
    good(client.exit_all_positions())
    assert {row["netQty"] for row in good(client.get_positions())} == {0}
    assert "activated" in good(client.kill_switch("ACTIVATE"))["killSwitchStatus"]
    assert place(client)["status"] == "failure"
    good(client.kill_switch("DEACTIVATE"))
    good(client.cancel_order(good(place(client))["orderId"]))


def test_history_quotes_and_baskets_have_their_own_shapes(client: Any, served: RunningSandbox) -> None:
    trade(served, 100)
    day = good(client.get_trade_history("2025-07-01", "2025-07-01"))
    assert {row["securityId"] for row in day} == {"11536"}
    assert good(client.get_trade_history("2025-07-01", "2025-07-01", 1)) == []
    words = ("11536", client.NSE, "EQUITY", "2025-06-02", "2025-06-03")
    assert good(client.historical_daily_data(*words))["timestamp"] == []
    quote = good(client.quote_data({"NSE_EQ": [11536]}))["data"]["NSE_EQ"]["11536"]
    assert (quote["last_price"], len(quote["depth"]["buy"])) == (100.0, 5)
    ohlc = good(client.ohlc_data({"NSE_EQ": [11536]}))["data"]["NSE_EQ"]["11536"]["ohlc"]
    assert set(ohlc) == {"open", "close", "high", "low"}
    scrip = {
        "exchangeSegment": client.NSE,
        "transactionType": client.BUY,
        "quantity": 5,
        "productType": client.INTRA,
        "securityId": "11536",
        "price": 100,
        "triggerPrice": 0,
    }
    assert good(client.margin_calculator_multi([scrip]))["totalMargin"] > 0
    assert good(client.expiry_list(13, "IDX_I"))["data"] == []


def test_a_stop_order_waits_for_its_trigger_and_then_is_a_limit(client: Any, served: RunningSandbox) -> None:
    trade(served, 100)
    words = {"order_type": client.SL, "trigger_price": 101.0}
    assert place(client, price=100.5, **words)["remarks"]["error_code"] == "DH-906"
    order_id = good(place(client, price=101.5, **words))["orderId"]
    trade(served, 100.9)
    (row,) = good(client.get_order_by_id(order_id))
    assert (row["orderStatus"], row["orderType"], row["triggerPrice"]) == ("PENDING", "STOP_LOSS", 101.0)
    trade(served, 101.2)
    (row,) = good(client.get_order_by_id(order_id))
    assert (row["orderStatus"], row["averageTradedPrice"]) == ("TRADED", 101.2)


def test_a_trailing_stop_follows_in_whole_jumps(client: Any, served: RunningSandbox) -> None:
    trade(served, 100)
    order_id = good(
        client.place_super_order(
            "11536", client.NSE, client.BUY, 10, client.LIMIT, client.INTRA, 100.0, 109.0, 98.0, 1.0
        )
    )["orderId"]
    trade(served, 102.5)
    stops = [leg for leg in super_row(client, order_id)["legDetails"] if leg["legName"] == "STOP_LOSS_LEG"]
    assert [(leg["price"], leg["trailingJump"]) for leg in stops] == [(100.0, 1.0)]
    trade(served, 101)
    assert super_row(client, order_id)["orderStatus"] == "TRADED"
    trade(served, 99.9)
    assert super_row(client, order_id)["orderStatus"] == "CLOSED"


def test_a_dead_token_ends_the_feed_with_its_code(
    context: DhanContext, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = DhanContext(context.get_client_id(), "no.such.token")
    feed = MarketFeed(stranger, [(MarketFeed.NSE, "11536", MarketFeed.Ticker)], "v2")
    with contextlib.suppress(ConnectionClosed):
        feed.run_forever()

    def read_on() -> None:
        while True:
            feed.get_data()

    with pytest.raises(ConnectionClosed):
        read_on()
    feed.loop.close()
    assert "token is expired" in capsys.readouterr().out.lower()
