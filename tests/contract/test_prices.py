"""Prices over REST, from the sandbox's history into a price store, and what the day's master names."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import Result
from typer.testing import CliRunner

from adapters.brokers.dhan.candle_import import CandleKind, CandleReport, DoneWindows, import_candles
from adapters.brokers.dhan.prices import Prices, chart_symbol, index_symbol
from adapters.brokers.dhan.scrip_master import download_scrip_master
from adapters.brokers.dhan.transport import TimeOuts
from adapters.calendar import load_calendar
from adapters.clock import SystemClock
from adapters.ticks.store import ParquetPriceStore
from cli.main import build
from propdesk.core.calendar import ist_midnight_ns, ist_to_ns
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.core.errors import BrokerFault, ConfigFault
from propdesk.model.enums import OptionType
from sandbox.catalogue import catalogue_of_keys
from sandbox.faults import Fault, FaultKind
from sandbox.knobs import Knobs
from sandbox.server import Sandbox, addresses
from sandbox.world import make_world
from tests.contract.conftest import KEY, START, Desk
from tests.support.instruments import equity
from tests.support.sandbox_thread import RunningSandbox, running

DAYS = (date(2025, 6, 26), date(2025, 6, 27), date(2025, 6, 30))
CALL, PUT = "INDEX_OPT:NIFTY:2025-07-31:2550000:CE", "INDEX_OPT:NIFTY:2025-07-31:2550000:PE"
PRICES = {KEY: 10_000, "INDEX:NIFTY": 2_550_000, CALL: 20_000, PUT: 18_000}


def table(key: str, starts: list[int], first_paise: int) -> pa.Table:
    count = len(starts)
    opens = first_paise + 5 * np.arange(count, dtype=np.int64)
    columns = {
        "ts": np.array(starts, np.int64),
        "open": opens,
        "high": opens + 10,
        "low": opens - 10,
        "close": opens + 5,
        "volume": np.arange(count, dtype=np.int64),
    }
    return pa.table(
        {"symbol": pa.array([key] * count), **{name: pa.array(values) for name, values in columns.items()}}
    )


@pytest.fixture
def history(tmp_path: Path) -> ParquetPriceStore:
    """Minutes and a daily bar of three market days, for a share and an index."""
    store = ParquetPriceStore(str(tmp_path / "broker"))
    with store.stage() as stage:
        for day in DAYS:
            opened = ist_to_ns(datetime.combine(day, datetime.min.time())) + 555 * NS_PER_MINUTE
            minutes = [opened + n * NS_PER_MINUTE for n in range(375)]
            for kind, starts in (("minute", minutes), ("daily", [ist_midnight_ns(day)])):
                rows = [table(key, starts, PRICES[key]) for key in (KEY, "INDEX:NIFTY")]
                stage.add(kind, day, pa.concat_tables(rows))
    return store


@pytest.fixture
async def desk(history: ParquetPriceStore) -> AsyncIterator[Desk]:
    """A sandbox with that history, a share, an index and two options."""
    knobs = Knobs(transit_ms=0, rate_limits=False)
    catalogue = catalogue_of_keys(PRICES, DAYS[-1])
    world = make_world(catalogue, START, knobs=knobs, previous_close=PRICES, history=history)
    sandbox = Sandbox(world)
    async with sandbox.serving() as place:
        found = Desk(sandbox, place, TimeOuts(order_s=0.5, read_s=2.0))
        for key, price in PRICES.items():
            world.trade(key, price)
        async with found.client:
            yield found


async def copied(desk: Desk, target: Path, kind: CandleKind, done: Path) -> CandleReport:
    instrument = next(
        one.instrument for one in desk.world.catalogue if one.instrument and one.price_key == KEY
    )
    return await import_candles(
        Prices(desk.client.http, back_off_s=0.001),
        ParquetPriceStore(str(target)),
        load_calendar(),
        [chart_symbol(instrument), index_symbol("NIFTY", "13")],
        DAYS[0],
        DAYS[-1],
        kind=kind,
        done=DoneWindows(done),
    )


@pytest.mark.parametrize(("kind", "bars"), [("minute", 2 * 3 * 375), ("daily", 2 * 3)])
async def test_candles_arrive_in_the_store_as_the_broker_has_them(
    kind: CandleKind, bars: int, desk: Desk, history: ParquetPriceStore, tmp_path: Path
) -> None:
    report = await copied(desk, tmp_path / "ours", kind, tmp_path / "done.json")
    assert (report.candles, sum(report.refused.values()), report.empty) == (bars, 0, [])
    ours = ParquetPriceStore(str(tmp_path / "ours"))
    for day in DAYS:
        read = "minute_bars" if kind == "minute" else "daily_bars"
        wanted = getattr(history, read)([KEY, "INDEX:NIFTY"], day, day)
        found = getattr(ours, read)([KEY, "INDEX:NIFTY"], day, day)
        for key, rows in wanted.items():
            for name in ("start_ns", "open_paise", "high_paise", "low_paise", "close_paise", "volume"):
                np.testing.assert_array_equal(getattr(found[key], name), getattr(rows, name))


async def test_a_download_that_broke_off_goes_on_and_a_finished_one_asks_nothing(
    desk: Desk, tmp_path: Path
) -> None:
    place = (tmp_path / "ours", "daily", tmp_path / "done.json")
    desk.world.faults.arm(Fault(FaultKind.ERROR_STATUS, count=-1, path="/charts", values={"status": 502}))
    with pytest.raises(BrokerFault):
        await copied(desk, place[0], "daily", place[2])
    desk.world.faults.disarm()
    desk.world.faults.arm(Fault(FaultKind.ERROR_STATUS, count=2, path="/charts", values={"status": 502}))
    assert (await copied(desk, place[0], "daily", place[2])).candles == 6
    again = await copied(desk, place[0], "daily", place[2])
    assert (again.candles, again.skipped_windows) == (0, 1)


async def test_longer_bars_are_joined_from_minutes(desk: Desk) -> None:
    symbol = index_symbol("NIFTY", "13")
    pages = [page async for page in desk.client.prices.intraday(symbol, DAYS[0], DAYS[0], minutes=15)]
    bars = [bar for page in pages for bar in page]
    assert len(bars) == 25
    assert (bars[0].open_paise, bars[0].close_paise) == (2_550_000, 2_550_000 + 5 * 14 + 5)
    assert (bars[0].high_paise, bars[0].low_paise) == (2_550_000 + 5 * 14 + 10, 2_550_000 - 10)


async def test_quotes_and_the_option_chain_show_what_was_traded(desk: Desk) -> None:
    options = {one.price_key: one for one in desk.world.catalogue}
    wanted = [(options[key].segment, options[key].security_id) for key in PRICES]
    quotes = await desk.client.prices.quotes(wanted)
    assert [quotes[place].last_paise for place in wanted] == list(PRICES.values())
    (expiry,) = await desk.client.prices.expiries("13")
    chain = await desk.client.prices.option_chain("13", expiry)
    assert expiry == date(2025, 7, 31)
    assert chain.underlying_paise == PRICES["INDEX:NIFTY"]
    assert [(side.option_type, side.last_paise, side.security_id) for side in chain.sides] == [
        (OptionType.CE, PRICES[CALL], options[CALL].security_id),
        (OptionType.PE, PRICES[PUT], options[PUT].security_id),
    ]


async def test_the_days_master_is_downloaded_from_its_address(desk: Desk) -> None:
    found = await download_scrip_master(desk.config, date(2025, 7, 1))
    assert {one.instrument_key for one in found.instruments} == {KEY, CALL, PUT}
    assert equity().lot_size == next(o.lot_size for o in found.instruments if o.instrument_key == KEY)


@pytest.fixture
def served(history: ParquetPriceStore) -> Iterator[RunningSandbox]:
    """The same sandbox in a thread of its own, for commands."""
    world = make_world(catalogue_of_keys(PRICES, DAYS[-1]), START, previous_close=PRICES, history=history)
    with running(Sandbox(world)) as found:
        yield found


def command(served: RunningSandbox, home: Path, *words: str) -> Result:
    world = served.sandbox.world
    named = {name.upper(): value for name, value in addresses(served.place).items()}
    token = served.do(lambda: world.tokens.issue(SystemClock().now_ns()))
    own = {"HOME": str(home), "DHAN_CLIENT_ID": world.knobs.client_id, "DHAN_DATA_TOKEN": token}
    env = {f"PROPDESK_{name}": value for name, value in (named | own).items()}
    days = [DAYS[0].isoformat(), DAYS[-1].isoformat()]
    return CliRunner().invoke(build(), ["prices", "download", *days, "--json", *words], env=env)


def test_a_download_fills_the_store_once(
    served: RunningSandbox, history: ParquetPriceStore, tmp_path: Path
) -> None:
    words = ("--key", KEY, "--key", "INDEX:NIFTY", "--kind", "daily", "--store", str(tmp_path / "ours"))
    first = command(served, tmp_path, *words)
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["candles"] == 6
    assert json.loads(command(served, tmp_path, *words).stdout)["candles"] == 0
    ours = ParquetPriceStore(str(tmp_path / "ours")).daily_bars([KEY], DAYS[0], DAYS[-1])[KEY]
    theirs = history.daily_bars([KEY], DAYS[0], DAYS[-1])[KEY]
    np.testing.assert_array_equal(ours.close_paise, theirs.close_paise)


@pytest.mark.parametrize("words", [("--key", "NSE_EQ:NOBODY"), ("--kind", "tick")])
def test_what_cannot_be_downloaded_is_said(
    served: RunningSandbox, tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert isinstance(command(served, tmp_path, *words).exception, ConfigFault)
