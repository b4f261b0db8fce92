"""The generated market and the price store through the command line; files only, no server."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest

from adapters.calendar import load_calendar
from adapters.contract_rules import load_contract_rules
from adapters.instruments import read_instrument_file
from adapters.ticks.store import ParquetPriceStore
from adapters.uploads.profiles import load_aliases
from cli.main import main
from cli.market import SampleFiles, generate_sample
from propdesk.core.calendar import ist_date
from propdesk.core.clock import to_ns
from propdesk.intake.document import document_to_record
from propdesk.intake.reasons import Rejection
from propdesk.model.enums import Category
from propdesk.model.instrument import instrument_key
from propdesk.model.signal import Signal
from propdesk.sim import advisors
from propdesk.sim.market import MarketSpec, generate_market
from propdesk.sim.market_contracts import list_instruments

FIRST, LAST, REPLAYED = date(2025, 4, 7), date(2025, 4, 15), date(2025, 4, 16)


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Iterator[None]:
    """Measure the advisors' truth on fewer ideas: these tests do not look at it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(advisors, "_ODDS_DRAWS", 100)
        patch.setattr(advisors, "_TRUTH_DRAWS", 100)
        yield


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleFiles:
    out = tmp_path_factory.mktemp("sample")
    return generate_sample(out, str(out / "prices"), FIRST, LAST, REPLAYED, seed=7, per_day=120)


def rows(sample: SampleFiles) -> list[dict[str, str]]:
    with sample.signals.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_files_agree_with_their_counts(sample: SampleFiles) -> None:
    kinds = Counter(row["kind"] for row in rows(sample))
    assert (kinds["SIGNAL"], kinds["FOLLOWUP"]) == (sample.count_signals, sample.count_followups)
    live = [json.loads(line) for line in sample.replay_signals.read_text(encoding="utf-8").splitlines()]
    assert len(live) == sample.count_replay_signals > 30
    assert all(document["received_at"].startswith("2025-04-16") for document in live)
    assert all(not row["received_at"].startswith("2025-04-16") for row in rows(sample))
    truth = json.loads(sample.truth.read_text(encoding="utf-8"))
    assert {row["advisor_id"] for row in truth["advisors"]} >= {row["advisor_id"] for row in rows(sample)}
    assert sample.count_days == 6


def signals_of(sample: SampleFiles) -> tuple[list[Signal], list[Rejection]]:
    """The file's signals as the intake reads them, and what it refuses."""
    aliases, taken, refused = load_aliases(), [], []
    for row in rows(sample):
        stamp = row["received_at"] or row["posted_at"]
        received = to_ns(datetime.fromisoformat(stamp)) if stamp.startswith("20") else 0
        found = document_to_record(row, received_ns=received, aliases=aliases)
        if isinstance(found, Rejection):
            refused.append(found)
        elif isinstance(found, Signal):
            taken.append(found)
    return taken, refused


def test_the_intake_takes_all_but_the_planted_defects(sample: SampleFiles) -> None:
    taken, refused = signals_of(sample)
    assert len(taken) > 0.98 * sample.count_signals
    assert len(refused) < 0.01 * sample.count_signals
    assert {signal.category for signal in taken} == set(Category)


def test_every_instrument_mentioned_has_bars_on_the_day_of_its_idea(sample: SampleFiles) -> None:
    store = ParquetPriceStore(sample.store_url)
    stored = {day: set(store.symbols("minute", day)) for day in store.days("minute")}
    missing = []
    for signal in signals_of(sample)[0]:
        if signal.underlying == "NOSUCHNAME":
            continue
        key = instrument_key(
            signal.category, signal.underlying, signal.expiry, signal.strike_paise, signal.option_type
        )
        day = ist_date(signal.received_ns)
        if key not in stored[day]:
            missing.append((day, key))
    assert missing == []


def test_the_master_is_read_back_as_it_was_meant(sample: SampleFiles) -> None:
    found = read_instrument_file(sample.instruments, FIRST)
    assert found.is_dated
    meant = list_instruments(
        generate_market(MarketSpec(FIRST, REPLAYED, 7), load_calendar(), load_contract_rules())
    )
    assert sorted(found.instruments, key=repr) == sorted(meant, key=repr)


def test_the_store_holds_lead_in_range_and_replayed_day(sample: SampleFiles) -> None:
    store = ParquetPriceStore(sample.store_url)
    assert store.days("minute")[0] == FIRST
    assert store.days("minute")[-1] == REPLAYED
    daily = store.daily_bars(["INDEX:NIFTY"], date(2024, 1, 1), REPLAYED)["INDEX:NIFTY"]
    assert len(daily.start_ns) == 170 + 6
    assert ist_date(int(daily.start_ns[-1])) == REPLAYED
    assert store.outages(FIRST, REPLAYED) == {}
    keys = store.symbols("minute", FIRST)
    assert {key.split(":")[0] for key in keys} == {
        "INDEX", "NSE_EQ", "INDEX_FUT", "STOCK_FUT", "INDEX_OPT", "STOCK_OPT",
    }  # fmt: skip


def test_the_command_is_repeatable_to_the_byte(sample: SampleFiles, tmp_path: Path) -> None:
    words = ["market", "generate", "--out", str(tmp_path), "--first", "2025-04-07", "--last", "2025-04-15",
             "--replay-day", "2025-04-16", "--seed", "7", "--per-day", "120", "--json"]  # fmt: skip
    assert main(words) == 0
    for name in ("signals.csv", "replay_signals.jsonl", "instruments.csv", "truth.json"):
        assert (tmp_path / name).read_bytes() == (sample.signals.parent / name).read_bytes()
    day = "minute/2025-04-09.parquet"
    assert (tmp_path / "prices" / day).read_bytes() == (sample.signals.parent / "prices" / day).read_bytes()


def test_advisors_post_on_stored_prices(
    sample: SampleFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["market", "advisors", "--on-prices", sample.store_url, "--out", str(tmp_path / "s.csv"),
             "--truth", str(tmp_path / "t.json"), "--per-day", "60", "--json"]  # fmt: skip
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    with (tmp_path / "s.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert told["rows"] == len(found)
    assert {row["category"] for row in found} == {"NSE_EQ"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["market", "generate", "--out", "X", "--first", "2025-13-01"], "is no day"),
        (["market", "generate", "--out", "X", "--first", "2025-07-01"], "lies after"),
        (["market", "generate", "--out", "X", "--replay-day", "2025-07-05"], "cannot be replayed"),
        (["market", "advisors", "--on-prices", "X", "--out", "X/s.csv"], "has no minute bars"),
        (["prices", "gaps", "--store", "X"], "has no minute prices"),
        (["prices", "coverage", "--store", "X", "--kind", "weekly"], "is not stored"),
        (["prices", "import", "X/none.csv", "--store", "X", "--no-instruments"], "does not exist"),
    ],
)
def test_bad_words_give_one_sentence(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        [word.replace("X", str(tmp_path / "x"), 1) if word.startswith("X") else word for word in words]
    )
    assert code == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert "Traceback" not in told


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    words = ["market", "generate", "--out", str(tmp_path / "file"), "--first", "2025-04-07",
             "--last", "2025-04-07", "--replay-day", "2025-04-08"]  # fmt: skip
    assert main(words) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_coverage_and_gaps_of_the_sample(sample: SampleFiles, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices", "coverage", "--store", sample.store_url, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [day["day"] for day in told["days"]][-1] == "2025-04-16"
    assert sum(day["rows"] for day in told["days"]) == sample.count_bars
    assert main(["prices", "gaps", "--store", sample.store_url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["gaps"] == []
