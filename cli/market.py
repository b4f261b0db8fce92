"""``propdesk market``: the generated market and advisors of known skill."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import JsonOption, emit, parse_day, progress_console, say
from propdesk.core.errors import ConfigFault, GapFault

if TYPE_CHECKING:
    from propdesk.core.calendar import MarketCalendar
    from propdesk.model.instrument import Instrument
    from propdesk.sim.advisor_rows import SampleRow
    from propdesk.sim.advisors import AdvisorSpec, AdvisorStream
    from propdesk.sim.market import GeneratedMarket
    from propdesk.sim.market_book import PathBook

Report = Callable[[str, int, int], None]
"""Takes what is done now, how far it is and how much there is."""


@dataclass(frozen=True, slots=True)
class SampleFiles:
    """Where a generated sample lies and how large it is.

    Attributes
    ----------
    signals : Path
        CSV of the days before the replayed one.
    replay_signals : Path
        JSON lines of the replayed day, as live documents with their ``received_at``.
    instruments : Path
        Instrument master of the generated market.
    truth : Path
        What is true about the advisors; nothing in the pipeline reads it.
    store_url : str
        Price store.
    """

    signals: Path
    replay_signals: Path
    instruments: Path
    truth: Path
    store_url: str
    count_days: int
    count_signals: int
    count_followups: int
    count_replay_signals: int
    count_bars: int
    count_instruments: int


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    market = typer.Typer(no_args_is_help=True, help="The generated market and advisors of known skill.")
    market.command("generate")(generate)
    market.command("advisors")(advisors)
    app.add_typer(market, name="market")


def generate(
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    first: Annotated[str, typer.Option(help="First day with signals.")] = "2025-01-01",
    last: Annotated[str, typer.Option(help="Last day with signals in the file.")] = "2025-06-30",
    replay_day: Annotated[str, typer.Option(help="Day whose signals are replayed live.")] = "2025-07-01",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same market.")] = 7,
    per_day: Annotated[int, typer.Option(min=1, max=20_000, help="Ideas a day.")] = 400,
    store: Annotated[str, typer.Option(help="Price store; OUT/prices by default.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Generate prices, instruments, six months of signals and a day to replay."""
    days = [parse_day(first, "--first"), parse_day(last, "--last"), parse_day(replay_day, "--replay-day")]
    with _Progress() as report:
        files = generate_sample(
            out, store or str(out / "prices"), *days, seed=seed, per_day=per_day, report=report
        )
    if as_json:
        emit(asdict(files))
        return
    say(
        f"{files.count_signals} signals and {files.count_followups} follow-ups in {files.signals}; "
        f"{files.count_replay_signals} messages for the replayed day in {files.replay_signals}; "
        f"{files.count_bars} minute bars of {files.count_days} market days in {files.store_url}; "
        f"{files.count_instruments} instrument rows in {files.instruments}."
    )


def generate_sample(
    out_dir: Path,
    store_url: str,
    first: date = date(2025, 1, 1),
    last: date = date(2025, 6, 30),
    replay_day: date | None = None,
    *,
    seed: int = 7,
    per_day: int = 400,
    skill: float = 1.0,
    report: Report | None = None,
) -> SampleFiles:
    """Write a whole sample: price store, instrument master, signals, replay signals and truth.

    Parameters
    ----------
    out_dir : Path
        Folder of the files; made if needed.
    store_url : str
        Price store; days that are there already are replaced symbol by symbol.
    first, last : date
        Closed interval of the signals.
    replay_day : date, optional
        Market day after ``last`` whose signals go to a file of their own; the next one by default.
    seed, per_day : int
        Chance and size.
    skill : float
        Factor on everybody's points; 0 = no skill anywhere.
    report : callable, optional
        Told about progress.

    Returns
    -------
    SampleFiles
        Places and counts.

    Raises
    ------
    ConfigFault
        If the days are in the wrong order or no market days.
    DataFault
        If the store cannot be read or written.
    """
    from adapters.calendar import load_calendar
    from propdesk.sim.advisors import AdvisorSpec

    calendar = load_calendar()
    replayed = replay_day or calendar.next_day(last)
    _check_days(calendar, first, last, replayed)
    tell = report or (lambda what, done, total: None)
    _make_folder(out_dir)
    spec = AdvisorSpec(seed, per_day, skill)
    market, instruments, book, stream = _simulate(calendar, (first, replayed), spec, tell)
    bars = _write_prices(market, book, stream.rows, store_url, tell)
    past, live = _split(stream.rows, replayed)
    places = [out_dir / n for n in ("signals.csv", "replay_signals.jsonl", "instruments.csv", "truth.json")]
    _write_signals(places[0], places[1], past, live)
    write_text(places[2], _instrument_lines(instruments))
    truth = {
        "seed": seed,
        "first": first.isoformat(),
        "last": last.isoformat(),
        "advisors": list(stream.truth),
    }
    write_text(places[3], [json.dumps(truth, indent=1)])
    return SampleFiles(
        signals=places[0],
        replay_signals=places[1],
        instruments=places[2],
        truth=places[3],
        store_url=store_url,
        count_days=len(market.days),
        count_signals=sum(row.kind == "SIGNAL" for row in past),
        count_followups=sum(row.kind == "FOLLOWUP" for row in past),
        count_replay_signals=len(live),
        count_bars=bars,
        count_instruments=len(instruments),
    )


def _simulate(
    calendar: "MarketCalendar", days: tuple[date, date], spec: "AdvisorSpec", tell: Report
) -> "tuple[GeneratedMarket, list[Instrument], PathBook, AdvisorStream]":
    from concurrent.futures import ThreadPoolExecutor

    from adapters.contract_rules import load_contract_rules
    from adapters.forks import spread_over_forks
    from propdesk.sim.advisors import generate_advisors
    from propdesk.sim.market import MarketSpec, generate_market
    from propdesk.sim.market_book import book_of_market
    from propdesk.sim.market_contracts import list_instruments

    tell("Underlyings", 0, 1)
    market = generate_market(MarketSpec(*days, spec.seed), calendar, load_contract_rules())
    instruments = list_instruments(market)
    tell("Contracts", 0, 1)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        book = book_of_market(market, instruments, pool.map)
    tell("Advisors", 0, 1)
    stream = generate_advisors(book, spec, calendar, spread_over_forks)
    return market, instruments, book, stream


def advisors(
    on_prices: Annotated[str, typer.Option(help="Price store with minute bars of NSE_EQ keys.")],
    out: Annotated[Path, typer.Option(help="CSV file of the signals.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same stream.")] = 7,
    per_day: Annotated[int, typer.Option(min=1, max=20_000, help="Ideas a day.")] = 400,
    truth: Annotated[Path | None, typer.Option(help="JSON file of what is true about the advisors.")] = None,
    first: Annotated[str, typer.Option(help="First day; the store's first by default.")] = "",
    last: Annotated[str, typer.Option(help="Last day; the store's last by default.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Let advisors of known skill post NSE_EQ ideas on stored (real) prices."""
    from propdesk.sim.advisors import AdvisorSpec
    from propdesk.sim.sample_format import csv_lines

    low = parse_day(first, "--first") if first else date.min
    high = parse_day(last, "--last") if last else date.max
    spec = AdvisorSpec(seed, per_day, cash_only=True)
    with _Progress() as report:
        book, stream = post_on_prices(on_prices, low, high, spec, report)
    days, keys = book.days, book.instruments
    write_text(out, csv_lines(stream.rows))
    if truth is not None:
        data = {"seed": seed, "first": str(days[0]), "last": str(days[-1]), "advisors": list(stream.truth)}
        write_text(truth, [json.dumps(data, indent=1)])
    counts = {
        "signals": sum(r.kind == "SIGNAL" for r in stream.rows),
        "rows": len(stream.rows),
        "days": len(days),
    }
    if as_json:
        emit({**counts, "file": out, "first": days[0], "last": days[-1], "symbols": len(keys)})
        return
    say(f"{counts['signals']} ideas on {len(keys)} stocks and {len(days)} market days written to {out}.")


def post_on_prices(
    store_url: str, first: date, last: date, spec: "AdvisorSpec", report: Report | None = None
) -> "tuple[PathBook, AdvisorStream]":
    """Let advisors post ideas about the cash stocks of a price store.

    Parameters
    ----------
    store_url : str
        Price store with minute bars of NSE_EQ keys.
    first, last : date
        Closed interval; what of it the store holds.
    spec : AdvisorSpec
        Cash stocks only.
    report : callable, optional
        Told about progress.

    Returns
    -------
    PathBook
        Days and stocks that were posted about.
    AdvisorStream

    Raises
    ------
    GapFault
        If the store has no such bars.
    """
    from adapters.calendar import load_calendar
    from adapters.forks import spread_over_forks
    from adapters.ticks.store import ParquetPriceStore
    from propdesk.sim.advisors import generate_advisors
    from propdesk.sim.market_book import book_of_prices

    calendar = load_calendar()
    store = ParquetPriceStore(store_url, calendar)
    stored = [day for day in store.days("minute") if calendar.is_market_day(day)]
    days = [day for day in stored if first <= day <= last]
    if not days:
        raise GapFault(
            f"{store_url} has no minute bars in that range; import them with `propdesk prices import`."
        )
    keys = sorted({key for day in days for key in store.symbols("minute", day) if key.startswith("NSE_EQ:")})
    if not keys:
        raise GapFault(
            f"{store_url} has no minute bars of cash stocks (NSE_EQ keys) from {days[0]} to {days[-1]}."
        )
    tell = report or (lambda what, done, total: None)
    tell("Reading bars", 0, 1)
    bars = store.minute_bars(keys, days[0], days[-1])
    tell("Advisors", 0, 1)
    book = book_of_prices(bars, days, calendar, {})
    return book, generate_advisors(book, spec, calendar, spread_over_forks)


def _check_days(calendar: "MarketCalendar", first: date, last: date, replayed: date) -> None:
    if first > last:
        raise ConfigFault(f"The first day {first} lies after the last day {last}.")
    if not calendar.market_days(first, last):
        raise ConfigFault(f"There is no market day from {first} to {last}.")
    if replayed <= last or not calendar.is_market_day(replayed):
        raise ConfigFault(f"{replayed} cannot be replayed: it must be a market day after {last}.")


class _Progress:
    """Show a spinner line per piece of work on standard error."""

    def __enter__(self) -> Report:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
            console=progress_console(), transient=True,
        )  # fmt: skip
        self._bar.start()
        self._task = self._bar.add_task("Starting", total=None)
        return self._report

    def _report(self, what: str, done: int, total: int) -> None:
        known = total if total > 1 else None
        self._bar.update(self._task, description=what, completed=done, total=known)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


# ------------------------------------------------------------------------------------------------ writing


def _write_prices(
    market: "GeneratedMarket",
    book: "PathBook",
    rows: "Sequence[SampleRow]",
    store_url: str,
    tell: Report,
) -> int:
    """Write all underlyings and exactly the contracts that ideas mention; returns the number of bars."""
    from concurrent.futures import Future, ThreadPoolExecutor

    from adapters.settings import load_settings
    from adapters.ticks.opening import open_store
    from adapters.ticks.store import bars_table
    from propdesk.model.instrument import underlying_price_key
    from propdesk.sim.market_book import book_minutes

    store = open_store(load_settings(), market.calendar, url=store_url, say=say)
    wanted = _contract_days(market, book, rows)
    names = [underlying_price_key(u.symbol, is_index=u.is_index) for u in market.underlyings]
    daily = [market.daily_bars(row) for row in range(len(names))]
    total = 0
    # While a thread packs a day, the next one is made: one day at most waits in memory.
    packed: Future[None] | None = None
    with store.stage() as stage, ThreadPoolExecutor(max_workers=1) as packer:
        for index, day in enumerate(market.daily.days):
            stage.add(
                "daily",
                day,
                bars_table([(k, b.take(slice(index, index + 1))) for k, b in zip(names, daily, strict=True)]),
            )
        for index, day in enumerate(market.days):
            tell("Prices", index, len(market.days))
            pairs = [(name, market.minute_bars(row, index)) for row, name in enumerate(names)]
            pairs += [
                (book.instruments[row].instrument_key, book_minutes(market, book, row, index))
                for row in wanted.get(index, [])
            ]
            table = bars_table(sorted(pairs, key=lambda pair: pair[0]))
            total += table.num_rows
            if packed is not None:
                packed.result()
            packed = packer.submit(stage.add, "minute", day, table)
        if packed is not None:
            packed.result()
    return total


def _contract_days(
    market: "GeneratedMarket", book: "PathBook", rows: "Sequence[SampleRow]"
) -> dict[int, list[int]]:
    """Contracts (rows of the book) needed per day: from the first mention while an idea can be open."""
    from propdesk.core.calendar import ist_date
    from propdesk.model.enums import Period
    from propdesk.model.instrument import instrument_key

    by_key = {item.instrument_key: row for row, item in enumerate(book.instruments)}
    number = {day: index for index, day in enumerate(market.days)}
    spans: dict[int, tuple[int, int]] = {}
    for row in rows:
        if row.kind != "SIGNAL" or row.category is None or row.expiry is None or row.raw:
            continue
        symbol = row.symbol.replace(" ", "").replace("NIFTY50", "NIFTY").replace("NIFTYBANK", "BANKNIFTY")
        at = by_key[instrument_key(row.category, symbol, row.expiry, row.strike_paise, row.option_type)]
        start = number.get(ist_date(row.received_s * 1_000_000_000), 0)
        # an after-hours idea acts on the next day
        end = start + (1 if row.period is Period.INTRADAY else len(market.days))
        low, high = spans.get(at, (start, end))
        spans[at] = (min(low, start), max(high, end))
    found: dict[int, list[int]] = {}
    for at, (start, end) in spans.items():
        for index in range(start, min(end, len(market.days) - 1) + 1):
            if book.day_start[at, index] < book.day_start[at, index + 1]:
                found.setdefault(index, []).append(at)
    return found


def _split(rows: "Sequence[SampleRow]", replayed: date) -> "tuple[list[SampleRow], list[SampleRow]]":
    from propdesk.core.calendar import ist_midnight_ns

    start_s = ist_midnight_ns(replayed) // 1_000_000_000
    return [r for r in rows if r.received_s < start_s], [r for r in rows if r.received_s >= start_s]


def _write_signals(
    past_file: Path, live_file: Path, past: "Sequence[SampleRow]", live: "Sequence[SampleRow]"
) -> None:
    from propdesk.sim.sample_format import csv_lines, live_document

    write_text(past_file, csv_lines(past))
    write_text(live_file, (json.dumps(live_document(row)) + "\n" for row in live))


_MASTER_COLUMNS = (
    "SEM_EXM_EXCH_ID", "SEM_SEGMENT", "SEM_SMST_SECURITY_ID", "SEM_INSTRUMENT_NAME", "SEM_EXPIRY_CODE",
    "SEM_TRADING_SYMBOL", "SEM_LOT_UNITS", "SEM_CUSTOM_SYMBOL", "SEM_EXPIRY_DATE", "SEM_STRIKE_PRICE",
    "SEM_OPTION_TYPE", "SEM_TICK_SIZE", "SEM_EXPIRY_FLAG", "SEM_EXCH_INSTRUMENT_TYPE", "SEM_SERIES",
    "SM_SYMBOL_NAME", "valid_from", "valid_to", "freeze_quantity", "has_derivatives",
)  # fmt: skip
_MASTER_NAMES = {
    "NSE_EQ": "EQUITY",
    "INDEX_FUT": "FUTIDX",
    "STOCK_FUT": "FUTSTK",
    "INDEX_OPT": "OPTIDX",
    "STOCK_OPT": "OPTSTK",
}


def _instrument_lines(instruments: "Sequence[Instrument]") -> Iterable[str]:
    """Lines of the instrument master in the broker's compact layout plus dated columns."""
    yield ",".join(_MASTER_COLUMNS) + "\n"
    monthly = _monthly_expiries(instruments)
    for item in instruments:
        yield ",".join(_master_row(item, monthly)) + "\n"


def _monthly_expiries(instruments: "Sequence[Instrument]") -> set[tuple[str, date]]:
    return {(i.underlying, i.expiry) for i in instruments if i.expiry is not None and i.category.is_future}


def _master_row(item: "Instrument", monthly: set[tuple[str, date]]) -> list[str]:
    expiry = item.expiry
    month = f"{item.underlying}-{expiry:%b%Y}" if expiry else item.underlying
    strike = f"{(item.strike_paise or 0) / 100:g}"
    if item.option_type:
        symbol = f"{month}-{strike}-{item.option_type}"
        word = "CALL" if item.option_type == "CE" else "PUT"
        shown = f"{item.underlying} {expiry:%d %b} {strike} {word}".upper()
    else:
        symbol = f"{month}-FUT" if expiry else item.underlying
        shown = f"{item.underlying} {expiry:%b} FUT".upper() if expiry else item.underlying.title()
    flag = "" if expiry is None else ("M" if (item.underlying, expiry) in monthly else "W")
    return [
        "NSE", "D" if expiry else "E", item.security_id, _MASTER_NAMES[item.category.value], "0", symbol,
        str(item.lot_size), shown, f"{expiry} 14:30:00" if expiry else "",
        f"{(item.strike_paise or 0) / 100:.2f}",
        item.option_type.value if item.option_type else "XX", str(item.tick_paise), flag,
        "ES" if expiry is None else ("OP" if item.option_type else "FUT"), item.series, item.underlying,
        item.valid_from.isoformat(), item.valid_to.isoformat(), str(item.freeze_quantity),
        "1" if item.has_derivatives else "0",
    ]  # fmt: skip


def _make_folder(folder: Path) -> None:
    """Make a folder before any work is spent; raises ConfigFault if that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigFault(f"{folder} cannot be written ({error.strerror}); choose another folder.") from error


def write_text(file: Path, pieces: Iterable[str]) -> None:
    """Write text beside its place and move it there; raises ConfigFault if the folder refuses."""
    temporary = file.with_name(f".{file.name}.part")
    _make_folder(file.parent)
    try:
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(pieces)
        temporary.replace(file)
    except OSError as error:
        raise ConfigFault(
            f"{file} cannot be written ({error.strerror}); choose a folder that can."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
