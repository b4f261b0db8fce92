"""Bad input as a person meets it: processes, exit codes, one sentence, nothing left behind."""

import base64
import gzip
import json
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path

import numpy as np
import psycopg
import pytest
from psycopg import sql

from adapters.db.engine import psycopg_dsn
from adapters.db.migrate import upgrade
from adapters.settings import Settings
from cli.output import EXIT_BAD_INPUT, EXIT_OK
from runtime.home import Home
from runtime.servers import ServerSet
from tests.support.main_job import call_process, environment

pytestmark = pytest.mark.integration

HEADER = "kind,source_message_id,advisor_id,posted_at,category,symbol,side,entry_low,stoploss,targets"
ROW = "SIGNAL,m{n},A1,2025-01-02T09:20:00+05:30,NSE_EQ,TCS,BUY,100,95,110"
LANDING = ("landed_rows", "raw_signals", "quarantine")
MIB = 1 << 20
BOMB_BYTES = 200 * MIB
FILE_LIMIT = 17 * MIB
"""Just more than a segment of PostgreSQL's log, which must fit."""
FULL_ROWS = 8_000


def table_rows(settings: Settings) -> dict[str, int]:
    count = sql.SQL("SELECT count(*) FROM {}")
    with psycopg.connect(psycopg_dsn(settings.database_url())) as connection:
        return {
            name: connection.execute(count.format(sql.Identifier("raw", name))).fetchall()[0][0]
            for name in LANDING
        }


def failures(settings: Settings) -> dict[str, str]:
    with psycopg.connect(psycopg_dsn(settings.database_url())) as connection:
        rows = connection.execute("SELECT file_name, error FROM raw.uploads WHERE status = 'FAILED'")
        return {str(name): str(error) for name, error in rows.fetchall()}


def sentence(done: "subprocess.CompletedProcess[str]") -> str:
    """Give the one sentence of a command that refused its input."""
    assert done.returncode == EXIT_BAD_INPUT, done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].endswith(".")
    return lines[0]


# ------------------------------------------------------------------------------------------ signal files


def wrong_column(path: Path) -> None:
    path.write_text(HEADER.replace("posted_at", "when") + "\n" + ROW.format(n=1) + "\n", encoding="utf-8")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def binary(path: Path) -> None:
    path.write_bytes(np.random.default_rng(7).bytes(100_000))


def truncated(path: Path) -> None:
    lines = [HEADER, *(ROW.format(n=n) + "x" * (n % 50) for n in range(5_000))]
    packed = gzip.compress("\n".join(lines).encode(), mtime=0)
    path.write_bytes(packed[: len(packed) // 2])


def bomb(path: Path) -> None:
    block = (ROW.format(n=1) + "\n").encode() * 10_000
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write((HEADER + "\n").encode())
        for _ in range(-(-BOMB_BYTES // len(block))):
            file.write(block)


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (wrong_column, "wrong.csv", "there is no column for posted_at"),
        (empty, "empty.csv", "it is empty"),
        (binary, "binary.csv", "it is a binary file: send CSV"),
        (truncated, "cut.csv.gz", "is cut off: copy it again"),
        (bomb, "bomb.csv.gz", "as a decompression bomb does"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_whole(
    settings: Settings, tmp_path: Path, make: Callable[[Path], None], name: str, words: str
) -> None:
    path = tmp_path / name
    make(path)
    told = sentence(call_process(["ingest", str(path), "--json"], environment(settings)))
    assert told.startswith(f"{name} was not taken: ")
    assert words in told
    assert ":" in told.removeprefix(f"{name} was not taken: "), "a remedy follows the reason"
    assert table_rows(settings) == dict.fromkeys(LANDING, 0)
    assert failures(settings)[name] in told


# ------------------------------------------------------------------------------------------ price files


def minute_lines(symbol: str, day: date, silent: Callable[[int], bool]) -> list[str]:
    """Bars of a day from 09:15 to 15:29, without the minutes that are silent."""
    return [
        f"{symbol},{day} {minute // 60:02d}:{minute % 60:02d}:00,100,101,99,100,10"
        for minute in range(555, 930)
        if not silent(minute)
    ]


def test_holes_in_a_price_file_are_reported(settings: Settings, tmp_path: Path) -> None:
    def pause(minute: int) -> bool:
        return 660 <= minute < 705

    first, after = date(2025, 4, 7), date(2025, 4, 9)
    lines = ["symbol,ts_ist,open,high,low,close,volume"]
    lines += minute_lines("ACME", first, pause)
    lines += minute_lines("BOLT", first, lambda minute: pause(minute) or 780 <= minute < 820)
    lines += minute_lines("ACME", after, lambda _: False)
    path, store = tmp_path / "gappy.csv", str(tmp_path / "store")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    variables = environment(settings)
    words = ["prices", "import", str(path), "--store", store, "--no-instruments", "--json"]
    assert call_process(words, variables).returncode == EXIT_OK

    done = call_process(["prices", "gaps", "--store", store, "--symbol", "NSE_EQ:BOLT", "--json"], variables)
    assert done.returncode == EXIT_OK, done.stderr
    told = json.loads(done.stdout)
    assert told["missing_days"] == ["2025-04-08"]
    found = {(gap["day"], gap["what"], gap["minutes"]) for gap in told["gaps"]}
    assert ("2025-04-07", "whole feed", 45) in found
    assert ("2025-04-07", "NSE_EQ:BOLT", 40) in found
    assert not any(day == "2025-04-09" for day, _, _ in found)


# ------------------------------------------------------------------------------------------ full, read-only


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[tuple[Path, list[str]]]:
    """A folder that takes nothing, and the words before a command that sees it so."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield folder, []
        folder.chmod(0o755)
        return
    # Root may write into every folder but one on a read-only file system.
    mount = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro none "$0" && exec "$@"', str(folder)]
    probe = subprocess.run([*mount, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"root cannot mount a read-only file system here: {probe.stderr.strip()}")
    yield folder, mount


def test_a_read_only_data_folder_is_named_with_the_remedy(
    read_only: tuple[Path, list[str]], settings: Settings
) -> None:
    folder, mount = read_only
    ours = {name: value for name, value in environment(settings).items() if not name.startswith("PROPDESK_")}
    done = call_process(["up", "--exit"], ours | {"PROPDESK_HOME": str(folder)}, mount)
    told = sentence(done)
    assert told.startswith(f"The data folder {folder} cannot be written (")
    assert "PROPDESK_HOME" in told


def test_prices_are_not_imported_into_a_read_only_store(
    read_only: tuple[Path, list[str]], settings: Settings, tmp_path: Path
) -> None:
    folder, mount = read_only
    path = tmp_path / "bars.csv"
    lines = minute_lines("ACME", date(2025, 4, 7), lambda _: False)
    path.write_text("symbol,ts_ist,open,high,low,close,volume\n" + "\n".join(lines), encoding="utf-8")
    words = ["prices", "import", str(path), "--store", str(folder / "prices"), "--no-instruments"]
    told = sentence(call_process(words, environment(settings), mount))
    assert str(folder / "prices") in told
    assert "Read-only file system" in told or "Permission denied" in told


@pytest.fixture
def cramped() -> Iterator[Settings]:
    """A PostgreSQL of its own whose files cannot grow beyond a limit, as on a disk that is full."""
    place = Path(tempfile.mkdtemp(prefix="propdesk-full-"))
    place.chmod(0o755)
    home = Home(place / "home")
    elsewhere = Settings(
        _env_file=None, home=home.path, redis_url="redis://127.0.0.1:1/0", mongo_url="mongodb://127.0.0.1:1"
    )
    servers = ServerSet(home, elsewhere, postgres_options={"shared_buffers": "16MB"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # The server inherits the limit; only the soft one, which needs no right to be raised again.
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, hard))
        try:
            servers.start()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        settings = Settings(
            _env_file=None,
            home=home.path,
            postgres_url=servers.postgres_url,
            postgres_pipeline_url=servers.role_url("propdesk_pipeline"),
            postgres_daemon_url=servers.role_url("propdesk_daemon"),
            postgres_reader_url=servers.role_url("propdesk_reader"),
        )
        upgrade(settings.database_url())
        yield settings
    finally:
        servers.stop()
        shutil.rmtree(place, ignore_errors=True)


def long_rows(count: int, rng: np.random.Generator) -> Iterator[str]:
    """Rows with a text that no compression shortens much."""
    yield HEADER + ",text"
    for number in range(count):
        yield f"{ROW.format(n=number)},{base64.b64encode(rng.bytes(2_600)).decode()}"


@pytest.mark.slow
def test_a_full_disk_takes_nothing_and_the_next_file_goes_in(cramped: Settings, tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    rows = long_rows(FULL_ROWS, np.random.default_rng(7))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    variables: Mapping[str, str] = environment(cramped)

    told = sentence(call_process(["ingest", str(path), "--json"], variables))

    assert told.startswith("large.csv was not taken: PostgreSQL refused it (")
    assert "could not extend file" in told or "could not write" in told, told
    assert "nothing was stored, try again" in told
    assert table_rows(cramped) == dict.fromkeys(LANDING, 0)
    assert "large.csv" in failures(cramped)

    small = tmp_path / "small.csv"
    small.write_text(f"{HEADER}\n{ROW.format(n=1)}\n", encoding="utf-8")
    done = call_process(["ingest", str(small), "--json"], variables)
    assert done.returncode == EXIT_OK, done.stderr
    assert json.loads(done.stdout)["rows_accepted"] == 1
