"""What ``propdesk doctor`` looks at; each check is one sentence and, if needed, one remedy."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from adapters.clock import SystemClock
from adapters.settings import CLONE_ROOT, Settings
from propdesk.core.clock import from_ns
from propdesk.core.errors import ConfigFault, PropdeskError
from runtime.account import choose_account
from runtime.binaries import find_mongod, find_postgres, find_redis, mongod_obstacle
from runtime.home import Home
from runtime.ports import PortBook, is_free
from runtime.servers import server_answers
from runtime.supervisor import claimant, remembered

Verdict = Literal["ok", "note", "broken"]
DISK_FREE_MIN: Final = 2_000_000_000
"""Half a year of sample market with its tables takes about 1 GB."""
_YEAR_MIN: Final = 2025
_SKEW_MAX_S: Final = 1.0
UP: Final = "python3 run.py up"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    check : str
    verdict : {"ok", "note", "broken"}
        A note is worth knowing but stops nothing.
    detail : str
    remedy : str
        What to do; empty if nothing.
    """

    check: str
    verdict: Verdict
    detail: str
    remedy: str = ""


def run_checks(settings: Settings, *, start_programs: bool = True) -> list[Finding]:
    """Run every check; none raises.

    Parameters
    ----------
    settings : Settings
    start_programs : bool
        Also call each server program for its version.
    """
    home = Home(settings.home)
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        _environment,
        lambda: _data_folder(home),
        lambda: disk(home),
        _clock,
        lambda: _ports(home, settings),
        lambda: _servers(home, settings),
        lambda: schema(settings),
    ]
    if start_programs:
        checks.insert(4, lambda: _programs(home))
    return [finding for check in checks for finding in check()]


def _python() -> Iterator[Finding]:
    # run.py refuses an older Python before anything of this is imported
    yield Finding("Python", "ok", ".".join(str(part) for part in sys.version_info[:3]))


def _environment() -> Iterator[Finding]:
    stamp = CLONE_ROOT / ".venv" / ".propdesk-locks.json"
    remedy = "any `python3 run.py` command installs the pinned packages"
    try:
        present = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        yield Finding("environment", "note", "it was not made by run.py, or never finished", remedy)
        return
    stale = [
        extra
        for extra, digest in present.items()
        if hashlib.sha256((CLONE_ROOT / "locks" / f"{extra}.txt").read_bytes()).hexdigest() != digest
    ]
    if stale:
        yield Finding("environment", "broken", f"older than the lock of {', '.join(stale)}", remedy)
    else:
        yield Finding("environment", "ok", f"as locked ({', '.join(present)})")


def _data_folder(home: Home) -> Iterator[Finding]:
    try:
        home.create()
    except ConfigFault as fault:
        yield Finding("data folder", "broken", str(fault), "set PROPDESK_HOME to a writable folder")
    else:
        yield Finding("data folder", "ok", str(home.path))


def disk(home: Home) -> Iterator[Finding]:
    """Tell whether there is room left."""
    place = next(folder for folder in (home.path, *home.path.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    detail = f"{free / 1e9:.1f} GB free below {place}"
    if free < DISK_FREE_MIN:
        yield Finding("disk", "broken", detail, f"free at least {DISK_FREE_MIN / 1e9:.0f} GB")
    else:
        yield Finding("disk", "ok", detail)


def _programs(home: Home) -> Iterator[Finding]:
    try:
        account = choose_account(home.servers)
    except (PropdeskError, OSError) as fault:
        yield Finding("server account", "broken", str(fault), "set PROPDESK_HOME, or start as another user")
        return
    names = {
        "self": "your own",
        "nobody": "nobody, as root must not run them",
        "namespace": "a user namespace",
    }
    yield Finding("server account", "ok", names[account.kind])
    for what, find in (("PostgreSQL", find_postgres), ("Redis", find_redis)):
        try:
            yield Finding(what, "ok", find(home, account).version)
        except (PropdeskError, OSError) as fault:
            yield Finding(what, "broken", str(fault), "delete .venv and run any `python3 run.py` command")
    obstacle = mongod_obstacle()
    if obstacle:
        yield Finding("MongoDB", "note", obstacle, "signals come by upload only, none live")
        return
    try:
        yield Finding("MongoDB", "ok", find_mongod(home, account).version)
    except (PropdeskError, OSError) as fault:
        yield Finding("MongoDB", "note", str(fault), "signals come by upload only, none live")


def _clock() -> Iterator[Finding]:
    now = from_ns(SystemClock().now_ns())
    if now.year < _YEAR_MIN:
        yield Finding("clock", "broken", f"it shows {now:%Y-%m-%d %H:%M} UTC", "set the machine's clock")
    else:
        yield Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def _ports(home: Home, settings: Settings) -> Iterator[Finding]:
    ours = set(remembered(home))
    pinned = {
        "postgres": settings.postgres_port,
        "redis": settings.redis_port,
        "mongod": settings.mongo_port,
        "dagster-code": settings.dagster_code_port,
        "dagster-webserver": settings.dagster_webserver_port,
    }
    known = PortBook(home).known()
    taken = [name for name, port in known.items() if name not in ours and not is_free(port)]
    blocked = [name for name, port in pinned.items() if port and name not in ours and not is_free(port)]
    if blocked:
        words = ", ".join(f"{name} {pinned[name]}" for name in blocked)
        yield Finding(
            "ports", "broken", f"pinned but taken: {words}", "stop that program or change the setting"
        )
    elif taken and claimant(home) is None:
        words = ", ".join(f"{name} {known[name]}" for name in taken)
        yield Finding("ports", "note", f"taken by another program: {words}", "the next `up` chooses others")
    else:
        yield Finding(
            "ports", "ok", ", ".join(f"{n} {p}" for n, p in sorted(known.items())) or "none chosen yet"
        )


def _servers(home: Home, settings: Settings) -> Iterator[Finding]:
    if settings.postgres_url is None:
        yield Finding("servers", "note", "never started", UP)
        return
    up = claimant(home) is not None
    for kind, wanted in (
        ("postgres", settings.postgres_url),
        ("redis", settings.redis_url),
        ("mongo", settings.mongo_url),
    ):
        if wanted is None:
            continue
        reason = server_answers(kind, settings)  # type: ignore[arg-type]
        if reason is None:
            yield Finding(f"{kind} answers", "ok", "yes")
        else:
            verdict: Verdict = "broken" if up else "note"
            log = home.logs / ("mongod.log" if kind == "mongo" else f"{kind}.log")
            yield Finding(f"{kind} answers", verdict, reason, f"read {log}" if up else UP)


def schema(settings: Settings) -> Iterator[Finding]:
    """Tell whether the database is of this version and of our time; nothing where it does not answer."""
    if settings.postgres_url is None or server_answers("postgres", settings) is not None:
        return
    from sqlalchemy.exc import SQLAlchemyError

    from adapters.db.migrate import is_at_head

    try:
        newest = is_at_head(settings.database_url())
    except (PropdeskError, SQLAlchemyError) as fault:
        yield Finding("schema", "broken", str(fault).splitlines()[0], UP)
        return
    if newest:
        yield Finding("schema", "ok", "at the newest revision")
    else:
        yield Finding("schema", "broken", "older than the code", "propdesk db migrate, or " + UP)
    yield _skew(settings)


def _skew(settings: Settings) -> Finding:
    import psycopg

    dsn = settings.database_url().replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint"
        ).fetchone()
        ours = SystemClock().now_ns()
    seconds = abs(ours - int(row[0])) / 1e9 if row else float("nan")
    if seconds <= _SKEW_MAX_S:
        return Finding("clock against database", "ok", f"{seconds * 1000:.0f} ms apart")
    return Finding(
        "clock against database", "broken", f"{seconds:.1f} s apart", "synchronise the clocks (NTP)"
    )
