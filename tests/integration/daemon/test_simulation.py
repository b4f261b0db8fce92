"""The simulation decides and trades what the daemon does, and knows nothing of later days."""

import hashlib
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from adapters.calendar import load_calendar
from adapters.clock import SystemClock
from adapters.db.engine import psycopg_dsn
from adapters.db.repos.replays import read_day_documents
from adapters.db.repos.simulations import (
    DONE,
    FAILED,
    INTERRUPTED,
    RUNNING,
    RunHead,
    begin_run,
    hold_run,
    list_runs,
    read_days,
    read_run,
)
from adapters.settings import Settings
from cli.output import EXIT_BAD_INPUT, EXIT_OK
from propdesk.core.calendar import ist_date
from propdesk.core.errors import GapFault, StaleFault
from propdesk.model.enums import Category
from propdesk.sim.books import Book, RuleChoice
from propdesk.sim.broker import SimBroker
from propdesk.sim.results import DayOutcome, run_digest
from tests.support.daemon_day import ADVISORS, DAY, add_bars, add_rules, make_bars, make_documents
from tests.support.main_job import run_command, settings_variables
from trading_daemon.documents import Stamp, read_document
from trading_daemon.main import RunResult, run_daemon
from trading_daemon.session import ensure_ready, plan_replay
from trading_daemon.simulated_day import DayInputs, SimulatedDay
from trading_daemon.simulation import (
    Progress,
    SimulationRequest,
    SimulationResult,
    _Desk,
    rules_on_offer,
    simulate,
    simulate_stored,
)

pytestmark = [pytest.mark.integration, pytest.mark.slow]

Documents = list[dict[str, object]]
Connection = psycopg.Connection[tuple[Any, ...]]
Replay = Callable[..., RunResult]
DAYS = (DAY, DAY + timedelta(days=1), DAY + timedelta(days=2))
"""Tuesday to Thursday."""
LATE = ADVISORS[2]
CALENDAR = load_calendar()
STOLEN_PAISE = 10**12
"""More than any corpus of a test."""


def ingest(connection: Connection, day: date, documents: Documents, revision: int = 1) -> None:
    """Leave documents as they land: an unreadable one is kept out, a repeat is one record."""
    rows = {}
    for number, document in enumerate(documents):
        row = read_document(document, 0, Stamp.DOCUMENT)
        if row.rejected_code is None:
            rows[row.source_key] = (row, number)
    for row, number in rows.values():
        content = {name: value for name, value in row.document.items() if name != "received_at"}
        connection.execute(
            "INSERT INTO raw.landed_rows VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (f"{day}-{revision}", number, day, row.record_id, row.kind, revision, row.content_hash,
             row.document["received_at"], row.posted_at, Jsonb(content)),
        )  # fmt: skip


def edited(document: dict[str, object], **changes: object) -> dict[str, object]:
    """A later version of an idea."""
    return {**document, **changes}


@pytest.fixture
def desk(daemon_settings: Settings, connection: Connection) -> Settings:
    """Three days, every other idea held overnight; one advisor passes from the second day's end on only."""
    old: Documents = []
    # tests of a module share a database
    for table in (
        "raw.landed_rows",
        "marts.mini_rules",
        *(f"trading.simulation_{part}" for part in ("runs", "days", "trades")),
    ):
        connection.execute(f"DELETE FROM {table}")
    for number, day in enumerate(DAYS):
        bars = make_bars(7 + number, day)
        add_bars(daemon_settings, day, bars)
        ideas = make_documents(bars, 7 + number, name=f"d{number}-", period="SWING")
        ingest(connection, day, ideas)
        if number == 1:
            # two ideas of the first day come again on the second, with another stop
            again = [edited(one, stoploss="1.05", received_at=f"{day}T09:30:00+05:30") for one in old[1:3]]
            ingest(connection, day, again, revision=2)
        old = ideas
        before = day - timedelta(days=1)
        passing = set(ADVISORS) if number == 2 else set(ADVISORS) - {LATE}
        add_rules(daemon_settings, before, passing)
        add_rules(daemon_settings, before, passing, "SWING")
    return daemon_settings


def run(
    settings: Settings, *books: Book, days: int = 3, choice: RuleChoice | None = None
) -> SimulationResult:
    request = SimulationRequest(DAY, DAYS[days - 1], books or (Book.DESK,), choice or RuleChoice())
    return simulate(settings, request, lambda _progress: None)


def desk_days(result: SimulationResult) -> tuple[DayOutcome, ...]:
    return result.days[Book.DESK]


def test_every_batch_of_every_day_says_what_the_daemons_journal_holds(
    desk: Settings, connection: Connection
) -> None:
    simulated = desk_days(run(desk))
    assert sum(day.open_groups for day in simulated[:2]) > 0, "something must be held overnight"
    for day, outcome in zip(DAYS, simulated, strict=True):
        plan = plan_replay(desk, day, read_day_documents(connection, day, CALENDAR), fresh=False)
        ensure_ready(desk, day)
        assert run_daemon(desk, day, plan).is_done
        found = connection.execute(
            "SELECT outputs_hash FROM trading.journal WHERE account_id = %s AND trade_date = %s ORDER BY seq",
            (desk.account_id, day),
        ).fetchall()
        assert outcome.trades
        assert outcome.digest == hashlib.sha256("".join(h for (h,) in found).encode()).hexdigest(), day
    legs = connection.execute(
        "SELECT group_id, leg_number, net_pnl_paise FROM trading.executed_trades "
        "WHERE account_id = %s AND is_closed",
        (desk.account_id,),
    ).fetchall()
    trades = [trade for day in simulated for trade in day.trades]
    assert {(t.group_id, t.leg_number, t.net_pnl_paise) for t in trades} == set(legs)


def test_the_same_inputs_give_the_same_run(desk: Settings) -> None:
    first, second = run(desk, *Book, days=2), run(desk, *Book, days=2)
    assert first == second
    digests = {book: run_digest(days) for book, days in first.days.items()}
    assert digests == {book: run_digest(days) for book, days in second.days.items()}
    assert len(set(digests.values())) > 2, "desks must differ to prove anything"


def test_deleting_the_future_changes_no_day_before(desk: Settings, connection: Connection) -> None:
    full = run(desk, *Book)
    assert [bool(day.trades) for day in full.days[Book.RANDOM]] == [False, True, True], (
        "nobody was heard before"
    )
    # Of the last day that is left the rules of its own evening are gone too: nobody could know them then.
    connection.execute("DELETE FROM marts.mini_rules WHERE as_of_date > %s", (DAY,))
    for table in ("raw.landed_rows", "ref.regimes"):
        connection.execute(f"DELETE FROM {table} WHERE trade_date > %s", (DAYS[1],))
    flat = {
        key: replace(bars, **dict.fromkeys(("open_paise", "high_paise", "low_paise"), bars.close_paise))
        for key, bars in make_bars(99, DAYS[2]).items()
    }
    add_bars(desk, DAYS[2], flat)
    assert run(desk, *Book, days=2).days == {book: days[:2] for book, days in full.days.items()}


def test_an_idea_is_traded_as_it_was_heard_then(desk: Settings, connection: Connection) -> None:
    before = desk_days(run(desk, days=1))
    first = make_documents(make_bars(7, DAY), 7, name="d0-", period="SWING")
    ingest(connection, DAY, [edited(one, side="BUY", stoploss="2.05") for one in first[10:20]], revision=3)
    ingest(
        connection,
        DAYS[2],
        [edited(one, stoploss="3.05", received_at=f"{DAYS[2]}T10:00:00+05:30") for one in first[20:30]],
        revision=4,
    )
    assert desk_days(run(desk, days=1)) == before, "what was said afterwards reaches back"
    versions = [
        one["stoploss"] for one in read_day_documents(connection, DAYS[2], CALENDAR) if one.get("stoploss")
    ]
    assert versions.count("3.05") > 0
    assert "2.05" not in [one.get("stoploss") for one in read_day_documents(connection, DAY, CALENDAR)]


def test_a_day_hears_what_came_before_its_last_close_whatever_its_trade_date(
    desk: Settings, connection: Connection
) -> None:
    """Since 3 August 2026 cash closes at 15:30, derivatives at 15:40: ingestion files by the former."""
    day, after = date(2026, 8, 4), date(2026, 8, 5)
    idea = {**make_documents(make_bars(7, DAY), 7)[0], "posted_at": f"{day}T09:00:00+05:30"}
    for number, clock in enumerate(("15:29", "15:32", "15:40")):
        one = edited(idea, source_message_id=f"late-{clock}", received_at=f"{day}T{clock}:00+05:30")
        ingest(connection, day if number == 0 else after, [one], revision=10 + number)
    heard = [
        [document["source_message_id"] for document in read_day_documents(connection, one, CALENDAR)]
        for one in (day, after)
    ]
    assert heard == [["late-15:29", "late-15:32"], ["late-15:40"]]


def test_versions_heard_before_the_range_count(desk: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idea of the first day is edited on the second."""
    seen: list[dict[str, int]] = []

    def note(self: SimulatedDay, inputs: DayInputs, exchange: SimBroker) -> None:
        seen.append(dict(inputs.revisions))
        original(self, inputs, exchange)

    original = SimulatedDay.__init__
    monkeypatch.setattr(SimulatedDay, "__init__", note)
    for first in (DAY, DAYS[1]):
        simulate(desk, SimulationRequest(first, DAYS[1], (Book.DESK,)), lambda _progress: None)
    whole, late = seen[1:]
    assert late == whole
    assert max(late.values()) == 2


def test_rules_trade_from_the_day_after_on(desk: Settings) -> None:
    days = desk_days(run(desk))
    assert [day.rules_of for day in days] == [day - timedelta(days=1) for day in DAYS]
    late = [sum(trade.advisor_id == LATE for trade in day.trades) for day in days]
    assert late[:2] == [0, 0]
    assert late[2] > 0


def test_the_books_add_up_from_day_to_day(desk: Settings) -> None:
    for book, days in run(desk, *Book).days.items():
        assert days[0].opening_paise == desk.corpus_paise
        for before, after in itertools.pairwise(days):
            assert after.opening_paise == before.closing_paise, book
        for day in days:
            assert day.closing_paise - day.opening_paise == sum(t.net_pnl_paise for t in day.trades), book


def test_a_loss_beyond_the_corpus_stays_booked_with_something_carried(desk: Settings) -> None:
    """What the first night takes stands for a gap that no stop would have limited."""
    request = SimulationRequest(DAY, DAYS[2], (Book.DESK,))
    whole = simulate(desk, request, lambda _progress: None).days[Book.DESK]
    assert whole[0].open_groups > 0
    original = _Desk.live

    def robbed(self: _Desk, shared: Any) -> DayOutcome:
        if shared.context.trade_date == DAYS[1]:
            self._corpus_paise -= STOLEN_PAISE
        return original(self, shared)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Desk, "live", robbed)
        days = simulate(desk, request, lambda _progress: None).days[Book.DESK]
    assert days[0] == whole[0]
    assert days[1].opening_paise == days[0].closing_paise - STOLEN_PAISE < 0
    assert days[2].opening_paise == days[1].closing_paise
    carried = [trade for day in days[1:] for trade in day.trades]
    assert carried, "something carried must end"
    net = sum(trade.net_pnl_paise for day in days for trade in day.trades)
    assert days[-1].closing_paise == desk.corpus_paise - STOLEN_PAISE + net
    assert all(ist_date(trade.entry_ns) == DAY for trade in carried), "nothing enters"


def test_only_chosen_rules_trade_and_baselines_keep_to_the_categories(desk: Settings) -> None:
    one = RuleChoice(advisors=frozenset(ADVISORS[:1]))
    days = desk_days(run(desk, days=1, choice=one))
    assert {trade.advisor_id for trade in days[0].trades} == {ADVISORS[0]}
    options = RuleChoice(categories=frozenset({Category.INDEX_OPT}))
    for book, own in run(desk, *Book, days=1, choice=options).days.items():
        assert own[0].trades == (), book
        assert own[0].closing_paise == desk.corpus_paise
    as_of, offered = rules_on_offer(desk, SimulationRequest(DAY, DAY, choice=one))
    assert as_of == DAY - timedelta(days=1)
    assert [(found.rules, found.eligible) for found in offered if found.rules] == [(8, 2)]


def test_a_day_without_rules_or_regime_is_refused_by_name(desk: Settings, connection: Connection) -> None:
    with pytest.raises(StaleFault, match="no market day"):
        simulate(desk, SimulationRequest(date(2025, 6, 28), date(2025, 6, 29)), lambda _progress: None)
    with pytest.raises(GapFault, match="2025-06-27"):
        simulate(desk, SimulationRequest(date(2025, 6, 30), DAY), lambda _progress: None)
    connection.execute("DELETE FROM ref.regimes WHERE trade_date = %s", (DAY,))
    with pytest.raises(GapFault, match="no regime"):
        run(desk, days=1)


def test_a_stored_run_reads_back_as_it_was_and_tells_how_far_it_is(
    desk: Settings, connection: Connection
) -> None:
    seen: list[tuple[str, int]] = []

    def watch(progress: Progress) -> None:
        (head,) = list_runs(connection, desk.account_id, 10)
        assert head.days_done == progress.done
        seen.append((head.state, head.days_done))

    request = SimulationRequest(DAY, DAYS[1])
    run_id = simulate_stored(desk, request, SystemClock(), watch)
    assert seen == [("RUNNING", 1), ("RUNNING", 2)]
    head = read_run(connection, desk.account_id, run_id[:8])
    assert (head.state, head.days_done, head.days_total, head.run_id) == (DONE, 2, 2, run_id)
    expected = run(desk, *Book, days=2).days
    stored = read_days(connection, desk.account_id, run_id)
    assert list(stored) == list(expected)
    for book, days in expected.items():
        for kept, day in zip(stored[book], days, strict=True):
            assert set(kept.trades) == set(day.trades)
            assert replace(kept, trades=()) == replace(day, trades=())


@pytest.mark.parametrize(
    ("fault", "state", "message"),
    [
        (KeyboardInterrupt(), INTERRUPTED, None),
        (GapFault("gone"), FAILED, "gone"),
        (TypeError("no order"), FAILED, "TypeError: no order"),
    ],
)
def test_a_run_that_ends_early_keeps_its_days_and_says_why(
    desk: Settings, connection: Connection, fault: BaseException, state: str, message: str | None
) -> None:
    def end(_progress: Progress) -> None:
        raise fault

    with pytest.raises(type(fault)):
        simulate_stored(desk, SimulationRequest(DAY, DAYS[1], (Book.DESK,)), SystemClock(), end)
    (head,) = list_runs(connection, desk.account_id, 10)
    assert (head.state, head.message, head.days_done) == (state, message, 1)
    assert len(read_days(connection, desk.account_id, head.run_id)[Book.DESK]) == 1
    with pytest.raises(GapFault, match="simulations list"):
        read_run(connection, desk.account_id, "none")


def test_a_run_whose_process_was_killed_reads_as_interrupted(desk: Settings, connection: Connection) -> None:
    head = RunHead("r1", RUNNING, datetime(2025, 7, 1, tzinfo=UTC), None, {}, 1, 3, 1, None)
    dsn = psycopg_dsn(desk.database_url("daemon"))
    with psycopg.connect(dsn) as process:
        begin_run(process, desk.account_id, head)
        hold_run(process, head.run_id)
        process.commit()
        assert [one.state for one in list_runs(connection, desk.account_id, 1)] == [RUNNING]
        begin_run(process, desk.account_id, replace(head, run_id="r2"))
        process.commit()
        assert read_run(connection, desk.account_id, "r2").state == INTERRUPTED, "held by nobody"
    deadline = time.monotonic() + 10  # the server frees the lock once it notices the closed connection
    while (state := read_run(connection, desk.account_id, "r1").state) == RUNNING:
        assert time.monotonic() < deadline
        Event().wait(0.01)
    assert state == INTERRUPTED


def test_landed_ideas_without_an_advisor_or_a_side_are_nobodys(
    desk: Settings, connection: Connection
) -> None:
    before = run(desk, Book.EVERYONE, Book.RANDOM, days=2).days
    columns = "trade_date, kind, revision, content_hash, received_at, posted_at"
    for number, changed in enumerate(
        ("content::jsonb - 'advisor_id'", 'content::jsonb || \'{"advisor_id": "A99", "side": ""}\'')
    ):
        connection.execute(
            f"INSERT INTO raw.landed_rows (upload_id, row_number, record_id, {columns}, content) "
            f"SELECT 'broken', row_number + %s, %s || record_id, {columns}, {changed} FROM raw.landed_rows "
            "WHERE trade_date = %s AND kind = 'SIGNAL' ORDER BY row_number LIMIT 1".encode(),
            (1_000 * number, f"broken{number}-", DAY),
        )
    after = run(desk, Book.EVERYONE, Book.RANDOM, days=2).days
    for book, days in after.items():
        assert [day.ruleset_version for day in days] == [day.ruleset_version for day in before[book]]
        assert [day.trades for day in days] == [day.trades for day in before[book]]


def test_the_command_reports_the_run_writes_its_sheet_and_shows_it_again(
    desk: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in settings_variables(desk).items():
        monkeypatch.setenv(name, value)
    words = ("--book", "desk", "--book", "everyone", "--capital", "2000000", "--advisor", ADVISORS[0])
    sheet = tmp_path / "new" / "sheet.html"
    code, told = run_command("simulate", str(DAY), str(DAYS[1]), *words, "--out", str(sheet))
    assert code == EXIT_OK
    assert list(told["desks"]) == ["desk", "everyone"]
    assert (told["state"], told["days_done"], told["capital"]) == ("DONE", 2, 2_000_000.0)
    own = told["desks"]["desk"]
    assert [day["rules_of"] for day in own["days"]] == [str(DAY - timedelta(days=1)), str(DAY)]
    assert own["final_corpus"] == pytest.approx(2_000_000 + own["net_pnl"])
    assert own["net_pnl"] == pytest.approx(sum(rule["net_pnl"] for rule in own["rules"]))
    assert {rule["rule"].split("|")[1] for rule in own["rules"]} == {ADVISORS[0]}
    assert "Plotly.newPlot" in sheet.read_text(encoding="utf-8")

    code, listed = run_command("simulations", "list")
    assert (code, [run["run_id"] for run in listed["runs"]]) == (EXIT_OK, [told["run_id"]])
    code, again = run_command("simulations", "show", told["run_id"][:6])
    assert code == EXIT_OK
    assert again["desks"] == told["desks"]
    assert Path(again["sheet"]).parent == desk.home / "simulations"
    assert run_command("simulate", str(DAYS[1]), str(DAY))[0] == EXIT_BAD_INPUT
    assert run_command("simulations", "show", "nothing")[0] == EXIT_BAD_INPUT
