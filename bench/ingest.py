"""Ingestion against what one would do by hand: ``python -m bench.ingest [--rows N] [--sizes N,N,...]``.

One generated CSV of signals goes three ways into one PostgreSQL, each several times, the best counts:

1. `adapters.uploads.ingest_file`: read, named, dated, judged, hashed, deduplicated, versioned, logged in a
   hash chain;
2. ``pandas.read_csv`` and ``to_sql``;
3. a bare ``COPY`` of the file into a table of texts: what the disk and the server allow.

Wall time tells little on a machine that is busy otherwise: the processor time of this process and of the
server's backend stands beside it. Then the signal log that the ingestion left is verified, and the peak
memory of the ingesting process is measured at rising numbers of rows.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
from psycopg import sql

from adapters.calendar import load_calendar
from adapters.db.engine import begin, create_engine, psycopg_dsn
from adapters.db.migrate import upgrade
from adapters.db.repos.verify import verify_all
from adapters.settings import Settings
from adapters.uploads import ingest_file
from bench.machine import machine
from propdesk.core.calendar import IST
from propdesk.core.clock import ManualClock, to_ns
from propdesk.intake.document import document_hash
from runtime.home import Home
from runtime.servers import OWNER, ServerSet, create_database

ROWS = 1_000_000
SIZES = (10_000, 100_000, 400_000)
ROUNDS = 2
SEED = 7
_NOW_NS = to_ns(datetime(2025, 12, 1, tzinfo=UTC))
_COLUMNS = (
    *("kind", "source_message_id", "advisor_id", "advisor_name", "sebi_reg_no", "posted_at", "received_at"),
    *(
        "category",
        "symbol",
        "expiry",
        "strike",
        "option_type",
        "side",
        "entry_type",
        "entry_low",
        "entry_high",
    ),
    *("stoploss", "targets", "period", "group_key"),
)


def write_signals(path: Path, rows: int, seed: int = SEED) -> None:
    """Write a CSV of intraday ideas on 200 shares by 120 advisors over 150 days."""
    rng = np.random.default_rng(seed)
    first = datetime(2025, 1, 1, 9, 15, tzinfo=IST)
    days = [day for n in range(150) if (day := first + timedelta(days=n)).weekday() < 5]
    day, second, share, advisor = (
        rng.integers(0, bound, rows).tolist() for bound in (len(days), 22_000, 200, 120)
    )
    price, is_buy = rng.integers(5_000, 500_000, rows).tolist(), (rng.random(rows) < 0.6).tolist()
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(_COLUMNS)
        for n in range(rows):
            posted = days[day[n]] + timedelta(seconds=second[n])
            sign, entry = 1 if is_buy[n] else -1, price[n]
            levels = [f"{(entry + sign * entry * part // 100) / 100:.2f}" for part in (-1, 1, 2)]
            name = f"Advisor {advisor[n]}"
            head = ("SIGNAL", f"m{n}", f"A{advisor[n]:03d}", name, f"INH{advisor[n]:09d}")
            stamps = (posted.isoformat(), (posted + timedelta(seconds=12)).isoformat())
            what = ("NSE_EQ", f"SYM{share[n]}", "", "", "", "BUY" if is_buy[n] else "SELL", "LIMIT")
            prices = (f"{entry / 100:.2f}", f"{entry / 100:.2f}", levels[0], f"{levels[1]}/{levels[2]}")
            writer.writerow((*head, *stamps, *what, *prices, "INTRADAY", ""))


@contextmanager
def _server() -> Iterator[ServerSet]:
    folder = Path(tempfile.mkdtemp(prefix="propdesk-bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        with ServerSet(Home(folder / "home")) as servers:
            yield servers
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)  # noqa: S607 - whichever rm is there


@contextmanager
def _database(servers: ServerSet, name: str) -> Iterator[str]:
    with psycopg.connect(servers.superuser_dsn, autocommit=True) as connection:
        create_database(connection, name, OWNER)
    yield servers.role_url(OWNER, name)
    with psycopg.connect(servers.superuser_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def ingest(path: Path, url: str) -> int:
    """Take the file in by propdesk; returns the rows accepted."""
    settings = Settings(_env_file=None, home=path.parent / "home", postgres_url=url)  # type: ignore[call-arg]
    engine = create_engine(url, "bench")
    try:
        clock = ManualClock(_NOW_NS)
        return ingest_file(engine, path, "sample", load_calendar(), clock, settings).rows_accepted
    finally:
        engine.dispose()


def to_sql(path: Path, url: str) -> int:
    """Take the file in by pandas."""
    engine = create_engine(url, "bench")
    try:
        frame = pd.read_csv(path)
        with engine.begin() as connection:
            frame.to_sql("by_pandas", connection, index=False)
        return len(frame)
    finally:
        engine.dispose()


def bare_copy(path: Path, url: str) -> int:
    """Let PostgreSQL read the file itself."""
    with psycopg.connect(psycopg_dsn(url)) as connection:
        columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in _COLUMNS)
        connection.execute(sql.SQL("CREATE TABLE by_copy ({})").format(columns))
        with (
            connection.cursor() as cursor,
            cursor.copy("COPY by_copy FROM STDIN WITH (FORMAT csv, HEADER)") as copy,
            path.open("rb") as source,
        ):
            while block := source.read(1 << 18):
                copy.write(block)
        return cursor.rowcount


@dataclass(frozen=True, order=True)
class Cost:
    """Seconds of one way: of wall time, and of processor time here and in the server."""

    wall: float
    here: float
    server: float

    @property
    def processor(self) -> float:
        """Both together."""
        return self.here + self.server


def _server_seconds(url: str, postmaster: Path) -> float:
    """Give the processor time of all backends that have ended, s; waits until those of a database have."""
    database = url.rsplit("/", 1)[1]
    server = postmaster.read_text().split()[0]
    while any(_is_left(process, server, database) for process in Path("/proc").glob("[0-9]*")):
        pass
    fields = _stat(Path("/proc") / server)
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _is_left(process: Path, server: str, database: str) -> bool:
    """Whether a process is a backend of a database, or one of the server's that has not been counted yet."""
    try:
        fields = _stat(process)
        title = (process / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
    return fields[1] == server and (fields[0] == "Z" or f" {database} " in title)


def _stat(process: Path) -> list[str]:
    return (process / "stat").read_text().rsplit(")", 1)[1].split()


def _timed(servers: ServerSet, path: Path, rounds: int) -> dict[str, Cost]:
    """Give the cost of each way at its best; the ways take turns, so that a busy moment hits all alike."""
    postmaster = next(servers.home.path.rglob("postmaster.pid"))
    ways: dict[str, Callable[[Path, str], int]] = {"ingest": ingest, "to_sql": to_sql, "COPY": bare_copy}
    best = dict.fromkeys(ways, Cost(float("inf"), 0.0, 0.0))
    for number in range(rounds):
        for name, way in ways.items():
            with _database(servers, f"bench_{number}_{name.lower()}") as url:
                upgrade(url)
                before = _server_seconds(url, postmaster)
                started, here = time.monotonic(), time.process_time()
                rows = way(path, url)
                wall, here = time.monotonic() - started, time.process_time() - here
                best[name] = min(best[name], Cost(wall, here, _server_seconds(url, postmaster) - before))
                if name == "ingest" and number == 0:
                    _verify(url, rows)
    return best


def _verify(url: str, rows: int) -> None:
    engine = create_engine(url, "bench")
    with begin(engine) as connection:
        started = time.monotonic()
        for verdict in verify_all(connection, document_hash):
            seconds, started = time.monotonic() - started, time.monotonic()
            state = "whole" if verdict.broken is None else "BROKEN"
            walked = "" if verdict.rows is None else f"{verdict.rows:,} rows, "
            sys.stdout.write(f"verify {verdict.name}: {walked}{state}, {seconds:.1f} s\n")
    engine.dispose()
    sys.stdout.write(f"({rows:,} rows had been accepted)\n")


def _peak_memory(servers: ServerSet, folder: Path, rows: int) -> int:
    """Give the peak resident memory, bytes, of a process that ingests so many rows."""
    path = folder / f"{rows}.csv"
    write_signals(path, rows)
    with _database(servers, f"bench_memory_{rows}") as url:
        upgrade(url)
        done = subprocess.run(
            [sys.executable, "-m", "bench.ingest", "--one", str(path), url],
            capture_output=True,
            text=True,
            check=True,
        )
    path.unlink()
    return int(done.stdout.split()[-1])


def main() -> None:
    """Run all and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="rows at which memory is measured")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--one", nargs=2, metavar=("FILE", "URL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        ingest(Path(options.one[0]), options.one[1])
        # Not ru_maxrss: that is inherited from the process that started this one.
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
        sys.stdout.write(f"{int(kilobytes) * 1024}\n")
        return
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name, _server() as servers:
        folder = Path(name)
        path = folder / "signals.csv"
        write_signals(path, options.rows)
        sys.stdout.write(f"{machine()}\n{options.rows:,} rows, {path.stat().st_size / 2**20:.0f} MiB\n")
        best = _timed(servers, path, options.rounds)
        for way, cost in best.items():
            sys.stdout.write(
                f"{way}: {cost.wall:.1f} s, {options.rows / cost.wall:,.0f} rows/s; processor "
                f"{cost.here:.1f} s here, {cost.server:.1f} s in the server\n"
            )
        for name in ("wall", "processor"):
            ours, pandas, copy = (getattr(best[way], name) for way in ("ingest", "to_sql", "COPY"))
            sys.stdout.write(
                f"{name}: ingest is {pandas / ours:.2f} x as fast as read_csv + to_sql and takes "
                f"{ours / copy:.1f} x as long as a bare COPY\n"
            )
        path.unlink()
        for rows in map(int, options.sizes.split(",")):
            peak = _peak_memory(servers, folder, rows)
            sys.stdout.write(f"peak memory at {rows:,} rows: {peak / 2**20:.0f} MiB\n")


if __name__ == "__main__":
    main()
