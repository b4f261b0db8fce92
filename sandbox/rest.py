"""REST calls: what each does and answers, apart from tokens, rates and faults (`sandbox.app`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from propdesk.core.calendar import ist_date, ist_to_ns
from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND
from propdesk.model.enums import OptionType, Side
from sandbox import checks, wire
from sandbox.book import Order, Role, Status, Super
from sandbox.catalogue import Listing, scrip_master_csv
from sandbox.checks import Denial, bad_input, bad_order
from sandbox.faults import FaultKind
from sandbox.limits import CallClass
from sandbox.world import World

Answer = tuple[int, Any]
"""HTTP status and JSON body; None = no body."""

_ORDER_TYPES = frozenset({"LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_MARKET"})
_AMO_TIMES = frozenset({"PRE_OPEN", "OPEN", "OPEN_30", "OPEN_60"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request, after its token was checked."""

    method: str
    path: str
    parts: dict[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    address: str
    token: str


@dataclass(frozen=True, slots=True)
class Route:
    """A call the broker serves; ``{name}`` in the path matches one segment."""

    method: str
    path: str
    kind: CallClass
    serve: Callable[["Rest", Call], Answer]
    is_write: bool = False


class Rest:
    """Serves calls on a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    # ---------------------------------------------------------------- orders

    def place(self, call: Call) -> Answer:
        """POST /orders."""
        order = self._checked_order(call, is_sliced=False)
        self._world.exchange.send(order)
        return 200, _placed(order)

    def place_sliced(self, call: Call) -> Answer:
        """POST /orders/slicing: parts of at most the freeze quantity, all with one correlation id."""
        listing, quantity = self._listing_and_quantity(call)
        most = checks.freeze_lots(listing) * listing.lot_size or quantity
        answers: list[dict[str, str]] = []
        for start in range(0, quantity, most):
            part = {**call.body, "quantity": min(most, quantity - start)}
            try:
                order = self._checked_order(_with_body(call, part), is_sliced=True)
            except Denial as denial:
                if not answers:
                    raise
                # earlier parts are out, so an error for the whole call would be a lie
                answers.append(self._refused_part(denial))
                continue
            self._world.exchange.send(order)
            answers.append(_placed(order))
        return 200, answers

    def _refused_part(self, denial: Denial) -> dict[str, str]:
        return {
            "orderId": self._world.exchange.next_order_id(),
            "orderStatus": Status.REJECTED.value,
            "omsErrorDescription": denial.message,
        }

    def _checked_order(self, call: Call, *, is_sliced: bool) -> Order:
        body, exchange = call.body, self._world.exchange
        listing, quantity = self._listing_and_quantity(call)
        side = Side(checks.word_of(body, "transactionType", frozenset({"BUY", "SELL"})))
        product = checks.word_of(body, "productType", checks.PLAIN_PRODUCTS)
        kind = checks.word_of(body, "orderType", _ORDER_TYPES)
        validity = checks.word_of({"validity": "DAY", **body}, "validity", frozenset({"DAY", "IOC"}))
        price, trigger = checks.price_of(body, "price"), checks.price_of(body, "triggerPrice")
        kind, price, trigger = self._terms(listing, side, kind, price, trigger)
        self._check_terms(listing, side, product, quantity, price, trigger)
        correlation = self._correlation(body, may_repeat=is_sliced)
        is_after_market = bool(body.get("afterMarketOrder"))
        if is_after_market:
            checks.word_of(body, "amoTime", _AMO_TIMES)
        order = exchange.new_order(
            Role.PLAIN,
            listing,
            side=side,
            quantity=quantity,
            price=price,
            trigger=trigger,
            order_type=kind,
            product=product,
            validity=validity,
            correlation_id=correlation,
        )
        order.is_after_market = is_after_market
        return order

    def _terms(
        self, listing: Listing, side: Side, kind: str, price: int, trigger: int
    ) -> tuple[str, int, int]:
        """Turn market orders into protected limits, as the broker does; a stop-market is mangled by it."""
        if kind in ("LIMIT", "STOP_LOSS") and not price:
            raise bad_input("price must be > 0")
        if kind in ("STOP_LOSS", "STOP_LOSS_MARKET") and not trigger:
            raise bad_input("triggerPrice must be > 0")
        if kind in ("LIMIT", "STOP_LOSS"):
            return kind, price, trigger if kind == "STOP_LOSS" else 0
        last = self._world.exchange.last_price(listing)
        if not self._world.knobs.market_protection:
            return kind, 0, trigger if kind == "STOP_LOSS_MARKET" else 0
        if not last:
            raise bad_order("No last traded price for market protection")
        return "MARKET_PROTECTED", checks.protection_price(listing, last, side), 0

    def _listing_and_quantity(self, call: Call) -> tuple[Listing, int]:
        """Check in the order that was measured: quantity, address, instrument."""
        quantity = checks.quantity_of(call.body)
        self._check_address(call)
        self._check_open()
        return checks.listing_of(call.body, self._world.catalogue), quantity

    def _check_address(self, call: Call) -> None:
        fault = self._world.faults.take(FaultKind.IP_REFUSED, path=call.path, method=call.method)
        if fault is not None or (self._world.knobs.check_ip and call.address not in self._world.ips):
            raise bad_input("Invalid IP")

    def _check_open(self) -> None:
        if self._world.exchange.is_killed:
            raise Denial(400, "Order_Error", "DH-906", "Kill switch is active")

    def _check_terms(
        self, listing: Listing, side: Side, product: str, quantity: int, price: int, trigger: int
    ) -> None:
        exchange, faults = self._world.exchange, self._world.faults
        checks.check_quantity(listing, quantity)
        lots = checks.freeze_lots(listing)
        if lots and quantity > lots * listing.lot_size:
            faults.strike(FaultKind.FREEZE_REFUSED)
            raise bad_order("Quantity exceeds the freeze quantity")
        checks.check_tick(listing, *(level for level in (price, trigger) if level))
        self._check_band(listing, price)
        if trigger and price:
            checks.check_trigger(side, trigger, price)
        needed = exchange.margin(listing, side, product, quantity, price or exchange.last_price(listing))
        if needed > exchange.available_paise() and not self._reduces(listing, side, product, quantity):
            faults.strike(FaultKind.MARGIN_REFUSED)
            raise bad_order("RMS: Margin Exceeds, insufficient funds")

    def _check_band(self, listing: Listing, *prices: int) -> None:
        close = self._world.exchange.previous_close.get(listing.price_key, 0)
        low, high = checks.price_band(close, self._world.knobs.price_band_bp, listing.tick_paise)
        if any(price and not low <= price <= high for price in prices):
            self._world.faults.strike(FaultKind.BAND_REFUSED)
            raise bad_order("Price is outside the circuit limits")

    def _reduces(self, listing: Listing, side: Side, product: str, quantity: int) -> bool:
        position = self._world.exchange.positions.get((listing.segment, listing.security_id, product))
        return position is not None and side.sign * position.net < 0 and quantity <= abs(position.net)

    def _correlation(self, body: Mapping[str, Any], *, may_repeat: bool) -> str:
        name = checks.correlation_of(body)
        known = (order.correlation_id for order in self._world.exchange.orders.values())
        if name and self._world.knobs.unique_correlation_ids and not may_repeat and name in known:
            raise bad_input("correlationId was used before")
        return name

    def modify(self, call: Call) -> Answer:
        """PUT /orders/{id}."""
        self._check_address(call)
        order = self._order(call.parts["id"])
        if not order.is_live or order.status is Status.TRANSIT:
            raise bad_order("Order is not in a state that can be modified")
        quantity = checks.quantity_of({"quantity": order.quantity, **_given(call.body)})
        named = {"orderType": call.body.get("orderType") or order.order_type}
        kind, price, trigger = self._terms(
            order.listing,
            order.side,
            checks.word_of(named, "orderType", _ORDER_TYPES),
            checks.price_of(call.body, "price") or order.price_paise,
            checks.price_of(call.body, "triggerPrice") or order.trigger_paise,
        )
        if quantity < order.filled:
            raise bad_order("Quantity is below the traded quantity")
        checks.check_quantity(order.listing, quantity)
        checks.check_tick(order.listing, *(level for level in (price, trigger) if level))
        self._check_band(order.listing, price)
        if trigger and price:
            checks.check_trigger(order.side, trigger, price)
        self._world.exchange.change_order(
            order, quantity=quantity, price=price, trigger=trigger, order_type=kind
        )
        return 200, _changed(order)

    def cancel(self, call: Call) -> Answer:
        """DELETE /orders/{id}."""
        self._check_address(call)
        order = self._order(call.parts["id"])
        if not order.is_live:
            raise bad_order("Order is not in a state that can be cancelled")
        self._world.exchange.cancel(order)
        return 202, {"orderId": order.order_id, "orderStatus": "CANCELLED"}

    def _order(self, order_id: str) -> Order:
        found = self._world.exchange.orders.get(order_id)
        if found is None:
            raise bad_order("Order not found")
        return found

    # ----------------------------------------------------------------- books

    def book(self, _: Call) -> Answer:
        """GET /orders."""
        return 200, [wire.order_row(order, self._world.knobs) for order in self._shown_orders("/orders")]

    def one(self, call: Call) -> Answer:
        """GET /orders/{id}."""
        if self._world.faults.take(FaultKind.LOOKUP_404, path=call.path) is not None:
            raise Denial(404, "Order_Error", "DH-906", "Order not found")
        order = self._order(call.parts["id"])
        return 200, self._single(order)

    def external(self, call: Call) -> Answer:
        """GET /orders/external/{correlation id}: one order, whatever their number."""
        if self._world.faults.take(FaultKind.LOOKUP_404, path=call.path) is not None:
            raise Denial(404, "Order_Error", "DH-906", "Order not found")
        name = call.parts["id"]
        shown = [order for order in self._shown_orders(call.path) if order.correlation_id == name]
        if not shown:
            raise Denial(404, "Order_Error", "DH-906", "Order not found")
        return 200, self._single(shown[-1])

    def _single(self, order: Order) -> Any:
        row = wire.order_row(order, self._world.knobs)
        return [row] if self._world.knobs.shapes == "observed" else row

    def _shown_orders(self, path: str) -> list[Order]:
        return self._lagging(list(self._world.exchange.orders.values()), path, lambda order: order.created_ns)

    def _lagging(self, rows: list[Any], path: str, created: Callable[[Any], int]) -> list[Any]:
        """Let the look-up faults hide what they hide."""
        faults = self._world.faults
        lag = faults.take(FaultKind.LOOKUP_LAG, path=path)
        if lag is not None:
            since = self._world.now_ns - int(float(lag.values.get("delay_s", 5)) * NS_PER_SECOND)
            rows = [row for row in rows if created(row) <= since]
        if faults.take(FaultKind.LIST_EMPTY, path=path) is not None:
            rows = []
        if faults.take(FaultKind.LIST_OMITS_NEWEST, path=path) is not None:
            rows = rows[:-1]
        page = faults.take(FaultKind.LIST_PAGE, path=path)
        return rows if page is None else rows[: int(page.values.get("rows", 1))]

    def trades(self, _: Call) -> Answer:
        """GET /trades."""
        fills = self._lagging(list(self._world.exchange.fills), "/trades", lambda fill: fill.at_ns)
        return 200, [wire.trade_row(fill, self._world.knobs) for fill in fills]

    def trades_of(self, call: Call) -> Answer:
        """GET /trades/{order id}."""
        fills = [f for f in self._world.exchange.fills if f.order.order_id == call.parts["id"]]
        rows = [wire.trade_row(fill, self._world.knobs) for fill in fills]
        return 200, rows[0] if self._world.knobs.shapes == "documented" and len(rows) == 1 else rows

    def trade_history(self, call: Call) -> Answer:
        """GET /trades/{from}/{to}/{page}: everything on page 0."""
        return (200, []) if call.parts["page"] != "0" else self.trades(call)

    # ---------------------------------------------------------- super orders

    def place_super(self, call: Call) -> Answer:
        """POST /super/orders."""
        body, exchange = call.body, self._world.exchange
        listing, quantity = self._listing_and_quantity(call)
        side = Side(checks.word_of(body, "transactionType", frozenset({"BUY", "SELL"})))
        product = checks.word_of(body, "productType", checks.PLAIN_PRODUCTS)
        kind = checks.word_of(body, "orderType", frozenset({"LIMIT", "MARKET"}))
        price, target = checks.price_of(body, "price"), checks.price_of(body, "targetPrice")
        stop, trailing = checks.price_of(body, "stopLossPrice"), checks.price_of(body, "trailingJump")
        checks.check_super_levels(side, price, target, stop)
        kind, price, _ = self._terms(listing, side, kind, price, 0)
        checks.check_tick(listing, *(level for level in (target, stop) if level))
        self._check_terms(listing, side, product, quantity, price, 0)
        self._check_band(listing, target, stop)
        entry = exchange.new_order(
            Role.ENTRY,
            listing,
            side=side,
            quantity=quantity,
            price=price,
            order_type=kind,
            product=product,
            correlation_id=self._correlation(body, may_repeat=False),
        )
        exchange.new_super(entry, target=target, stop=stop, trailing=trailing)
        exchange.send(entry)
        return 200, _placed(entry)

    def modify_super(self, call: Call) -> Answer:
        """PUT /super/orders/{id}."""
        self._check_address(call)
        parent = self._super(call.parts["id"])
        role = Role(
            checks.word_of(call.body, "legName", frozenset(r.value for r in Role if r is not Role.PLAIN))
        )
        if role is Role.ENTRY:
            self._modify_entry(parent, call.body)
        else:
            self._modify_leg(parent, role, call.body)
        return 200, _changed(parent.entry)

    def _modify_entry(self, parent: Super, body: Mapping[str, Any]) -> None:
        entry = parent.entry
        if entry.status not in (Status.PENDING, Status.PART_TRADED):
            raise bad_order("Entry leg is not in a state that can be modified")
        quantity = checks.quantity_of(body)
        price, target = checks.price_of(body, "price"), checks.price_of(body, "targetPrice")
        stop, trailing = checks.price_of(body, "stopLossPrice"), checks.price_of(body, "trailingJump")
        checks.check_super_levels(entry.side, price, target, stop)
        checks.check_quantity(entry.listing, quantity)
        checks.check_tick(entry.listing, *(level for level in (price, target, stop) if level))
        self._check_band(entry.listing, price, target, stop)
        if quantity < entry.filled:
            raise bad_order("Quantity is below the traded quantity")
        self._world.exchange.change_entry(
            parent, quantity=quantity, price=price, target=target, stop=stop, trailing=trailing
        )

    def _modify_leg(self, parent: Super, role: Role, body: Mapping[str, Any]) -> None:
        leg = parent.legs.get(role)
        if leg is None or not leg.is_live or leg.triggered or parent.entry.status is Status.TRANSIT:
            raise bad_order("Leg is not in a state that can be modified")
        price = checks.price_of(body, "targetPrice" if role is Role.TARGET else "stopLossPrice")
        if not price:
            raise bad_input("price of the leg must be > 0")
        checks.check_tick(leg.listing, price)
        self._check_band(leg.listing, price)
        last = self._world.exchange.last_price(leg.listing)
        crosses = role is Role.TARGET and last and leg.side.sign * (price - last) >= 0
        if crosses and not self._world.knobs.target_may_cross:
            raise bad_order("Target price is on the wrong side of the market")
        trailing = checks.price_of(body, "trailingJump") if role is Role.STOP else None
        self._world.exchange.change_leg(parent, role, price, trailing)

    def cancel_super(self, call: Call) -> Answer:
        """DELETE /super/orders/{id}/{leg}."""
        self._check_address(call)
        parent = self._super(call.parts["id"])
        role = Role(
            checks.word_of({"legName": call.parts["leg"]}, "legName", frozenset(r.value for r in Role))
        )
        if role in (Role.TARGET, Role.STOP):
            leg = parent.legs.get(role)
            if leg is None or not leg.is_live:
                raise bad_order("Leg is not in a state that can be cancelled")
        elif parent.is_done:
            raise bad_order("Order is not in a state that can be cancelled")
        self._world.exchange.cancel_leg(parent, role)
        return 202, {"orderId": parent.entry.order_id, "orderStatus": "CANCELLED"}

    def supers(self, _: Call) -> Answer:
        """GET /super/orders."""
        exchange = self._world.exchange
        shown = self._lagging(
            list(exchange.supers.values()), "/super/orders", lambda parent: parent.entry.created_ns
        )
        return 200, [
            wire.super_row(parent, self._world.knobs, exchange.last_price(parent.entry.listing))
            for parent in shown
        ]

    def _super(self, order_id: str) -> Super:
        found = self._world.exchange.supers.get(order_id)
        if found is None:
            raise bad_order("Super order not found")
        return found

    # --------------------------------------------------------------- account

    def positions(self, _: Call) -> Answer:
        """GET /positions."""
        exchange = self._world.exchange
        return 200, [
            wire.position_row(p, self._world.knobs, exchange.last_price(p.listing))
            for p in exchange.positions.values()
        ]

    def exit_positions(self, call: Call) -> Answer:
        """DELETE /positions."""
        self._check_address(call)
        self._world.exchange.exit_all()
        return 200, {"status": "success"}

    def convert(self, call: Call) -> Answer:
        """POST /positions/convert: moves units between products at their average price."""
        quantity = checks.quantity_of({"quantity": call.body.get("convertQty")})
        listing = checks.listing_of(call.body, self._world.catalogue)
        source = checks.word_of(call.body, "fromProductType", checks.PLAIN_PRODUCTS)
        target = checks.word_of(call.body, "toProductType", checks.PLAIN_PRODUCTS)
        if not self._world.exchange.convert(listing, source, target, quantity):
            raise bad_order("Position to convert is too small")
        return 200, {"status": "success"}

    def holdings(self, _: Call) -> Answer:
        """GET /holdings: the account starts without any, which Dhan words as an error."""
        raise Denial(400, "Holding_Error", "DH-1111", "No holdings available")

    def funds(self, _: Call) -> Answer:
        """GET /fundlimit."""
        exchange = self._world.exchange
        available = exchange.available_paise()
        return 200, {
            "dhanClientId": self._world.knobs.client_id,
            "availabelBalance": wire.rupees(available),
            "sodLimit": wire.rupees(self._world.knobs.funds_paise),
            "collateralAmount": 0.0,
            "receiveableAmount": 0.0,
            "utilizedAmount": wire.rupees(exchange.used_margin()),
            "blockedPayoutAmount": 0.0,
            "withdrawableBalance": wire.rupees(max(0, available)),
        }

    def margin(self, call: Call) -> Answer:
        """POST /margincalculator."""
        total = self._margin_of(call.body)
        available = self._world.exchange.available_paise()
        return 200, {
            "totalMargin": wire.rupees(total),
            "spanMargin": 0.0,
            "exposureMargin": 0.0,
            "availableBalance": wire.rupees(available),
            "variableMargin": 0.0,
            "insufficientBalance": wire.rupees(max(0, total - available)),
            "brokerage": 20.0,
            "leverage": "1.00",
        }

    def basket_margin(self, call: Call) -> Answer:
        """POST /margincalculator/multi, without hedge benefit."""
        rows = call.body.get("scripList")
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise bad_input("Invalid scripList")
        total = sum(self._margin_of(row) for row in rows)
        names = ("total", "span", "exposure", "equity", "fo", "commodity")
        observed = self._world.knobs.shapes == "observed"
        answer: dict[str, Any] = {
            f"{name}Margin" if observed else f"{name}_margin": wire.rupees(total if name == "total" else 0)
            for name in names
        }
        return 200, answer | {"currency": "INR", "hedgeBenefit" if observed else "hedge_benefit": "0"}

    def _margin_of(self, body: Mapping[str, Any]) -> int:
        quantity = checks.quantity_of(body)
        listing = checks.listing_of(body, self._world.catalogue)
        side = Side(checks.word_of(body, "transactionType", frozenset({"BUY", "SELL"})))
        product = checks.word_of(body, "productType", checks.PLAIN_PRODUCTS)
        price = checks.price_of(body, "price") or self._world.exchange.last_price(listing)
        return self._world.exchange.margin(listing, side, product, quantity, price)

    # --------------------------------------------------------------- control

    def kill(self, call: Call) -> Answer:
        """POST /killswitch."""
        wanted = str(call.query.get("killSwitchStatus") or call.body.get("killSwitchStatus") or "").upper()
        if wanted not in ("ACTIVATE", "DEACTIVATE"):
            raise bad_input("Invalid killSwitchStatus")
        if wanted == "ACTIVATE" and not self._world.exchange.is_flat:
            self._world.faults.strike(FaultKind.KILL_REFUSED)
            raise bad_order("Kill switch needs all positions closed and no pending order")
        self._world.exchange.is_killed = wanted == "ACTIVATE"
        self._world.ledger.add(self._world.now_ns, "KILL_SWITCH", active=self._world.exchange.is_killed)
        return 200, {
            "dhanClientId": self._world.knobs.client_id,
            "killSwitchStatus": f"Kill Switch has been successfully {wanted.lower()}d",
        }

    def kill_status(self, _: Call) -> Answer:
        """GET /killswitch."""
        word = "ACTIVATE" if self._world.exchange.is_killed else "DEACTIVATE"
        return 200, {"dhanClientId": self._world.knobs.client_id, "killSwitchStatus": word}

    def set_pnl_exit(self, call: Call) -> Answer:
        """POST or PUT /pnlExit."""
        self._world.exchange.pnl_exit = {
            "profit_paise": checks.price_of(call.body, "profitValue"),
            "loss_paise": checks.price_of(call.body, "lossValue"),
            "products": list(call.body.get("productType") or ()),
            "kill": call.body.get("enableKillSwitch") is True,
        }
        return 200, {"pnlExitStatus": "ACTIVE", "message": "P&L based exit configured successfully"}

    def pnl_exit(self, _: Call) -> Answer:
        """GET /pnlExit."""
        limits = self._world.exchange.pnl_exit
        if limits is None:
            return 200, {"pnlExitStatus": "DISABLED"}
        return 200, {
            "pnlExitStatus": "ACTIVE",
            "profit": f"{limits['profit_paise'] / 100:.2f}",
            "loss": f"{limits['loss_paise'] / 100:.2f}",
            "segments": limits["products"],
            "enableKillSwitch": limits["kill"],
        }

    def stop_pnl_exit(self, _: Call) -> Answer:
        """DELETE /pnlExit."""
        self._world.exchange.pnl_exit = None
        return 200, {"pnlExitStatus": "DISABLED", "message": "P&L based exit stopped"}

    def ips(self, _: Call) -> Answer:
        """GET /ip/getIP."""
        names = ("primaryIP", "secondaryIP")
        return 200, dict(zip(names, self._world.ips, strict=False))

    def set_ip(self, call: Call) -> Answer:
        """POST /ip/setIP, PUT /ip/modifyIP."""
        address = str(call.body.get("ip") or "")
        place = 0 if call.body.get("ipFlag") == "PRIMARY" else 1
        if not address:
            raise bad_input("Invalid ip")
        self._world.ips[place : place + 1] = [address]
        return 200, {"message": "IP saved", "status": "SUCCESS"}

    def profile(self, call: Call) -> Answer:
        """GET /profile."""
        end = wire.clock_text(self._world.tokens.expiry_ns(call.token))
        return 200, {
            "dhanClientId": self._world.knobs.client_id,
            "tokenValidity": f"{end[8:10]}/{end[5:7]}/{end[:4]} {end[11:16]}",
            "activeSegment": "Equity, Derivative, Currency, Commodity",
            "ddpi": "Active",
            "mtf": "Active",
            "dataPlan": "Active",
            "dataValidity": f"{end}.0",
        }

    def renew(self, call: Call) -> Answer:
        """GET or POST /RenewToken."""
        token = self._world.tokens.renew(call.token, self._world.now_ns)
        if token is None:
            raise Denial(400, "Input_Exception", "DH-905", "Token cannot be renewed")
        self._world.ledger.add(self._world.now_ns, "RENEWED")
        return 200, self.token_answer(token)

    def token_answer(self, token: str) -> dict[str, Any]:
        """Answer a login or a renewal."""
        return {
            "dhanClientId": self._world.knobs.client_id,
            "dhanClientName": "SANDBOX",
            "dhanClientUcc": "SANDBOX1",
            "givenPowerOfAttorney": True,
            "accessToken": token,
            "expiryTime": wire.clock_text(self._world.tokens.expiry_ns(token)).replace(" ", "T"),
        }

    # ---------------------------------------------------------------- prices

    def quotes(self, call: Call) -> Answer:
        """POST /marketfeed/{ltp, ohlc, quote}; keys of the body that are no segment are ignored."""
        exchange, found = self._world.exchange, {}
        for segment, ids in call.body.items():
            if not isinstance(ids, list):
                continue
            rows = {}
            for security_id in ids:
                listing = self._world.catalogue.find(segment, str(security_id))
                last = exchange.last_price(listing) if listing else 0
                if listing is not None and last:
                    rows[str(security_id)] = self._quote(listing, call.parts["kind"], last)
            found[segment] = rows
        return 200, {"data": found, "status": "success"}

    def _quote(self, listing: Listing, kind: str, last: int) -> dict[str, Any]:
        day = self._world.ranges.get(listing.price_key)
        close = self._world.exchange.previous_close.get(listing.price_key, 0)
        stamp = self._world.exchange.last.get(listing.price_key, (0, 0))[1]
        shown = (day.opened, day.high, day.low, close) if day else (0, 0, 0, close)
        row = wire.quote(kind, last, shown, stamp)
        if kind == "quote":
            low, high = checks.price_band(close, self._world.knobs.price_band_bp, listing.tick_paise)
            row["lower_circuit_limit"] = wire.rupees(low)
            row["upper_circuit_limit"] = wire.rupees(high if close else 0)
            row["volume"] = day.volume if day else 0
        return row

    def daily_chart(self, call: Call) -> Answer:
        """POST /charts/historical: the end is exclusive."""
        listing, first, end = self._chart_window(call.body)
        history = self._world.history
        if history is None or listing is None:
            return 200, wire.chart([])
        last = min(ist_date(end - 1), ist_date(self._world.now_ns) - timedelta(days=1))
        bars = history.daily_bars([listing.price_key], ist_date(first), last).get(listing.price_key)
        return 200, wire.chart(_rows(bars, first, end))

    def intraday_chart(self, call: Call) -> Answer:
        """POST /charts/intraday: at most 90 days; minutes are joined to longer bars."""
        interval = str(call.body.get("interval") or "1")
        if interval not in ("1", "5", "15", "25", "60"):
            raise bad_input("Invalid interval")
        listing, first, end = self._chart_window(call.body)
        if end - first > 91 * NS_PER_DAY:
            raise Denial(400, "Data_Error", "DH-907", "At most 90 days can be fetched at once")
        history = self._world.history
        if history is None or listing is None:
            return 200, wire.chart([])
        until = min(end, self._world.now_ns)
        bars = history.minute_bars([listing.price_key], ist_date(first), ist_date(until)).get(
            listing.price_key
        )
        rows = [row for row in _rows(bars, first, end) if row[0] + NS_PER_MINUTE <= self._world.now_ns]
        return 200, wire.chart(_joined(rows, int(interval)))

    def _chart_window(self, body: Mapping[str, Any]) -> tuple[Listing | None, int, int]:
        listing = self._world.catalogue.find(
            str(body.get("exchangeSegment") or ""), str(body.get("securityId") or "")
        )
        try:
            first, end = _moment(str(body.get("fromDate"))), _moment(str(body.get("toDate")))
        except ValueError:
            raise Denial(400, "Data_Error", "DH-907", "Invalid date") from None
        return listing, first, end

    def expiries(self, call: Call) -> Answer:
        """POST /optionchain/expirylist."""
        found = {one.instrument.expiry for one in self._options(call.body) if one.instrument}
        return 200, {"data": sorted(str(day) for day in found if day), "status": "success"}

    def option_chain(self, call: Call) -> Answer:
        """POST /optionchain."""
        exchange = self._world.exchange
        strikes: dict[str, dict[str, Any]] = {}
        expiry = str(call.body.get("Expiry") or "")
        for one in self._options(call.body):
            own = one.instrument
            if own is None or str(own.expiry) != expiry or own.strike_paise is None:
                continue
            side = "ce" if own.option_type is OptionType.CE else "pe"
            key = f"{own.strike_paise / 100:.6f}"
            strikes.setdefault(key, {})[side] = _chain_side(
                one, exchange.last_price(one), exchange.previous_close.get(one.price_key, 0)
            )
        underlying = self._underlying(call.body)
        last = exchange.last_price(underlying) if underlying else 0
        return 200, {"data": {"last_price": wire.rupees(last), "oc": strikes}, "status": "success"}

    def _underlying(self, body: Mapping[str, Any]) -> Listing | None:
        segment, security_id = str(body.get("UnderlyingSeg")), str(body.get("UnderlyingScrip"))
        return self._world.catalogue.find(segment, security_id)

    def _options(self, body: Mapping[str, Any]) -> list[Listing]:
        underlying = self._underlying(body)
        if underlying is None:
            return []
        name = underlying.symbol
        return [
            one
            for one in self._world.catalogue
            if one.instrument is not None and one.instrument.option_type and one.instrument.underlying == name
        ]

    def master(self, _: Call) -> Answer:
        """GET the compact scrip master (text)."""
        return 200, scrip_master_csv(self._world.catalogue)


def _chain_side(one: Listing, last: int, close: int) -> dict[str, Any]:
    greeks = dict.fromkeys(("delta", "theta", "gamma", "vega"), 0.0)
    return {
        "greeks": greeks,
        "implied_volatility": 0.0,
        "last_price": wire.rupees(last),
        "oi": 0,
        "previous_close_price": wire.rupees(close),
        "previous_oi": 0,
        "previous_volume": 0,
        "security_id": int(one.security_id),
        "top_ask_price": wire.rupees(last),
        "top_ask_quantity": one.lot_size,
        "top_bid_price": wire.rupees(last),
        "top_bid_quantity": one.lot_size,
        "volume": 0,
    }


def _placed(order: Order) -> dict[str, str]:
    """Answer a placement: TRANSIT, whatever happened since."""
    return {"orderId": order.order_id, "orderStatus": Status.TRANSIT.value}


def _changed(order: Order) -> dict[str, str]:
    return {"orderId": order.order_id, "orderStatus": Status.TRANSIT.value}


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value not in (None, 0)}


def _with_body(call: Call, body: Mapping[str, Any]) -> Call:
    return Call(call.method, call.path, call.parts, call.query, body, call.address, call.token)


def _moment(text: str) -> int:
    if len(text) > 10:
        return ist_to_ns(datetime.strptime(text, "%Y-%m-%d %H:%M:%S"))  # noqa: DTZ007 - it is IST
    return ist_to_ns(datetime.combine(date.fromisoformat(text), datetime.min.time()))


def _rows(bars: Any, first: int, end: int) -> list[tuple[int, int, int, int, int, int]]:
    if bars is None:
        return []
    columns = (
        bars.start_ns,
        bars.open_paise,
        bars.high_paise,
        bars.low_paise,
        bars.close_paise,
        bars.volume,
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [row for row in rows if first <= row[0] < end]


def _joined(
    rows: list[tuple[int, int, int, int, int, int]], minutes: int
) -> list[tuple[int, int, int, int, int, int]]:
    """Join minute bars to longer ones, counted from 09:15."""
    if minutes == 1:
        return rows
    width = minutes * NS_PER_MINUTE
    offset = (9 * 60 + 15 - 330) * NS_PER_MINUTE
    found: dict[int, tuple[int, int, int, int, int, int]] = {}
    for start, opened, high, low, close, volume in rows:
        key = (start - offset) // width * width + offset
        old = found.get(key)
        if old is None:
            found[key] = (key, opened, high, low, close, volume)
        else:
            found[key] = (key, old[1], max(old[2], high), min(old[3], low), close, old[5] + volume)
    return list(found.values())


ROUTES = (
    Route("POST", "/orders", CallClass.ORDER, Rest.place, is_write=True),
    Route("POST", "/orders/slicing", CallClass.ORDER, Rest.place_sliced, is_write=True),
    Route("PUT", "/orders/{id}", CallClass.ORDER, Rest.modify, is_write=True),
    Route("DELETE", "/orders/{id}", CallClass.ORDER, Rest.cancel, is_write=True),
    Route("GET", "/orders", CallClass.READ, Rest.book),
    Route("GET", "/orders/external/{id}", CallClass.READ, Rest.external),
    Route("GET", "/orders/{id}", CallClass.READ, Rest.one),
    Route("GET", "/trades", CallClass.READ, Rest.trades),
    Route("GET", "/trades/{id}", CallClass.READ, Rest.trades_of),
    Route("GET", "/trades/{first}/{last}/{page}", CallClass.READ, Rest.trade_history),
    Route("POST", "/super/orders", CallClass.ORDER, Rest.place_super, is_write=True),
    Route("PUT", "/super/orders/{id}", CallClass.ORDER, Rest.modify_super, is_write=True),
    Route("DELETE", "/super/orders/{id}/{leg}", CallClass.ORDER, Rest.cancel_super, is_write=True),
    Route("GET", "/super/orders", CallClass.READ, Rest.supers),
    Route("GET", "/positions", CallClass.READ, Rest.positions),
    Route("DELETE", "/positions", CallClass.ORDER, Rest.exit_positions, is_write=True),
    Route("POST", "/positions/convert", CallClass.READ, Rest.convert, is_write=True),
    Route("GET", "/holdings", CallClass.READ, Rest.holdings),
    Route("GET", "/fundlimit", CallClass.READ, Rest.funds),
    Route("POST", "/margincalculator", CallClass.READ, Rest.margin),
    Route("POST", "/margincalculator/multi", CallClass.READ, Rest.basket_margin),
    Route("POST", "/killswitch", CallClass.READ, Rest.kill, is_write=True),
    Route("GET", "/killswitch", CallClass.READ, Rest.kill_status),
    Route("POST", "/pnlExit", CallClass.READ, Rest.set_pnl_exit, is_write=True),
    Route("PUT", "/pnlExit", CallClass.READ, Rest.set_pnl_exit, is_write=True),
    Route("GET", "/pnlExit", CallClass.READ, Rest.pnl_exit),
    Route("DELETE", "/pnlExit", CallClass.READ, Rest.stop_pnl_exit, is_write=True),
    Route("GET", "/ip/getIP", CallClass.READ, Rest.ips),
    Route("POST", "/ip/setIP", CallClass.READ, Rest.set_ip, is_write=True),
    Route("PUT", "/ip/modifyIP", CallClass.READ, Rest.set_ip, is_write=True),
    Route("GET", "/profile", CallClass.READ, Rest.profile),
    Route("GET", "/RenewToken", CallClass.READ, Rest.renew),
    Route("POST", "/RenewToken", CallClass.READ, Rest.renew),
    Route("POST", "/marketfeed/{kind}", CallClass.QUOTE, Rest.quotes),
    Route("POST", "/charts/historical", CallClass.DATA, Rest.daily_chart),
    Route("POST", "/charts/intraday", CallClass.DATA, Rest.intraday_chart),
    Route("POST", "/optionchain/expirylist", CallClass.CHAIN, Rest.expiries),
    Route("POST", "/optionchain", CallClass.CHAIN, Rest.option_chain),
)
"""Calls under the version prefix; fixed words stand before patterns that would match them."""
