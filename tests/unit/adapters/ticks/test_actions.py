import json
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pytest

from adapters.ticks.actions import find_actions, load_actions, read_actions, refresh_actions, unexplained
from adapters.ticks.store import ParquetPriceStore
from cli.main import main
from propdesk.core.calendar import HoursRule, MarketCalendar, Segment, ist_midnight_ns
from propdesk.core.errors import DataFault, SchemaFault
from tests.support.market import weekdays

DAYS = weekdays(date(2025, 1, 6), date(2025, 1, 17))
CALENDAR = MarketCalendar(DAYS, [HoursRule(segment, date(2000, 1, 1), 555, 930, 910) for segment in Segment])
A, B = "NSE_EQ:A", "NSE_EQ:B"


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ParquetPriceStore:
    url = str(tmp_path) if request.param == "folder" else f"memory://actions-{tmp_path.name}"
    return ParquetPriceStore(url, CALENDAR)


def put(store: ParquetPriceStore, day: date, rows: dict[str, tuple[int, int, int]]) -> None:
    """Write (open, close, previous close) of a day."""
    opened, close, base = zip(*rows.values(), strict=True)
    store.write_daily(
        day,
        pa.table(
            {
                "symbol": list(rows),
                "ts": [ist_midnight_ns(day)] * len(rows),
                "open": opened,
                "high": [max(pair) for pair in zip(opened, close, strict=True)],
                "low": [min(pair) for pair in zip(opened, close, strict=True)],
                "close": close,
                "volume": [1] * len(rows),
                "prev_close": base,
            }
        ),
    )


def test_a_base_price_apart_from_the_close_of_the_day_before_is_an_event(store: ParquetPriceStore) -> None:
    put(store, DAYS[0], {A: (10_000, 10_000, 9_990), B: (500, 500, 500)})
    put(store, DAYS[1], {A: (2_010, 2_050, 2_000), B: (505, 510, 500)})
    put(store, DAYS[2], {A: (2_050, 2_060, 2_050), B: (510, 510, 510)})
    found = refresh_actions(store, CALENDAR, DAYS[:3])
    (one,) = found.actions
    assert (one.price_key, one.ex_date, one.factor) == (A, DAYS[1], Fraction(1, 5))
    assert (one.source, one.known_on) == ("prev_close", DAYS[1] + timedelta(days=1))
    assert (found.unjudged, found.leaps) == ([], [])
    assert store.actions().all() == [one]


def test_over_a_missing_day_nothing_is_said(store: ParquetPriceStore) -> None:
    put(store, DAYS[0], {A: (10_000, 10_000, 9_990)})
    put(store, DAYS[2], {A: (9_000, 9_000, 9_100)})
    found = find_actions(store, CALENDAR, DAYS[0], DAYS[2])
    assert (found.actions, found.unjudged) == ([], [(A, DAYS[2])])


def test_a_day_that_comes_later_settles_its_neighbours(store: ParquetPriceStore) -> None:
    put(store, DAYS[0], {A: (10_000, 10_000, 9_990)})
    put(store, DAYS[2], {A: (5_000, 5_000, 4_900)})
    refresh_actions(store, CALENDAR, [DAYS[0], DAYS[2]])
    assert store.actions().all() == []
    put(store, DAYS[1], {A: (10_000, 9_800, 10_000)})
    refresh_actions(store, CALENDAR, [DAYS[1]])
    assert [(one.ex_date, one.factor) for one in store.actions().all()] == [(DAYS[2], Fraction(1, 2))]
    put(store, DAYS[1], {A: (10_000, 4_900, 10_000)})  # the corrected day takes the event back
    refresh_actions(store, CALENDAR, [DAYS[1]])
    assert store.actions().all() == []


def test_an_unadjusted_base_price_shows_as_a_leap_that_a_file_explains(
    store: ParquetPriceStore, tmp_path: Path
) -> None:
    put(store, DAYS[0], {A: (10_000, 10_000, 9_990)})
    put(store, DAYS[1], {A: (5_010, 5_050, 10_000)})
    found = find_actions(store, CALENDAR, DAYS[0], DAYS[1])
    (leap,) = unexplained(found, [])
    assert (leap.close_paise, leap.open_paise, leap.factor) == (10_000, 5_010, Fraction(1, 2))
    path = tmp_path / "actions.csv"
    path.write_text(
        f"symbol,ex_date,factor,kind,known_on\na,{DAYS[1]},1/2,bonus,{DAYS[0]}\nB,{DAYS[3]},0.2,,\n",
        encoding="utf-8",
    )
    load_actions(store, path)
    first, second = store.actions().all()
    assert (first.price_key, first.factor, first.kind, first.known_on) == (
        A,
        Fraction(1, 2),
        "BONUS",
        DAYS[0],
    )
    assert (second.factor, second.kind, second.known_on) == (
        Fraction(1, 5),
        "OTHER",
        DAYS[3] + timedelta(days=1),
    )
    assert unexplained(found, store.actions().all()) == []
    load_actions(store, path)
    assert len(store.actions().all()) == 2


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("A,someday,1/2", "line 2"),
        ("A,2025-01-07,half", "line 2"),
        ("A,2025-01-07,1/0", "line 2"),
        ("A,2025-01-07,0", "line 2"),
        ("A,2025-01-07,-1/2", "line 2"),
        (",2025-01-07,1/2", "line 2"),
    ],
)
def test_a_row_that_cannot_be_read_refuses_the_file(tmp_path: Path, row: str, word: str) -> None:
    path = tmp_path / "actions.csv"
    path.write_text(f"symbol,ex_date,factor\n{row}\n", encoding="utf-8")
    with pytest.raises(SchemaFault, match=word):
        read_actions(path)
    path.write_text("symbol,ex_date\nA,2025-01-07\n", encoding="utf-8")
    with pytest.raises(SchemaFault, match="lacks the column factor"):
        read_actions(path)
    with pytest.raises(SchemaFault, match="no readable CSV"):
        read_actions(tmp_path / "nothing.csv")


def test_a_damaged_list_is_named(tmp_path: Path) -> None:
    store = ParquetPriceStore(str(tmp_path), CALENDAR)
    store.write_actions("prev_close", [])
    (tmp_path / "actions" / "prev_close.json").write_text("[{}]", encoding="utf-8")
    with pytest.raises(DataFault, match=r"prev_close\.json is no readable list"):
        store.actions()


def test_the_command_writes_the_leaps_as_a_file_to_confirm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(tmp_path / "store")
    text = "SYMBOL,SERIES,Date,PREV_CLOSE,OPEN_PRICE,HIGH_PRICE,LOW_PRICE,CLOSE_PRICE\n"
    rows = (
        "A,EQ,2025-01-06,99,100,100,100,100\n"
        "A,EQ,2025-01-07,100,50.5,51,50,51\n"
        "B,EQ,2025-01-06,1,10,10,10,10\n"
        "B,EQ,2025-01-07,5,5,5,5,5\n"
    )
    (tmp_path / "bhav.csv").write_text(text + rows, encoding="utf-8")
    words = ["prices", "import", str(tmp_path / "bhav.csv"), "--store", place, "--no-instruments", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["count_actions"] == 1
    out = tmp_path / "leaps.csv"
    assert main(["prices", "actions", "--store", place, "--check", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["share"], one["factor"]) for one in told["actions"]] == [(B, "1/2")]
    assert [(one["share"], one["likely factor"]) for one in told["leaps"]] == [(B, "?"), (A, "1/2")]
    lines = out.read_text(encoding="utf-8").splitlines()
    assert lines == ["symbol,ex_date,factor,kind,known_on", "B,2025-01-06,,,", "A,2025-01-07,1/2,,"]
    out.write_text("\n".join([lines[0], lines[2]]), encoding="utf-8")
    assert main(["prices", "actions", "--store", place, "--load", str(out)]) == 0
    assert "1/2" in capsys.readouterr().out
