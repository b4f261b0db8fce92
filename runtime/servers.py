"""The three embedded servers of one home: PostgreSQL, Redis and, where it can run, MongoDB."""

import secrets
import signal
import socket
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self

import psycopg
from psycopg import sql
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from adapters.settings import ENV_PREFIX, Settings
from propdesk.core.errors import ConfigFault, PropdeskError
from runtime.account import Account, choose_account
from runtime.binaries import Binary, BinaryMissing, find_mongod, find_postgres, find_redis
from runtime.home import Home, read_json, write_json, write_private
from runtime.ports import LOOPBACK, PortBook, is_free
from runtime.process import ProcessSpec, StartFault
from runtime.supervisor import Report, Supervisor, end_left_behind

DATABASE: Final = "propdesk"
DAGSTER_DATABASE: Final = "propdesk_dagster"
SUPERUSER: Final = "postgres"
OWNER: Final = "propdesk_owner"
ROLES: Final = (
    OWNER,
    "propdesk_pipeline",
    "propdesk_daemon",
    "propdesk_reader",
    "propdesk_access",
    "propdesk_notifier",
)
"""Made here with a password each; what they may do is granted by the migrations."""
DAGSTER_ROLE: Final = "propdesk_dagster"
REPLICA_SET: Final = "rs0"
API_SECRET: Final = "api_secret"  # noqa: S105 - a name
"""The key by which the API signs its tokens; kept with the passwords, so that a restart ends no session."""
NAMES: Final = ("postgres", "redis", "mongod")

_SECRET_BYTES: Final = 32
_PORT_TRIES: Final = 3
_CONNECT_TIMEOUT_S: Final = 3
_POSTGRES_OPTIONS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "synchronous_commit": "on",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "1GB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # What a step has written is read by the next one: cleaning up after it can wait until the run is over.
    "autovacuum_naptime": "5min",
    "huge_pages": "off",
    "jit": "off",  # compiling costs more than it saves on queries of this size
    # A sum of floats depends on the order of its terms: with parallel workers re-runs would differ.
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "password_encryption": "scram-sha-256",
}


class ServerSet:
    """Start and stop the servers of one home.

    Parameters
    ----------
    home : Home
        Its folders are made on `start`.
    settings : Settings, optional
        What a person set (``load_settings(runtime=False)``): pinned ports, and addresses of servers that run
        elsewhere, which are not started then. A test may leave it out.
    supervisor : Supervisor, optional
        Watches the servers; one of its own by default.
    report : callable
        Takes one sentence per step.
    postgres_options : mapping, optional
        Wins over the built-in ``-c`` options.

    Notes
    -----
    A context manager. All servers listen on the loopback interface only. MongoDB is left out, with the reason
    in `mongo_obstacle`, where its program cannot run.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings | None = None,
        *,
        supervisor: Supervisor | None = None,
        report: Report = lambda _: None,
        postgres_options: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.supervisor = supervisor or Supervisor(home, report)
        self.mongo_obstacle: str | None = None
        self.versions: dict[str, str] = {}
        self._settings = settings
        self._report = report
        self._options = {**_POSTGRES_OPTIONS, **(postgres_options or {})}
        self._ports: dict[str, int] = {}
        self._passwords: dict[str, str] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start what is not running, wait until all answer, and write the addresses to ``runtime.env``.

        Raises
        ------
        ConfigFault
            If the home cannot be written, a pinned port is taken or a binary is missing.
        StartFault
            If a server does not come up; the others are stopped.
        """
        self.home.create()
        end_left_behind(self.home, NAMES, report=self._report)
        account = choose_account(self.home.servers)
        book = PortBook(self.home)
        self._passwords = self._load_passwords()
        try:
            for kind, start in (
                ("postgres_url", self._start_postgres),
                ("redis_url", self._start_redis),
                ("mongo_url", self._start_mongod),
            ):
                if self._settings is None or getattr(self._settings, kind) is None:
                    start(account, book)
                else:
                    self._report(f"{ENV_PREFIX}{kind.upper()} is set: that server is used, none is started.")
        except (PropdeskError, psycopg.Error, PyMongoError):
            self.stop()
            raise
        write_private(self.home.env_file, self._runtime_env())

    def stop(self) -> None:
        """Stop the three servers, the last started first."""
        for name in reversed(NAMES):
            self.supervisor.stop(name)
        if not self.supervisor.status():
            self.supervisor.stop_all()

    def role_url(self, role: str, database: str = DATABASE) -> str:
        """Give the SQLAlchemy URL of one database role, with its password."""
        return f"postgresql+psycopg://{self._login(role)}/{database}"

    @property
    def postgres_url(self) -> str:
        """URL of the database ``propdesk`` as its owner."""
        return self.role_url(OWNER)

    @property
    def superuser_dsn(self) -> str:
        """Connection string of the superuser for psycopg; for the runtime and the tests only."""
        return f"postgresql://{self._login(SUPERUSER)}/postgres"

    @property
    def redis_url(self) -> str:
        """URL of database 0."""
        return f"redis://:{self._passwords['redis']}@{LOOPBACK}:{self._ports['redis']}/0"

    @property
    def mongo_url(self) -> str | None:
        """URL of the replica set, or None where MongoDB is left out."""
        port = self._ports.get("mongod")
        return f"mongodb://{LOOPBACK}:{port}/?replicaSet={REPLICA_SET}" if port else None

    def _login(self, role: str) -> str:
        return f"{role}:{self._passwords[role]}@{LOOPBACK}:{self._ports['postgres']}"

    def _load_passwords(self) -> dict[str, str]:
        file = self.home.run / "passwords.json"
        known = {name: str(value) for name, value in read_json(file).items()}
        wanted = (SUPERUSER, *ROLES, DAGSTER_ROLE, "redis", API_SECRET)
        complete = {name: known.get(name) or secrets.token_hex(_SECRET_BYTES) for name in wanted}
        if complete != known:
            write_json(file, complete)
        return complete

    def _runtime_env(self) -> str:
        values: dict[str, str] = {}
        if "postgres" in self._ports:
            dagster = f"postgresql+psycopg2://{self._login(DAGSTER_ROLE)}/{DAGSTER_DATABASE}"
            values |= {
                "POSTGRES_URL": self.postgres_url,
                "POSTGRES_PIPELINE_URL": self.role_url("propdesk_pipeline"),
                "POSTGRES_DAEMON_URL": self.role_url("propdesk_daemon"),
                "POSTGRES_READER_URL": self.role_url("propdesk_reader"),
                "POSTGRES_ACCESS_URL": self.role_url("propdesk_access"),
                "POSTGRES_NOTIFIER_URL": self.role_url("propdesk_notifier"),
                "DAGSTER_POSTGRES_URL": dagster,
            }
        if "redis" in self._ports:
            values["REDIS_URL"] = self.redis_url
        values["API_SECRET"] = self._passwords[API_SECRET]
        if self.mongo_url:
            values["MONGO_URL"] = self.mongo_url
        lines = [f"{ENV_PREFIX}{name}={value}" for name, value in values.items()]
        return "# Written at each start; a .env in the clone wins over it.\n" + "\n".join(lines) + "\n"

    def _bring_up(self, name: str, book: PortBook, variable: str, make: Callable[[int], ProcessSpec]) -> None:
        """Start one server on a free port; if another program took the port meanwhile, on another one."""
        pinned = int(getattr(self._settings, variable)) if self._settings else 0
        avoid = 0
        for attempt in range(_PORT_TRIES):
            port = book.take(name, pinned, f"{ENV_PREFIX}{variable.upper()}", avoid=avoid)
            self._ports[name] = port
            try:
                self.supervisor.start(make(port))
            except StartFault:
                if is_free(port) or attempt == _PORT_TRIES - 1:
                    self._ports.pop(name)
                    raise
                avoid = port
            else:
                self._report(f"{self.versions[name]} answers on {LOOPBACK}:{port}.")
                return

    # --- PostgreSQL ---------------------------------------------------------------------------------------

    def _start_postgres(self, account: Account, book: PortBook) -> None:
        binary = find_postgres(self.home, account)
        self.versions["postgres"] = binary.version
        folder = self.home.servers / "postgres"
        account.own(folder)
        data = folder / "data"
        if not (data / "PG_VERSION").exists():
            self._initialise_postgres(binary, account)
        options = [word for key, value in self._options.items() for word in ("-c", f"{key}={value}")]

        def make(port: int) -> ProcessSpec:
            return ProcessSpec(
                name="postgres",
                argv=(binary.path("postgres"), "-D", str(data), "-p", str(port), *options),
                log_file=self.home.logs / "postgres.log",
                ready=self._postgres_ready,
                env=binary.env,
                stop_signal=signal.SIGINT,  # "fast": does not wait for clients to leave
                stop_grace_s=30.0,
                account=account,
                wave=0,
                drop_env=("PGDATA", "PGPORT", "PGOPTIONS"),
            )

        self._bring_up("postgres", book, "postgres_port", make)
        self._ensure_roles()

    def _initialise_postgres(self, binary: Binary, account: Account) -> None:
        folder = self.home.servers / "postgres"
        # A first start that was interrupted leaves a half-made folder, which initdb refuses.
        fresh = folder / "fresh"
        account.run(["rm", "-rf", str(fresh)])
        password = folder / "password"
        write_private(password, self._passwords[SUPERUSER])
        account.own(folder)
        account.give(password)
        done = account.run(
            [
                *(binary.path("initdb"), "-D", str(fresh), "-U", SUPERUSER, f"--pwfile={password}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums"),
            ],
            binary.env,
        )
        password.unlink()
        if done.returncode != 0:
            raise StartFault(
                f"PostgreSQL's data folder cannot be made: {(done.stderr or done.stdout).strip()}"
            )
        moved = account.run(["mv", str(fresh), str(folder / "data")])
        if moved.returncode != 0:
            raise StartFault(f"PostgreSQL's data folder cannot be put in place: {moved.stderr.strip()}")

    def _postgres_ready(self) -> str | None:
        try:
            with psycopg.connect(self.superuser_dsn, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                return "another PostgreSQL, or one of another home, answers on this port"
            return str(error).strip().splitlines()[-1]
        return None

    def _ensure_roles(self) -> None:
        with psycopg.connect(self.superuser_dsn, autocommit=True) as connection:
            for role in (*ROLES, DAGSTER_ROLE):
                known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
                verb = sql.SQL("ALTER ROLE" if known else "CREATE ROLE")
                # scratch databases (`propdesk lookahead`) are made by the owner
                more = sql.SQL("CREATEDB" if role == OWNER else "NOCREATEDB")
                connection.execute(
                    sql.SQL("{} {} LOGIN {} PASSWORD {}").format(
                        verb, sql.Identifier(role), more, sql.Literal(self._passwords[role])
                    )
                )
            for database, owner in ((DATABASE, OWNER), (DAGSTER_DATABASE, DAGSTER_ROLE)):
                create_database(connection, database, owner)

    # --- Redis --------------------------------------------------------------------------------------------

    def _start_redis(self, account: Account, book: PortBook) -> None:
        binary = find_redis(self.home, account)
        self.versions["redis"] = binary.version
        folder = self.home.servers / "redis"
        account.own(folder)

        def make(port: int) -> ProcessSpec:
            config = folder / "redis.conf"
            # In a file, because other accounts can read the words of a command.
            write_private(config, self._redis_config(port))
            account.give(config)
            return ProcessSpec(
                name="redis",
                argv=(binary.path("redis-server"), str(config)),
                log_file=self.home.logs / "redis.log",
                ready=self._redis_ready,
                cwd=self.home.path,
                account=account,
                wave=0,
            )

        self._bring_up("redis", book, "redis_port", make)

    def _redis_config(self, port: int) -> str:
        lines = [
            f"bind {LOOPBACK}",
            f"port {port}",
            f'dir "{self.home.servers / "redis"}"',
            f"requirepass {self._passwords['redis']}",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "daemonize no",
            'logfile ""',
        ]
        return "\n".join(lines) + "\n"

    def _redis_ready(self) -> str | None:
        words = f"AUTH {self._passwords['redis']}\r\nPING\r\n".encode()
        address = (LOOPBACK, self._ports["redis"])
        try:
            with socket.create_connection(address, timeout=_CONNECT_TIMEOUT_S) as connection:
                connection.sendall(words)
                answer = b""
                while answer.count(b"\r\n") < 2:
                    part = connection.recv(256)
                    if not part:
                        break
                    answer += part
        except OSError as error:
            return str(error)
        return (
            None
            if answer == b"+OK\r\n+PONG\r\n"
            else f"it answered {answer.decode(errors='replace').strip()}"
        )

    # --- MongoDB ------------------------------------------------------------------------------------------

    def _start_mongod(self, account: Account, book: PortBook) -> None:
        try:
            binary = find_mongod(self.home, account)
        except BinaryMissing as missing:
            self.mongo_obstacle = str(missing)
            self._report(str(missing))
            return
        self.versions["mongod"] = "MongoDB " + binary.version.removeprefix("db version v")
        folder = self.home.servers / "mongod"
        account.own(folder)

        def make(port: int) -> ProcessSpec:
            return ProcessSpec(
                name="mongod",
                argv=(
                    *(binary.path("mongod"), "--dbpath", str(folder), "--port", str(port)),
                    *("--bind_ip", LOOPBACK, "--replSet", REPLICA_SET, "--nounixsocket", "--quiet"),
                    *("--oplogSize", "128", "--wiredTigerCacheSizeGB", "0.25"),
                    *("--setParameter", "diagnosticDataCollectionEnabled=false"),
                ),
                log_file=self.home.logs / "mongod.log",
                ready=self._mongod_ready,
                env=binary.env,
                stop_grace_s=20.0,
                account=account,
                wave=0,
            )

        self._bring_up("mongod", book, "mongo_port", make)

    def _mongod_ready(self) -> str | None:
        """Look for a primary; found a replica set that is new, or lives on another port now."""
        port = self._ports["mongod"]
        host = f"{LOOPBACK}:{port}"
        limit = _CONNECT_TIMEOUT_S * 1000
        client: MongoClient[dict[str, Any]] = MongoClient(
            LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=limit, connectTimeoutMS=limit
        )
        with client:
            try:
                hello = client.admin.command("hello")
                if hello.get("isWritablePrimary"):
                    return None
                member = {"_id": 0, "host": host}
                config = client.local["system.replset"].find_one()
                if config is None:
                    client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
                elif config["members"][0]["host"] != host:
                    moved = {**config, "version": config["version"] + 1, "members": [member]}
                    client.admin.command("replSetReconfig", moved, force=True)
            except PyMongoError as error:
                return str(error).splitlines()[0][:200]
        return "it is not yet the primary of its replica set"


def create_database(
    connection: psycopg.Connection[Any], name: str, owner: str, template: str = "template0"
) -> bool:
    """Create a database unless it exists; returns whether it was made.

    Parameters
    ----------
    connection : psycopg.Connection
        Of the superuser, in autocommit.
    name, owner : str
    template : str
        Database to copy; nobody may be connected to it.
    """
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
        return False
    statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
    connection.execute(
        statement.format(sql.Identifier(name), sql.Identifier(owner), sql.Identifier(template))
    )
    return True


def server_answers(kind: Literal["postgres", "redis", "mongo"], settings: Settings) -> str | None:
    """Ask a configured server for a sign of life.

    Parameters
    ----------
    kind : {"postgres", "redis", "mongo"}
    settings : Settings
        Tells the address, embedded or not.

    Returns
    -------
    str or None
        None if it answers, else the reason in words.
    """
    try:
        if kind == "postgres":
            _ask_postgres(settings.database_url())
        elif kind == "redis":
            _ask_redis(settings.redis_dsn())
        else:
            _ask_mongo(settings.mongo_dsn())
    except ConfigFault as fault:
        return str(fault)
    except Exception as error:
        # Whatever a client library raises here means the same to the person who asked.
        return str(error).strip().splitlines()[-1][:200] if str(error).strip() else type(error).__name__
    return None


def _ask_postgres(url: str) -> None:
    dsn = url.replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(dsn, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
        connection.execute("SELECT 1")


def _ask_redis(url: str) -> None:
    import redis  # heavy; only `status` and `doctor` ask

    with redis.Redis.from_url(
        url, socket_connect_timeout=_CONNECT_TIMEOUT_S, socket_timeout=_CONNECT_TIMEOUT_S
    ) as client:
        client.ping()


def _ask_mongo(url: str) -> None:
    client: MongoClient[dict[str, Any]] = MongoClient(url, serverSelectionTimeoutMS=_CONNECT_TIMEOUT_S * 1000)
    with client:
        client.admin.command("ping")
