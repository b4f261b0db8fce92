"""Real prices through the command line into a store and a real PostgreSQL."""

import csv
import json
from datetime import date
from pathlib import Path

import pytest

from adapters.db.engine import begin, create_engine
from adapters.db.repos.instruments import read_instruments
from adapters.ticks.store import ParquetPriceStore
from cli.main import main

DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the real price data does not lie at {DATA}"),
]


@pytest.fixture
def home(pg_role_urls: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROPDESK_POSTGRES_URL", pg_role_urls["owner"])
    monkeypatch.setenv("PROPDESK_POSTGRES_PIPELINE_URL", pg_role_urls["pipeline"])
    monkeypatch.setenv("PROPDESK_PRICE_STORE_URL", str(tmp_path / "prices"))
    return tmp_path


def test_minutes_ticks_and_regime_history_come_in_and_advisors_post_on_them(
    home: Path, pg_role_urls: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prices", "import", str(DATA / "nse_1min_2021"), str(DATA / "nse_ticks_2021" / "NIFTY.parquet"),
             str(DATA / "nifty_indiavix_daily"), "--json"]  # fmt: skip
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    minutes, ticks, daily = told["files"]
    assert (minutes["rows"], minutes["accepted"], minutes["symbols"]) == (595_696, 595_696, 54)
    assert (ticks["layout"], ticks["accepted"] + ticks["defects"]["DUPLICATE"]) == ("tick", 944_616)
    assert (daily["accepted"], daily["defects"]) == (2_943, {})
    assert told["count_instruments"] == 42  # stocks only, no index

    store = ParquetPriceStore(str(home / "prices"))
    outages = store.outages(date(2021, 3, 1), date(2021, 6, 30))
    assert {date(2021, 4, 7), date(2021, 5, 12), date(2021, 6, 10)} <= set(outages)
    assert date(2021, 4, 8) not in outages
    regime_days = store.daily_bars(["INDEX:NIFTY"], date(2020, 6, 1), date(2021, 4, 30))["INDEX:NIFTY"]
    assert len(regime_days.start_ns) > 200

    engine = create_engine(pg_role_urls["owner"], "propdesk-test")
    with begin(engine) as connection:
        found = {
            i.instrument_key: i for i in read_instruments(connection, date(2021, 4, 1), date(2021, 6, 30))
        }
    engine.dispose()
    share = found["NSE_EQ:RELIANCE"]
    assert (share.lot_size, share.tick_paise, share.valid_to) == (1, 5, date(2021, 6, 11))
    assert "NSE_EQ:NIFTY" not in found

    words = ["market", "advisors", "--on-prices", str(home / "prices"), "--seed", "7", "--per-day", "400",
             "--out", str(home / "signals.csv"), "--truth", str(home / "truth.json"), "--last", "2021-06-11",
             "--json"]  # fmt: skip
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    with (home / "signals.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == told["rows"]
    assert told["signals"] > 15_000
    truth = json.loads((home / "truth.json").read_text(encoding="utf-8"))["advisors"]
    ladder = [row for row in truth if row["kind"] == "LADDER"]
    top = [row["points_true"] for row in ladder if row["points"] == 0.3]
    assert min(top) > max(row["points_true"] for row in ladder if row["points"] <= 0.1)


def test_without_a_database_nothing_is_written_and_the_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PROPDESK_POSTGRES_URL", raising=False)
    monkeypatch.setenv("PROPDESK_PRICE_STORE_URL", str(tmp_path / "prices"))
    assert main(["prices", "import", str(DATA / "nifty_indiavix_daily")]) == 3
    assert "PostgreSQL" in capsys.readouterr().err
    assert not (tmp_path / "prices").exists()


def test_a_file_of_another_kind_leaves_the_store_alone(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "notes.csv").write_text("when,what\nnow,nothing\n", encoding="utf-8")
    assert main(["prices", "import", str(home / "notes.csv")]) == 2
    assert "fits no known price layout" in capsys.readouterr().err
    assert not (home / "prices").exists()
