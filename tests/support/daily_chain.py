"""Three days of the daily chain on a small market, the same as a range and one by one, then three days more.

As a program (``python -m tests.support.daily_chain FOLDER``) it plays the scenario with the project's own
assets, schedule and sensors and leaves the tables of each stage below the folder. Settings come from the
environment; the clock is set by hand. Until ``KNOWN`` every day brings its prices and its file of signals in
the evening; what the later days bring must not change what was known before:

* ACME, a swing idea, is open for two days and meets its target on the third;
* BOLT lives through an outage of the feed on the fifth;
* CITY is closed by a follow-up of the fourth;
* EAST has daily bars only, and one of the fourth holds both its stop and its target;
* FUND is sold in parts on the second and the fourth;
* GOLD has daily bars on two days, minutes on the others, and meets its target on a daily bar of the fifth;
* DUSK is called four times a day; one call of the second is corrected by the third day's file. Another
  advisor calls it three times around the second day's close, and as two legs on different days.
"""

import csv
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from datetime import date
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa
from psycopg import sql

from adapters.calendar import load_calendar
from adapters.db.engine import psycopg_dsn
from adapters.db.repos.instruments import load_instruments
from adapters.settings import Settings, load_settings
from adapters.ticks.store import ParquetPriceStore
from propdesk.core.calendar import ist_midnight_ns
from propdesk.core.clock import NS_PER_MINUTE, ManualClock
from propdesk.model.enums import Category
from propdesk.model.instrument import Instrument

DAYS: Final = [date(2025, 6, n) for n in (2, 3, 4, 5, 6, 9)]
KNOWN: Final = DAYS[2]
STOCKS: Final = ("ACME", "BOLT", "CITY", "DUSK", "EAST", "FUND", "GOLD")
DAILY, RANGE, ALONE, FULL = "daily", "range", "alone", "full"
"""Stages: day by day up to KNOWN, the same days at once, each of them again by itself, all days at once."""

_SCHEMAS = ("raw", "research", "ref", "marts")
_OF_OTHERS = ("raw.uploads", "ref.readiness", "ref.rulesets", "ref.ruleset_rules")
_LEVELS = {  # rupees over a day from a clock time on, by stock and number of the day
    "ACME": [{915: 100}, {915: 101}, {915: 102, 1200: 104.5}, {915: 105}, {915: 105}, {915: 105}],
    "BOLT": [{915: 100}, {915: 101}, {915: 101.5}, {915: 102}, {915: 102, 1230: 110}, {915: 110}],
    "CITY": [{915: 100}, {915: 100, 1300: 101}, {915: 101}, {915: 102}, {915: 102}, {915: 102}],
    "FUND": [{915: 100}, {915: 102}, {915: 101}, {915: 103}, {915: 103}, {915: 103}],
    "GOLD": [{915: 100}, {}, {915: 102}, {915: 103}, {}, {915: 109}],
}
_DUSK = {915: 100, 1030: 102, 1130: 99, 1400: 101}
_CALLS = (920, 1000, 1120, 1220)
_EAST = [
    (100, 101, 99, 100),
    (100, 102, 99, 101),
    (101, 103, 100, 101),
    (101, 110, 90, 100),
    (100,) * 4,
    (100,) * 4,
]
_GOLD = {1: (100, 103, 99, 101), 4: (103, 109, 102, 108.5)}
_OUTAGE = (1100, 1200)
_COLUMNS = (
    "kind", "source_message_id", "advisor_id", "posted_at", "category", "symbol", "side", "entry_type",
    "entry_low", "entry_high", "stoploss", "targets", "period", "refers_to", "followup_kind", "fraction",
    "group_key",
)  # fmt: skip


def _at(day: date, clock: int) -> int:
    return ist_midnight_ns(day) + (clock // 100 * 60 + clock % 100) * NS_PER_MINUTE


def _stamp(day: date, clock: int) -> str:
    return f"{day}T{clock // 100:02d}:{clock % 100:02d}:00+05:30"


# ------------------------------------------------------------------------------------------------ prices


def _table(rows: list[tuple[str, int, tuple[float, ...]]]) -> pa.Table:
    rows = sorted(rows)
    prices = {
        name: [round(levels[place] * 100) for _, _, levels in rows]
        for place, name in enumerate(("open", "high", "low", "close"))
    }
    columns = {"symbol": [r[0] for r in rows], "ts": [r[1] for r in rows], **prices}
    return pa.table({**columns, "volume": [100_000] * len(rows)})


def _minutes(number: int) -> list[tuple[str, int, tuple[float, ...]]]:
    """Bars every quarter of an hour, flat at the level of the moment."""
    rows = []
    for stock, plan in {**_LEVELS, "DUSK": [_DUSK] * len(DAYS)}.items():
        levels = plan[number]
        if not levels:
            continue
        for minute in range(555, 930, 15):
            clock = minute // 60 * 100 + minute % 60
            if number == 4 and _OUTAGE[0] <= clock < _OUTAGE[1]:
                continue
            level = levels[max(begin for begin in levels if begin <= clock)]
            shift = number * 0.1 if stock == "DUSK" else 0.0
            rows.append((f"NSE_EQ:{stock}", _at(DAYS[number], clock), (level + shift,) * 4))
    return rows


def bring_prices(store: ParquetPriceStore, number: int) -> None:
    """Import a day's prices; the first day brings the index's history too."""
    calendar, day = load_calendar(), DAYS[number]
    store.write_minutes(day, _table(_minutes(number)))
    history = [calendar.shift(day, -n) for n in range(180, 0, -1)] if number == 0 else []
    for one in [*history, day]:
        level = 23_000 + one.toordinal() % 11 * 20 + (one - DAYS[0]).days
        rows = [("INDEX:NIFTY", ist_midnight_ns(one), (level, level + 60.0, level - 60.0, level + 15.0))]
        if one == day:
            rows.append(("NSE_EQ:EAST", ist_midnight_ns(one), _EAST[number]))
            if number in _GOLD:
                rows.append(("NSE_EQ:GOLD", ist_midnight_ns(one), _GOLD[number]))
        store.write_daily(one, _table(rows))


# ----------------------------------------------------------------------------------------------- signals


def _swing(stock: str, day: date, target: float, stop: float = 95) -> dict[str, object]:
    return {
        "kind": "SIGNAL", "source_message_id": stock, "advisor_id": "A1", "posted_at": _stamp(day, 900),
        "category": "NSE_EQ", "symbol": stock, "side": "BUY", "entry_type": "LIMIT", "entry_low": 100,
        "entry_high": 100, "stoploss": stop, "targets": target, "period": "SWING",
    }  # fmt: skip


def _call(number: int, nth: int, stop: float = 98.5) -> dict[str, object]:
    return {
        **_swing("DUSK", DAYS[number], 101.5 + nth * 0.1, stop),
        "source_message_id": f"dusk-{number}-{nth}", "advisor_id": "A2", "entry_type": "MARKET",
        "posted_at": _stamp(DAYS[number], _CALLS[nth]), "entry_low": "", "entry_high": "",
        "period": "INTRADAY",
    }  # fmt: skip


def _of_a3(name: str, day: date, clock: int, group: str = "") -> dict[str, object]:
    return {
        **_call(0, 0), "source_message_id": name, "advisor_id": "A3", "posted_at": _stamp(day, clock),
        "group_key": group,
    }  # fmt: skip


def _says(stock: str, number: int, kind: str, fraction: object = "") -> dict[str, object]:
    return {
        "kind": "FOLLOWUP", "source_message_id": f"{stock}-{number}", "advisor_id": "A1",
        "posted_at": _stamp(DAYS[number], 1150), "symbol": stock, "refers_to": stock, "followup_kind": kind,
        "fraction": fraction,
    }  # fmt: skip


_POSTED: Final[list[list[dict[str, object]]]] = [
    [_swing("ACME", DAYS[0], 104), _swing("BOLT", DAYS[0], 109), _swing("EAST", DAYS[0], 108),
     _swing("FUND", DAYS[0], 120), {**_swing("GOLD", DAYS[0], 108), "advisor_id": "A3"}],
    [_swing("CITY", DAYS[1], 115), _says("FUND", 1, "PARTIAL_EXIT", 0.5),
     _of_a3("leg-1", DAYS[1], 1000, "pair"), _of_a3("post-1", DAYS[1], 1450),
     _of_a3("post-2", DAYS[1], 1515)],
    [_call(1, 2, stop=98.0), _of_a3("post-3", DAYS[1], 1535), _of_a3("leg-2", DAYS[2], 1000, "pair")],
    [_says("FUND", 3, "PARTIAL_EXIT", 0.5), _says("CITY", 3, "EXIT")],
    [],
    [],
]  # fmt: skip


def write_signals(folder: Path, number: int) -> Path:
    """Write a day's file of signals and follow-ups."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{DAYS[number]}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS, restval="")
        writer.writeheader()
        writer.writerows([*_POSTED[number], *(_call(number, nth) for nth in range(len(_CALLS)))])
    return path


def instrument(stock: str) -> Instrument:
    """Give a stock's row of the master."""
    return Instrument(
        instrument_key=f"NSE_EQ:{stock}", category=Category.NSE_EQ, underlying=stock, expiry=None,
        strike_paise=None, option_type=None, exchange_segment="NSE_EQ",
        security_id=str(1000 + STOCKS.index(stock)), lot_size=1, tick_paise=5, freeze_quantity=0, series="EQ",
        has_derivatives=False, valid_from=date(2025, 1, 1), valid_to=date(2025, 12, 31),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ stages


def dump(settings: Settings, folder: Path) -> None:
    """Write every table of the pipeline as CSV, rows in a total order, ids of runs and uploads left out."""
    folder.mkdir(parents=True)
    with psycopg.connect(psycopg_dsn(settings.database_url())) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE (table_type = 'BASE TABLE' OR table_schema = 'marts') AND table_schema = ANY(%s)",
            (list(_SCHEMAS),),
        ).fetchall()
        for schema, table in tables:
            name = f"{schema}.{table}"
            if name not in _OF_OTHERS:
                (folder / f"{name}.csv").write_bytes(_csv_of(connection, schema, table))


def _csv_of(connection: "psycopg.Connection[Any]", schema: str, table: str) -> bytes:
    columns = [
        row[0]
        for row in connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
            " AND column_name NOT IN ('run_id', 'upload_id', 'quarantine_id') ORDER BY ordinal_position",
            (schema, table),
        )
    ]
    query = sql.SQL(
        "COPY (SELECT {names} FROM {table} AS t ORDER BY {names}) TO STDOUT (FORMAT csv, HEADER)"
    ).format(
        names=sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(c)) for c in columns),
        table=sql.Identifier(schema, table),
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        return b"".join(bytes(block) for block in copy)


class Player:
    """Runs jobs in this process as Dagster's daemon would, at moments of a set clock."""

    def __init__(self, settings: Settings) -> None:
        from dagster import DagsterInstance

        from assets._shared.resources import Database, Market

        self.settings = settings
        self.clock = ManualClock(_at(DAYS[0], 800))
        self.instance = DagsterInstance.ephemeral()
        self.market = Market(settings, self.clock)
        self.resources = {"database": Database(settings), "market": self.market, "settings": settings}

    def materialise(self, job: Any, tags: Mapping[str, str]) -> Any:
        """Run a job's assets with the tags of a request."""
        from dagster import materialize

        from orchestration.definitions import STEPS

        return materialize(
            STEPS, selection=job.selection, instance=self.instance, resources=self.resources, tags=dict(tags)
        )

    def upload(self, path: Path) -> None:
        """Take a file in and do what follows, as the sensors ask."""
        from orchestration import jobs
        from orchestration.sensors import request_after_upload

        done = jobs.upload.execute_in_process(
            run_config={"ops": {"ingest_upload": {"config": {"path": str(path), "profile": "sample"}}}},
            instance=self.instance,
            resources=self.resources,
        )
        run = self.instance.get_run_by_id(done.run_id)
        assert run is not None
        request = request_after_upload(self.market.calendar, run.run_id, run.tags)
        found = {job.name: job for job in (jobs.ALL_STEPS, jobs.SIGNALS_TO_EXCURSIONS)}[str(request.job_name)]
        self.follow(self.materialise(found, request.tags))

    def follow(self, done: Any) -> None:
        """Run steps 8 and 9 after steps 1 to 7, if the sensor asks for them."""
        from dagster import RunRequest, build_run_status_sensor_context

        from orchestration.jobs import METRICS_AND_RULES
        from orchestration.sensors import after_excursions

        request = after_excursions(
            build_run_status_sensor_context(
                sensor_name="after_excursions",
                dagster_instance=self.instance,
                dagster_run=done.dagster_run,
                dagster_event=done.get_run_success_event(),
            )
        )
        if isinstance(request, RunRequest):
            self.materialise(METRICS_AND_RULES, request.tags)

    def close_of(self, day: date) -> None:
        """Let the schedule of 16:00 fire."""
        from dagster import RunRequest, build_schedule_context

        from orchestration.jobs import SIGNALS_TO_EXCURSIONS
        from orchestration.schedules import AFTER_CLOSE
        from propdesk.core.clock import from_ns

        self.clock.advance_to(_at(day, 1600))
        context = build_schedule_context(
            scheduled_execution_time=from_ns(self.clock.now_ns()), resources=self.resources
        )
        request = AFTER_CLOSE(context)
        assert isinstance(request, RunRequest), request
        self.follow(self.materialise(SIGNALS_TO_EXCURSIONS, request.tags))


def play(settings: Settings, folder: Path) -> None:
    """Play the scenario; each stage's tables lie below the folder afterwards."""
    from adapters.db.engine import create_engine
    from orchestration.jobs import ALL_STEPS, SIGNALS_TO_EXCURSIONS
    from orchestration.launch import RANGE_END, RANGE_START

    engine = create_engine(settings.database_url(), "tests")
    load_instruments(engine, [instrument(stock) for stock in STOCKS], "test")
    engine.dispose()
    store, player = ParquetPriceStore(settings.price_store_url, load_calendar()), Player(settings)
    for number, day in enumerate(DAYS):
        bring_prices(store, number)
        player.clock.advance_to(_at(day, 1540))
        path = write_signals(folder / "uploads", number)
        if day == KNOWN:
            player.upload(path)  # with a correction of an earlier day; what else came, the daily run finds
        else:
            take_in(settings, path, player)
        if day <= KNOWN:
            player.close_of(day)
        if day == KNOWN:
            dump(settings, folder / DAILY)
            player.materialise(ALL_STEPS, {RANGE_START: str(DAYS[0]), RANGE_END: str(day)})
            dump(settings, folder / RANGE)
            for one in DAYS[: number + 1]:
                player.materialise(SIGNALS_TO_EXCURSIONS, {RANGE_START: str(one), RANGE_END: str(one)})
            dump(settings, folder / ALONE)
    player.clock.advance_to(_at(DAYS[-1], 1600))
    player.materialise(ALL_STEPS, {RANGE_START: str(DAYS[0]), RANGE_END: str(DAYS[-1])})
    dump(settings, folder / FULL)


def take_in(settings: Settings, path: Path, player: Player) -> None:
    """Bring a file of signals in, without what follows an upload."""
    from adapters.uploads import ingest_file

    engine = player.resources["database"].engine  # type: ignore[attr-defined]  # its class is imported late
    ingest_file(engine, path, "sample", player.market.calendar, player.clock, settings)


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):
        import orchestration.preload  # noqa: F401  as the process that runs are forked from

        play(load_settings(runtime=False), Path(sys.argv[1]))
