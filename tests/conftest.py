"""Fixtures for every test: real servers in a home of their own, fresh databases, one seed."""

import fcntl
import gc
import importlib
import importlib.util
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import numpy as np
import psycopg
import pytest
import structlog
from numba.core.dispatcher import Dispatcher
from psycopg import sql

from adapters.settings import ENV_PREFIX, Settings
from runtime.home import Home
from runtime.servers import OWNER, ServerSet, create_database
from tests.support.desk_settings import desk_settings

SEED_DEFAULT = 7
_TEMPLATE = "propdesk_template"
_POSTGRES_OPTIONS = {
    "shared_buffers": "64MB",
    # No test takes the machine's power away; one that kills the server finds what the system has taken.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}
_numbers = itertools.count(1)

hypothesis.settings.register_profile(
    "propdesk", derandomize=True, print_blob=True, deadline=None, max_examples=60, database=None
)
hypothesis.settings.load_profile("propdesk")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=SEED_DEFAULT, help="seed of the fixtures seed and rng")
    parser.addoption("--api-examples", type=int, default=2, help="requests per operation of the API")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        _compile_in_turns(Path(config.option.basetemp).parent / "compiling.lock")
    # No test sees the settings of a running system: neither its environment nor its data folder.
    for name in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
        del os.environ[name]
    os.environ[f"{ENV_PREFIX}HOME"] = str(Path(tempfile.gettempdir()) / f"propdesk-no-home-{os.getpid()}")
    os.environ.update(
        DAGSTER_DISABLE_TELEMETRY="1",
        DBT_SEND_ANONYMOUS_USAGE_STATS="false",
        DO_NOT_TRACK="1",
        GX_ANALYTICS_ENABLED="false",
        MPLBACKEND="Agg",
    )


def _compile_in_turns(lock_file: Path) -> None:
    """Let one of several processes compile a kernel, and the others read what it kept.

    In a fresh clone all of them would meet the same kernels in the same minutes, half a second each and more.
    """
    compile_one, mine = Dispatcher.compile, threading.local()

    def compile_alone(dispatcher: Dispatcher, signature: object) -> object:
        if getattr(mine, "has_turn", False):  # one that another one calls
            return compile_one(dispatcher, signature)
        with lock_file.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            mine.has_turn = True
            try:
                return compile_one(dispatcher, signature)  # looks first whether it was kept
            finally:
                mine.has_turn = False

    Dispatcher.compile = compile_alone


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect without the garbage collector: nothing becomes garbage, and each of its rounds reads all anew.

    What was imported is left out of its later rounds too.
    """
    with _after_the_first(session.config):
        gc.disable()
        try:
            return (yield)
        finally:
            gc.freeze()
            gc.enable()


@contextmanager
def _after_the_first(config: pytest.Config) -> Iterator[None]:
    """Let one of several processes collect alone, and the others find what it left.

    That is the bytecode of the tests, in which pytest has rewritten the asserts, and the data folder with the
    dbt project as it was parsed; each of the others takes a copy of the folder. Otherwise every process does
    all of it at the same moment, which was the larger part of collecting.
    """
    if not hasattr(config, "workerinput"):
        yield
        return
    home, shared = Path(os.environ[f"{ENV_PREFIX}HOME"]), Path(config.option.basetemp).parent
    left = shared / "collected"
    with (shared / "collecting.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not left.exists():
            yield
            home.mkdir(exist_ok=True)
            left.symlink_to(home)
            return
    shutil.copytree(left.resolve(), home, dirs_exist_ok=True)
    yield


def pytest_report_header(config: pytest.Config) -> str:
    return f"propdesk: seed {config.getoption('--seed')}; Hypothesis is derandomised (repeatable)"


@pytest.fixture(autouse=True)
def _log_of_its_own() -> None:
    """Let no test write to a log that one before it set up: its stream may be closed by now.

    The default draws every local variable of a traceback, which takes minutes where one is an application.
    """
    structlog.reset_defaults()
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """Seed of this session; printed in the header, set by --seed."""
    return int(pytestconfig.getoption("--seed"))


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """A generator that starts anew in each test."""
    return np.random.default_rng(seed)


@pytest.fixture(scope="session")
def servers() -> Iterator[ServerSet]:
    """PostgreSQL, Redis and (where it runs) MongoDB, in a home of this session's own."""
    # pytest's own temporary folders are private, so the servers' account could not enter them.
    folder = Path(tempfile.mkdtemp(prefix="propdesk-tests-"))
    folder.chmod(0o755)
    try:
        with ServerSet(Home(folder / "home"), postgres_options=_POSTGRES_OPTIONS) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def pg_template(servers: ServerSet) -> str:
    """Name of a database that is migrated to the newest schema; copies of it are made in an instant."""
    with psycopg.connect(servers.superuser_dsn, autocommit=True) as connection:
        create_database(connection, _TEMPLATE, OWNER)
    if importlib.util.find_spec("adapters.db.migrate") is not None:
        importlib.import_module("adapters.db.migrate").upgrade(servers.role_url(OWNER, _TEMPLATE))
    return _TEMPLATE


@pytest.fixture(scope="module")
def pg_database(servers: ServerSet, pg_template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Name of a fresh, migrated database of this test module."""
    stem = request.path.stem.removeprefix("test_")[:40]
    name = f"t{next(_numbers)}_{stem}"
    with psycopg.connect(servers.superuser_dsn, autocommit=True) as connection:
        create_database(connection, name, OWNER, template=pg_template)
    yield name
    with psycopg.connect(servers.superuser_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def pg_url(servers: ServerSet, pg_database: str) -> str:
    """SQLAlchemy URL (psycopg 3) of this module's database, as its owner."""
    return servers.role_url(OWNER, pg_database)


@pytest.fixture(scope="module")
def pg_role_urls(servers: ServerSet, pg_database: str) -> dict[str, str]:
    """URLs of this module's database by role: owner, pipeline, daemon, reader, access, notifier."""
    return {
        role: servers.role_url(f"propdesk_{role}", pg_database)
        for role in ("owner", "pipeline", "daemon", "reader", "access", "notifier")
    }


@pytest.fixture
def redis_url(servers: ServerSet) -> Iterator[str]:
    """URL of an empty Redis database."""
    import redis

    with redis.Redis.from_url(servers.redis_url) as client:
        client.flushall()
        yield servers.redis_url


@pytest.fixture(scope="session")
def mongo_url(servers: ServerSet) -> str:
    """URL of the replica set; use the fixture mongo_database with it."""
    if servers.mongo_url is None:
        pytest.skip(f"MongoDB cannot run here: {servers.mongo_obstacle}")
    return servers.mongo_url


@pytest.fixture
def mongo_database(mongo_url: str) -> Iterator[str]:
    """Name of a database that is empty, and dropped afterwards."""
    from pymongo import MongoClient

    name = f"t{next(_numbers)}"
    yield name
    with MongoClient(mongo_url) as client:
        client.drop_database(name)


@pytest.fixture
def settings(servers: ServerSet, pg_role_urls: dict[str, str], tmp_path: Path) -> Settings:
    """Settings of a system on the test's servers, with this module's database and a home below tmp_path."""
    return desk_settings(
        tmp_path / "home", pg_role_urls, redis_url=servers.redis_url, mongo_url=servers.mongo_url
    )
