"""Programs as forks of one process that has imported everything.

What runs the nine steps imports for more than ten seconds of processor time (Dagster, dbt, Great
Expectations, pandas) and reads the dbt project for some more, and the tests start dozens of such programs.
One process of a session, shared by its workers, does both once. A program asked of it is a fork with the
environment, the folder and the streams of whoever asked, and sees none of our modules that read settings when
they are imported: it imports those itself.

``[*warm_python(), "-m", MODULE, ...]`` stands where ``[sys.executable, "-m", MODULE, ...]`` would: a small
program (`tests/support/warm_client.py`) waits for the fork, hands signals on and ends as it ends. If it is
killed, so is the fork. The process ends with the last of the workers.
"""

import atexit
import ctypes
import fcntl
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from adapters.settings import CLONE_ROOT, ENV_PREFIX, load_settings
from assets._shared.dbt_runner import DbtRunner

LEASE: Final = b"lease"
"""What a worker says that will ask for programs; anything else is a program."""
_CLIENT: Final = Path(__file__).with_name("warm_client.py")
_READ_SETTINGS: Final = ("assets", "orchestration")
"""Packages of ours that read settings when they are imported."""
_STREAMS: Final = 3
_REQUEST_MAX: Final = 1 << 20
_PR_SET_PDEATHSIG: Final = 1
_leases: Final[list[socket.socket]] = []


def warm_python() -> tuple[str, ...]:
    """Give the words that stand for the interpreter; the process behind them is started if there is none."""
    folder = _folder()
    if not _leases:
        folder.mkdir(mode=0o700, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lease = _connect(folder) or _start(folder)
            lease.sendall(LEASE)
            _leases.append(lease)
            atexit.register(lease.close)
    return sys.executable, "-I", "-S", str(_CLIENT), str(folder / "socket")


def _folder() -> Path:
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    return Path(tempfile.gettempdir()) / f"propdesk-warm-{session}"


def _connect(folder: Path) -> socket.socket | None:
    found = socket.socket(socket.AF_UNIX)
    try:
        found.connect(str(folder / "socket"))
    except OSError:
        found.close()
        return None
    return found


def _start(folder: Path) -> socket.socket:
    """Start the process. Its socket listens already: whoever asks before it is ready waits in the queue."""
    (folder / "socket").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener, (folder / "log").open("ab") as log:
        listener.bind(str(folder / "socket"))
        listener.listen(128)
        ours = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        home = {f"{ENV_PREFIX}HOME": str(folder / "home"), f"{ENV_PREFIX}LOG_LEVEL": "error"}
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm", str(listener.fileno()), str(folder)],
            cwd=CLONE_ROOT, env={**ours, **home, "DAGSTER_HOME": ""}, pass_fds=(listener.fileno(),),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    lease = _connect(folder)
    assert lease is not None, (folder / "log").read_text(encoding="utf-8")
    return lease


# ----------------------------------------------------------------------------------------- the process itself


def import_everything() -> None:
    """Import what runs need, then forget our own modules that have read the settings of nobody."""
    for name in ("cli.main", "orchestration.preload", "trading_daemon.main"):
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] in _READ_SETTINGS]:
        del sys.modules[name]


class _Server:
    """Forks a program per connection and tells its end there.

    Parameters
    ----------
    listener : socket
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._leases: set[socket.socket] = set()
        self._forks: dict[socket.socket, int] = {}

    def serve(self) -> dict[str, Any] | None:
        """Serve until the last lease is given back; in a fork, give what it has to run."""
        while True:
            for key, _ in self._selector.select():
                request = key.data(key.fileobj)
                if request is not None:
                    return dict(request)
            if not self._leases and not self._forks and not self._is_asked():
                return None

    def _is_asked(self) -> bool:
        with selectors.DefaultSelector() as one:
            one.register(self._listener, selectors.EVENT_READ)
            return bool(one.select(0))

    def _accept(self, listener: socket.socket) -> dict[str, Any] | None:
        connection, _ = listener.accept()
        data, streams, _, _ = socket.recv_fds(connection, _REQUEST_MAX, _STREAMS)
        if data == LEASE:
            self._leases.add(connection)
            self._selector.register(connection, selectors.EVENT_READ, self._give_back)
            return None
        while data and not data.endswith(b"\n"):
            data += connection.recv(_REQUEST_MAX)
        if not data:  # whoever asked has been killed
            connection.close()
            return None
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            self._become_a_fork(parent, connection, streams)
            return dict(json.loads(data))
        for stream in streams:
            os.close(stream)
        self._forks[connection] = pid
        self._selector.register(connection, selectors.EVENT_READ, self._hand_on)
        self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, self._tell_end)
        return None

    def _become_a_fork(self, parent: int, connection: socket.socket, streams: list[int]) -> None:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        for key in list(self._selector.get_map().values()):
            number = key.fd
            os.close(number)
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.detach()
        connection.close()
        self._selector.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _give_back(self, lease: socket.socket) -> None:
        self._drop(lease)
        self._leases.discard(lease)

    def _hand_on(self, connection: socket.socket) -> None:
        """Hand a signal on; one that asked and is gone takes its fork along."""
        try:
            said = connection.recv(1)
        except OSError:
            said = b""
        os.kill(self._forks[connection], said[0] if said else signal.SIGKILL)
        if not said:
            self._selector.unregister(connection)

    def _tell_end(self, pidfd: int) -> None:
        self._selector.unregister(pidfd)
        found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
        assert found is not None
        connection = next(one for one, pid in self._forks.items() if pid == found.si_pid)
        code = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        with suppress(OSError):  # whoever asked may be gone
            connection.sendall(f"{code}\n".encode())
        self._drop(connection)
        del self._forks[connection]

    def _drop(self, connection: socket.socket) -> None:
        with suppress(KeyError):
            self._selector.unregister(connection)
        connection.close()


def run(request: dict[str, Any]) -> None:
    """Be the program that was asked for, in a fork."""
    project = DbtRunner(load_settings(runtime=False))
    module, *words = request["words"]
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    # A command meets its data folder as it is.
    if module.startswith("tests.") and (home := os.environ.get(f"{ENV_PREFIX}HOME")):
        project.lend(Path(home))
    sys.path[:1] = [request["folder"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [module, *words]
    sys.modules.pop(module, None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def main() -> int:
    """Import everything, then fork programs until nobody may ask for one any more."""
    listener, folder = socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])
    import_everything()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    request = _Server(listener).serve()
    if request is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        run(request)
    return 0


if __name__ == "__main__":
    sys.exit(main())
