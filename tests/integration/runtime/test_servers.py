"""The real servers: start, restart after a kill, ports, two homes, moved homes."""

import os
import shutil
import signal
import socket
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from adapters.settings import Settings, load_settings
from propdesk.core.errors import ConfigFault
from runtime.home import Home
from runtime.ports import LOOPBACK, PortBook
from runtime.process import identify, wait_until
from runtime.servers import NAMES, ServerSet, server_answers
from runtime.supervisor import end_left_behind, remembered

pytestmark = pytest.mark.integration
SMALL = {"shared_buffers": "16MB"}


@pytest.fixture
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="propdesk-servers-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def pids(servers: ServerSet) -> dict[str, int | None]:
    return {status.name: status.pid for status in servers.supervisor.status()}


def dsn(servers: ServerSet) -> str:
    return servers.postgres_url.replace("+psycopg", "")


def test_all_servers_answer_and_the_settings_find_them(
    servers: ServerSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPDESK_HOME", str(servers.home.path))
    settings = load_settings()
    assert settings.home == servers.home.path
    assert settings.database_url() == servers.postgres_url
    assert server_answers("postgres", settings) is None
    assert server_answers("redis", settings) is None
    assert settings.mongo_url is None or server_answers("mongo", settings) is None


def test_no_server_runs_as_root_or_listens_beyond_loopback(servers: ServerSet) -> None:
    for status in servers.supervisor.status():
        assert status.pid is not None
        lines = Path(f"/proc/{status.pid}/status").read_text().splitlines()
        uid = next(int(line.split()[1]) for line in lines if line.startswith("Uid:"))
        assert uid != 0 or os.geteuid() != 0
    listening = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        if Path(table).exists()
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]
    for port in PortBook(servers.home).known().values():
        addresses = [entry.split(":")[0] for entry in listening if int(entry.split(":")[1], 16) == port]
        assert addresses == ["0100007F"]


def test_postgres_is_version_18_in_utc_with_its_roles(servers: ServerSet) -> None:
    with psycopg.connect(dsn(servers)) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version_num')::int / 10000, current_setting('TimeZone'),"
            " (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'propdesk%' AND NOT rolsuper)"
        ).fetchone()
    assert row == (18, "UTC", 7)


def test_passwords_are_private_and_not_in_the_process_list(servers: ServerSet) -> None:
    home = servers.home
    assert (home.run.stat().st_mode & 0o777) == 0o700
    assert (home.env_file.stat().st_mode & 0o777) == 0o600
    password = servers.redis_url.split(":")[2].split("@")[0]
    for status in servers.supervisor.status():
        assert password not in Path(f"/proc/{status.pid}/cmdline").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_server_is_started_again_and_keeps_what_it_acknowledged(place: Path, name: str) -> None:
    with ServerSet(Home(place / "home"), postgres_options=SMALL) as servers:
        if name == "mongod" and servers.mongo_url is None:
            pytest.skip(f"MongoDB cannot run here: {servers.mongo_obstacle}")
        write(servers, name)
        old = pids(servers)[name]
        assert old is not None
        os.kill(old, signal.SIGKILL)
        assert wait_until(lambda: pids(servers)[name] not in (None, old), 20)
        assert wait_until(lambda: kept(servers, name), 20)
        status = next(s for s in servers.supervisor.status() if s.name == name)
        assert status.restarts >= 1


def write(servers: ServerSet, name: str) -> None:
    if name == "postgres":
        with psycopg.connect(dsn(servers)) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
    elif name == "redis":
        with redis.Redis.from_url(servers.redis_url) as client:
            client.set("kept", "42")
    else:
        with MongoClient(servers.mongo_url) as client:
            client.propdesk.signals.insert_one({"value": 42})


def kept(servers: ServerSet, name: str) -> bool:
    try:
        if name == "postgres":
            with psycopg.connect(dsn(servers)) as connection:
                return connection.execute("SELECT value FROM kept").fetchone() == (42,)
        if name == "redis":
            with redis.Redis.from_url(servers.redis_url) as client:
                return client.get("kept") == b"42"
        with MongoClient(servers.mongo_url, serverSelectionTimeoutMS=1000) as client:
            return client.propdesk.signals.count_documents({"value": 42}) == 1
    except (psycopg.OperationalError, redis.RedisError, PyMongoError):
        return False


def test_two_homes_run_side_by_side_and_stop_apart(place: Path) -> None:
    first = ServerSet(Home(place / "one"), postgres_options=SMALL)
    second = ServerSet(Home(place / "two"), postgres_options=SMALL)
    with first:
        with second:
            assert not set(PortBook(first.home).known().values()) & set(
                PortBook(second.home).known().values()
            )
            assert server_answers("postgres", settings_of(second)) is None
        assert server_answers("postgres", settings_of(first)) is None
        assert server_answers("postgres", settings_of(second)) is not None


def settings_of(servers: ServerSet) -> Settings:
    return Settings(_env_file=None, home=servers.home.path, postgres_url=servers.postgres_url)


def test_a_remembered_port_that_was_taken_is_exchanged_and_all_data_is_found_again(place: Path) -> None:
    home = Home(place / "home with spaces")
    with ServerSet(home, postgres_options=SMALL) as servers:
        write(servers, "postgres")
        if servers.mongo_url:
            write(servers, "mongod")
    before = PortBook(home).known()
    with Occupied(*before.values()), ServerSet(home, postgres_options=SMALL) as servers:
        assert not set(before.values()) & set(PortBook(home).known().values())
        assert kept(servers, "postgres")
        # the replica set knew itself by its old port
        assert servers.mongo_url is None or kept(servers, "mongod")


class Occupied:
    """Serve ports for the length of a with block; every connection is closed at once."""

    def __init__(self, *ports: int) -> None:
        self._ports = ports

    def __enter__(self) -> None:
        self._listeners = []
        for port in self._ports:
            listener = socketserver.TCPServer(
                (LOOPBACK, port), socketserver.BaseRequestHandler, bind_and_activate=False
            )
            listener.allow_reuse_address = True
            listener.server_bind()
            listener.server_activate()
            threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}).start()
            self._listeners.append(listener)

    def __exit__(self, *_: object) -> None:
        for listener in self._listeners:
            listener.shutdown()
            listener.server_close()


def test_a_pinned_port_that_is_taken_is_named_with_its_setting(place: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        settings = Settings(_env_file=None, home=place / "home", postgres_port=port)
        with pytest.raises(ConfigFault, match=rf"Port {port} for postgres is taken.*PROPDESK_POSTGRES_PORT"):
            ServerSet(Home(settings.home), settings).start()


def test_servers_of_a_vanished_supervisor_are_ended_by_the_next_start(place: Path) -> None:
    home = Home(place / "home")
    lost = ServerSet(home, postgres_options=SMALL)
    lost.start()
    try:
        left = remembered(home)
        assert set(left) >= {"postgres", "redis"}
        said: list[str] = []
        assert end_left_behind(home, ["redis"], report=said.append) == 1
        assert not left["redis"].alive()
        assert left["postgres"].alive()
        assert "redis" in said[0]
    finally:
        lost.stop()
    assert identify(left["postgres"].pid) != left["postgres"]
