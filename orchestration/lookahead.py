"""Find tables of a past day that know what came later: the steps run anew without it, every row is compared.

A scratch database is led day by day as the daily runs lead the desk's: what became known on a day comes in,
steps 1 to 7 run over the days that it touches and those with open trades, steps 8 and 9 for the day. They run
in a process that knows the address of the scratch database only (`orchestration.rerun`).
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import psycopg
from pydantic import SecretStr

from adapters.calendar import load_calendar
from adapters.db.describe import describe_table
from adapters.db.engine import psycopg_dsn
from adapters.db.repos.differences import Pair, Part, compare_rows
from adapters.db.repos.pipeline import (
    oldest_landed_day,
    oldest_open_day,
    read_open_trades,
    read_regime_days,
)
from adapters.db.scratch import copy_known, read_later_records, scratch_database, with_database
from adapters.settings import CLONE_ROOT, ENV_PREFIX, Settings
from assets._shared.dress import GROUPS
from assets._shared.partitions import MARKET_DAYS
from assets._shared.windows import MARKET_DAYS_BEFORE
from assets.dbt import RUNNER
from orchestration.definitions import STEPS
from orchestration.processes import dagster_environment
from orchestration.schedules import oldest_alive
from propdesk.core.calendar import MarketCalendar, ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY, from_ns
from propdesk.core.errors import DataFault, GapFault, PropdeskError
from propdesk.pipeline.known import Known, record_of, unexplained
from propdesk.pipeline.validate import FOLLOWUP_REACH_DAYS

RERUN: Final = (sys.executable, "-m", "orchestration.rerun")
SHOWN_MAX: Final = 5
"""Differing rows named per table."""
_END_S: Final = 10.0
_UTC: Final = "-c timezone=UTC"
_LOG_LINES: Final = 20
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_STEP: Final = 2
_MARTS: Final = "marts"
_BESIDE: Final = (Part("raw.quarantine", ("quarantine_id",), "trade_date", "stage <> 'INGEST'"),)
"""Written by steps 2 to 4, though no asset of its own."""


class RerunFailed(PropdeskError):
    """The steps could not be run on what was known."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that differs though the day decides it.

    Parameters
    ----------
    day : date
        At whose end the steps were run.
    key : str
    columns : tuple of str
    is_revised : bool
        The row is about a record that was revised later.
    """

    day: date
    key: str
    columns: tuple[str, ...]
    is_revised: bool


@dataclass(slots=True)
class TableReport:
    """What the comparison of one table found, over all days.

    Parameters
    ----------
    table : str
    rows, differing, revised : int
        Rows compared, rows that differ, those of them about a record that was revised later.
    first : list of Difference
        By day and key, at most `SHOWN_MAX`.
    """

    table: str
    rows: int = 0
    differing: int = 0
    revised: int = 0
    first: list[Difference] = field(default_factory=list)

    def add(self, rows: int, found: Sequence[Difference]) -> None:
        """Take in what one day's comparison found."""
        self.rows += rows
        self.differing += len(found)
        self.revised += sum(one.is_revised for one in found)
        self.first += found[: SHOWN_MAX - len(self.first)]


@dataclass(frozen=True, slots=True)
class Report:
    """What a test found.

    Parameters
    ----------
    days : tuple of date
        Days at whose ends the steps were run.
    begin : date
        First trade date of the scratch database.
    tables : tuple of TableReport
        Every table of steps 2 to 9.
    """

    days: tuple[date, ...]
    begin: date
    tables: tuple[TableReport, ...]

    @property
    def is_clean(self) -> bool:
        """Whether no row differs."""
        return not any(one.differing for one in self.tables)


def compared_parts() -> list[Part]:
    """List every table of steps 2 to 9 from what the assets and dbt's models say they write.

    Returns
    -------
    list of Part
        In the order of the steps. Outside the marts, views hold no rows of their own and the tables that each
        run makes anew no day's; both are left out.
    """
    wanted = {GROUPS[step] for step in GROUPS if step >= _FIRST_STEP}
    specs = sorted((spec for one in STEPS for spec in one.specs), key=lambda spec: str(spec.group_name))
    written = [spec for spec in specs if spec.group_name in wanted]
    models = _parts_of_models(RUNNER.manifest)
    tables = [
        _part_of_table(str(spec.metadata["dagster/table_name"]))
        for spec in written
        if spec.key.path[-1] not in models
    ]
    return [*_BESIDE, *tables, *(part for part in models.values() if part is not None)]


def _parts_of_models(manifest: Mapping[str, Any]) -> dict[str, Part | None]:
    """Find what of each model is compared, by what is unique there or in what it reads (test or index)."""
    nodes = manifest["nodes"].values()
    unique = {
        node["unique_id"]: tuple(index["columns"])
        for node in nodes
        for index in node["config"].get("indexes") or ()
        if index.get("unique")
    } | {
        node["attached_node"]: tuple(node["test_metadata"]["kwargs"]["columns"])
        for node in nodes
        if node.get("test_metadata", {}).get("name") == "unique_together"
    }
    parts: dict[str, Part | None] = {}
    for node in (node for node in nodes if node["resource_type"] == "model"):
        parts[node["name"]] = None
        if node["schema"] == _MARTS or node["config"]["materialized"] == "incremental":
            shown = (name for name in node["depends_on"]["nodes"] if name in unique)
            keys = unique.get(node["unique_id"]) or unique[next(shown)]
            parts[node["name"]] = Part(f"{node['schema']}.{node['name']}", keys, "as_of_date")
    return parts


def _part_of_table(table: str) -> Part:
    columns = describe_table(table)
    keys = tuple(column.name for column in columns if column.is_key)
    day = next((name for name in ("trade_date", "as_of_date") if name in keys), None)
    return Part(table, keys, day)


class Rerunner:
    """A process that runs the steps in the scratch database, as asked; use as a context manager.

    Parameters
    ----------
    command : sequence of str
        `orchestration.rerun`, or a program that calls it.
    environment : mapping
        Whole environment of the process.
    log : Path
        Takes what the process says.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=CLONE_ROOT,
                env=dict(environment),
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.communicate(timeout=_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def run(self, first: date, day: date) -> None:
        """Run steps 1 to 7 over a closed range and steps 8 and 9 for its last day.

        Raises
        ------
        RerunFailed
            If a step fails or the process ends.
        """
        assert self._process.stdin is not None  # noqa: S101 - narrows a type, promises nothing
        assert self._process.stdout is not None  # noqa: S101 - narrows a type, promises nothing
        try:
            self._process.stdin.write(f"{first} {day}\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            tail = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
            raise RerunFailed(f"The steps as of {day} ended without an answer:\n" + "\n".join(tail))
        failures: dict[str, str] = json.loads(answer)
        if failures:
            said = "; ".join(f"{step}: {words}" for step, words in failures.items())
            raise RerunFailed(f"The steps cannot be run on what was known at the end of {day}: {said}")


def rerun_environment(settings: Settings, home: Path, database: str) -> dict[str, str]:
    """Give the process that runs the steps the desk's settings, but no address or secret of the desk's.

    Parameters
    ----------
    settings : Settings
        The desk's.
    home : Path
        Empty folder: what dbt writes goes there.
    database : str
        Name of the scratch database.

    Returns
    -------
    dict
    """
    places = {"home", "data_dir", "upload_dir", "dagster_home"}
    said = {
        f"{ENV_PREFIX}{name.upper()}": value if isinstance(value, str) else _text(value)
        for name in sorted(settings.model_fields_set - places)
        if (value := getattr(settings, name)) is not None and not isinstance(value, SecretStr)
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    return {
        **inherited,
        **dagster_environment(home, settings),
        **said,
        "DAGSTER_HOME": "",
        f"{ENV_PREFIX}HOME": str(home),
        f"{ENV_PREFIX}PRICE_STORE_URL": settings.price_store_url,
        f"{ENV_PREFIX}POSTGRES_URL": with_database(settings.database_url("pipeline"), database),
        f"{ENV_PREFIX}POSTGRES_PIPELINE_URL": with_database(settings.database_url("pipeline"), database),
        f"{ENV_PREFIX}LOG_LEVEL": "error",
    }


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list | bool) else str(value)


@dataclass(frozen=True, slots=True)
class _Bench:
    """Both databases and the process between them."""

    settings: Settings
    calendar: MarketCalendar
    desk_url: str
    scratch_url: str
    rerunner: Rerunner
    with_corrections: bool

    def lead(self, begin: date, before: date | None, day: date) -> date:
        """Lead the scratch database to the end of a day; the first day that was worked out anew."""
        with (
            _reading(self.desk_url) as desk,
            psycopg.connect(self.scratch_url, options=_UTC) as scratch,
        ):
            span = (_BEGINNING if before is None else _end_of(before), _end_of(day))
            touched = copy_known(desk, scratch, day, span, with_corrections=self.with_corrections)
            alive = max(begin, oldest_alive(self.calendar, day, self.settings))
            known = (touched, oldest_open_day(scratch, alive), day)
        first = begin if before is None else max(begin, min(one for one in known if one is not None))
        self.rerunner.run(first, day)
        return first

    def compare(
        self, first: date, day: date, parts: Iterable[Part]
    ) -> dict[str, tuple[int, list[Difference]]]:
        """Compare what was worked out as of a day; rows and differences by table."""
        with (
            _reading(self.desk_url) as desk,
            psycopg.connect(self.scratch_url, options=_UTC) as scratch,
        ):
            known, revised = self._known(desk, scratch, day)
            return {
                part.table: _judge(
                    part, compare_rows(scratch, desk, part, *_days(part, first, day)), known, revised
                )
                for part in parts
            }

    def _known(
        self, desk: psycopg.Connection[Any], scratch: psycopg.Connection[Any], day: date
    ) -> tuple[Known, frozenset[str]]:
        end = _end_of(day)
        revised, taken = read_later_records(desk, end, with_corrections=self.with_corrections)
        return Known(day, end.isoformat(), read_open_trades(scratch), taken), revised


def detect(
    settings: Settings,
    first: date,
    last: date,
    *,
    with_corrections: bool = False,
    command: Sequence[str] = RERUN,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run the steps as of each market day of a range, without what came later, and compare with the desk.

    Parameters
    ----------
    settings : Settings
        The desk's.
    first, last : date
        Closed range of days.
    with_corrections : bool
        Take later revisions of what was heard as if they had been known: what is found then is not due to an
        advisor's or a file's later word.
    command : sequence of str
        Program that runs the steps.
    tell : callable
        Hears how far it is.

    Returns
    -------
    Report

    Raises
    ------
    DataFault
        If the range holds no market day, or the desk's tables lack one.
    RerunFailed
        If a step fails on what was known.
    """
    calendar, parts = load_calendar(), compared_parts()
    desk_url = psycopg_dsn(settings.database_url("reader"))
    days = calendar.market_days(first, last)
    begin = _begin_of(desk_url, calendar, days, first, last)
    reports = {part.table: TableReport(part.table) for part in parts}
    with ExitStack() as stack:
        owner, worker = settings.database_url(), settings.database_url("pipeline")
        name = stack.enter_context(scratch_database(owner, worker))
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="propdesk-lookahead-")))
        environment = rerun_environment(settings, home, name)
        RUNNER.lend(home)
        rerunner = stack.enter_context(Rerunner(command, environment, home / "rerun.log"))
        scratch_url = psycopg_dsn(with_database(owner, name))
        bench = _Bench(settings, calendar, desk_url, scratch_url, rerunner, with_corrections)
        before: date | None = None
        if begin < days[0]:  # what changed on the first day is told beside the day before
            before = calendar.previous_day(days[0])
            tell(f"the steps run as of {before}, the day before")
            bench.lead(begin, None, before)
        for place, day in enumerate(days):
            tell(f"{place} of {len(days)} days are compared, the steps run as of {day}")
            first_anew = bench.lead(begin, before, day)
            for table, (rows, differences) in bench.compare(first_anew, day, parts).items():
                reports[table].add(rows, differences)
            before = day
    return Report(tuple(days), begin, tuple(reports.values()))


def _begin_of(
    desk_url: str,
    calendar: MarketCalendar,
    days: Sequence[date],
    first: date,
    last: date,
) -> date:
    """First trade date that the steps of the days can read, and what follow-ups there refer to."""
    if not days:
        raise DataFault(f"There is no market day from {first} to {last}; give a range that holds one.")
    with _reading(desk_url) as desk:
        held = read_regime_days(desk, days[0], days[-1])
        landed = oldest_landed_day(desk)
    missing = [day for day in days if day not in held]
    if missing:
        raise DataFault(
            f"The desk's tables lack {missing[0]}: compute it with `propdesk backfill {days[0]} {days[-1]}` "
            "first."
        )
    try:
        window = calendar.shift(days[0], -MARKET_DAYS_BEFORE)
    except GapFault:  # the calendar begins later than the window: everything there is
        window = calendar.first_day
    reach = window - timedelta(days=FOLLOWUP_REACH_DAYS)
    begin = max(reach, calendar.first_day, MARKET_DAYS.start.date(), landed or days[0])
    return calendar.market_days(min(begin, days[0]), days[0])[0]


def _judge(
    part: Part, compared: tuple[int, list[Pair]], known: Known, revised: frozenset[str]
) -> tuple[int, list[Difference]]:
    rows, pairs = compared
    found = []
    for pair in pairs:
        columns = unexplained(part.table, pair.left, pair.right, known)
        if columns:
            record = record_of(pair.left or pair.right or {})
            found.append(Difference(known.day, pair.key, columns, record in revised))
    return rows, found


def _days(part: Part, first: date, day: date) -> tuple[date, date]:
    """Days of a table that were worked out: an as-of day by itself, trade dates from the first on."""
    return (first if part.day_column == "trade_date" else day, day)


def _end_of(day: date) -> datetime:
    return from_ns(ist_midnight_ns(day) + NS_PER_DAY)


@contextmanager
def _reading(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect so that nothing can be written; one state of the database from the first question on."""
    with psycopg.connect(url, options=f"-c default_transaction_read_only=on {_UTC}") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield connection
