"""The store on a folder, in fsspec's memory and on an S3-compatible server: one behaviour."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from adapters.ticks.importers import import_prices
from adapters.ticks.place import Place
from adapters.ticks.store import ParquetPriceStore, bars_table
from cli.main import main
from propdesk.core.errors import ConfigFault, DataFault
from tests.support.object_store import object_store
from tests.unit.adapters.ticks.test_importers import ALIASES, HEADER
from tests.unit.adapters.ticks.test_store import CALENDAR, DAY, NEXT, bars, ticks

KEY = "NSE_EQ:A"


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with object_store("desk") as variables:
        yield variables


@pytest.fixture(params=["folder", "memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "folder":
        return str(tmp_path / "store")
    if request.param == "memory":
        return f"memory://{tmp_path.name}"
    for name, value in request.getfixturevalue("server").items():
        monkeypatch.setenv(name, value)
    return f"s3://desk/{tmp_path.name}/prices"


def closes(store: ParquetPriceStore, day: date) -> list[int]:
    return [int(found.close_paise[0]) for found in store.minute_bars([KEY], day, day).values()]


def one_bar(day: date, close: int) -> object:
    return bars_table([(KEY, bars(day, [0], close))])


def test_all_kinds_are_written_replaced_and_read(url: str) -> None:
    store = ParquetPriceStore(url, CALENDAR)
    assert (store.days("minute"), store.symbols("daily", DAY), store.actions().all()) == ([], [], [])
    store.write_minutes(DAY, bars_table([(KEY, bars(DAY, [0, 1], 100)), ("NSE_EQ:B", bars(DAY, [0], 300))]))
    store.write_minutes(DAY, bars_table([(KEY, bars(DAY, [0], 200))]))
    store.write_ticks(NEXT, ticks(NEXT, [1, 2], [500, 600]))
    other = ParquetPriceStore(url, CALENDAR)  # what another process sees
    assert (other.days("minute"), other.days("tick")) == ([DAY], [NEXT])
    assert closes(other, DAY) == [200]
    assert other.symbols("minute", DAY) == [KEY, "NSE_EQ:B"]
    assert other.ticks([KEY], DAY, NEXT)[KEY][1].tolist() == [500, 600]
    assert other.daily_bars([KEY], DAY, DAY)[KEY].close_paise.tolist() == [200]
    assert [day.rows for day in other.coverage("minute", DAY, NEXT)] == [2]


def test_a_reader_that_is_open_sees_days_that_come_later(url: str) -> None:
    reader, writer = ParquetPriceStore(url, CALENDAR), ParquetPriceStore(url, CALENDAR)
    writer.write_minutes(DAY, one_bar(DAY, 100))
    assert reader.days("minute") == [DAY]
    writer.write_minutes(NEXT, one_bar(NEXT, 200))
    assert reader.days("minute") == [DAY, NEXT]
    writer.write_minutes(DAY, one_bar(DAY, 300))
    assert closes(reader, DAY) == [300]


def test_a_writer_that_dies_before_its_commit_leaves_no_day(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ParquetPriceStore(url, CALENDAR)
    store.write_minutes(DAY, one_bar(DAY, 100))
    with monkeypatch.context() as patch:
        patch.setattr(Place, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.write_minutes(DAY, one_bar(DAY, 999))
    again = ParquetPriceStore(url, CALENDAR)
    assert closes(again, DAY) == [100]
    again.write_minutes(NEXT, one_bar(NEXT, 200))
    assert (closes(again, DAY), again.days("minute")) == ([100], [DAY, NEXT])


@pytest.mark.parametrize("died_after", [0, 1, 2, 3])
def test_a_writer_that_dies_after_its_commit_is_finished_by_the_next(
    url: str, died_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two days are two files and two manifests: wherever the moves break off, both days come whole."""
    store = ParquetPriceStore(url, CALENDAR)
    store.write_minutes(DAY, one_bar(DAY, 100))
    move, left = Place.move, [died_after]

    def dying(self: Place, name: str, target: str) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        move(self, name, target)

    with monkeypatch.context() as patch:
        patch.setattr(Place, "move", dying)
        with pytest.raises(KeyboardInterrupt), store.stage() as stage:  # noqa: PT012 - it dies at the end
            stage.add("minute", DAY, one_bar(DAY, 300))
            stage.add("minute", NEXT, one_bar(NEXT, 400))
    again = ParquetPriceStore(url, CALENDAR)
    again.write_ticks(DAY, ticks(DAY, [1], [500]))
    assert (closes(again, DAY), closes(again, NEXT)) == ([300], [400])
    assert [found.rows for found in again.coverage("minute", DAY, NEXT)] == [1, 1]
    assert [name for name in again._place.names("") if name.startswith(".")] == []


def test_a_fault_while_files_are_moved_says_that_the_next_writer_finishes(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ParquetPriceStore(url, CALENDAR)
    with monkeypatch.context() as patch:
        patch.setattr(Place, "move", lambda *_: (_ for _ in ()).throw(OSError(5, "connection lost")))
        with pytest.raises(DataFault, match=r"connection lost.*next import or download finishes"):
            store.write_minutes(DAY, one_bar(DAY, 100))
    assert store.days("minute") == []
    store.write_minutes(NEXT, one_bar(NEXT, 200))
    assert (closes(store, DAY), closes(store, NEXT)) == ([100], [200])


def test_files_are_imported_and_told_of(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(HEADER + "A,2025-01-01 09:15:00,100,101,99,100,5\nA,never,1,1,1,1,1\n", encoding="utf-8")
    store = ParquetPriceStore(url, CALENDAR)
    (report,) = import_prices(store, [path], CALENDAR, ALIASES)
    name = report.rejects.removeprefix(store._place.path(""))
    assert store._place.read(name).splitlines()[1].startswith(b"2,BAD_TIME,NSE_EQ:A")
    (told,) = store.imports()
    assert (told["accepted"], told["defects"]) == (1, {"BAD_TIME": 1})
    assert main(["prices", "coverage", "--store", url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["days"][0]["rows"] == 1


def test_an_address_that_nobody_can_open() -> None:
    with pytest.raises(ConfigFault, match="cannot be opened"):
        ParquetPriceStore("carrier-pigeon://coop/prices")


def test_a_bucket_that_is_not_there_is_told_from_an_empty_store(
    server: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    assert ParquetPriceStore("s3://desk/nothing-yet", CALENDAR).days("minute") == []
    store = ParquetPriceStore("s3://nobodys/prices", CALENDAR)
    with pytest.raises(DataFault, match="NO_SUCH_BUCKET"):
        store.days("minute")


def test_credentials_in_an_address_are_not_repeated(
    server: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server["AWS_ENDPOINT_URL"])
    assert Place("s3://test:secret@desk/prices").url == "s3://desk/prices"
