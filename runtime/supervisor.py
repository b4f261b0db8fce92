"""Start, watch, restart and stop a set of processes."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from propdesk.core.errors import PropdeskError
from runtime.home import Home, read_json, write_json
from runtime.process import Child, ProcessId, ProcessSpec, StartFault, from_json, identify

Report = Callable[[str], None]

BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
STEADY_S: Final = 60.0
"""A process that ran this long starts again with the shortest backoff."""
RESTARTS_MAX: Final = 10
"""Restarts in a row before a process is given up: something is wrong that starting does not mend."""
_WATCH_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """What is known of one process.

    Parameters
    ----------
    name : str
    state : {"running", "restarting", "ended", "given_up"}
    pid : int or None
    restarts : int
        Since the supervisor started it.
    """

    name: str
    state: Literal["running", "restarting", "ended", "given_up"]
    pid: int | None
    restarts: int


class _Watched:
    """A child with its restart bookkeeping; guarded by the supervisor's lock."""

    def __init__(self, child: Child, now: float) -> None:
        self.child = child
        self.started = now
        self.restarts = 0
        self.in_a_row = 0
        self.retry_at: float | None = None
        self.given_up = False
        self.armed = False  # restarts begin once it has served

    def status(self) -> ProcessStatus:
        code = self.child.exit_code
        if self.given_up:
            state: Literal["running", "restarting", "ended", "given_up"] = "given_up"
        elif code is None:
            state = "running"
        else:
            state = "restarting" if self.retry_at is not None else "ended"
        pid = self.child.id.pid if code is None else None
        return ProcessStatus(self.child.spec.name, state, pid, self.restarts)


class Supervisor:
    """Keeps processes running for as long as it lives.

    Parameters
    ----------
    home : Home
        Where the state file lies; created already.
    report : callable
        Takes one sentence about what happens; called from the watching thread too.

    Notes
    -----
    Each process leads its own group, so that what it started ends with it. The state file names every process
    by pid, start time and boot, so that a later run can end what a killed one left behind and never signals a
    stranger. Backoff doubles from 0.5 s to 30 s.
    """

    def __init__(self, home: Home, report: Report = lambda _: None) -> None:
        self._home = home
        self._report = report
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, spec: ProcessSpec) -> None:
        """Start one process and wait until it serves.

        Raises
        ------
        StartFault
            If it does not come up; nothing of it runs then.
        """
        self.launch(spec)
        self.wait_ready(spec.name)

    def launch(self, spec: ProcessSpec) -> None:
        """Start one process without waiting; `wait_ready` must follow. A name is started once at a time."""
        with self._lock:
            if spec.name in self._watched:
                self.stop(spec.name)
            self._watched[spec.name] = _Watched(Child(spec), time.monotonic())
            self._remember()
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
            self._thread.start()

    def wait_ready(self, name: str) -> None:
        """Wait until a launched process serves; on a failure it is forgotten and `StartFault` raised."""
        with self._lock:
            watched = self._watched[name]
        try:
            watched.child.wait_ready()
        except StartFault:
            with self._lock:
                self._watched.pop(name, None)
                watched.child.stop()
                self._remember()
            raise
        watched.armed = True

    def stop(self, name: str) -> None:
        """End one process; one that is not known is no fault."""
        with self._lock:
            watched = self._watched.pop(name, None)
            if watched is not None:
                watched.child.stop()
                self._remember()

    def stop_all(self, *, keep: Iterable[str] = ()) -> None:
        """End every process, wave by wave (`ProcessSpec.wave`): servers last.

        Parameters
        ----------
        keep : iterable of str
            Names that go on.
        """
        kept = set(keep)
        with self._lock:
            going = [watched for name, watched in self._watched.items() if name not in kept]
            for wave in sorted({watched.child.spec.wave for watched in going}, reverse=True):
                members = [watched.child for watched in going if watched.child.spec.wave == wave]
                for child in members:
                    child.ask_to_stop()
                for child in reversed(members):
                    self.stop(child.spec.name)
        if not self._watched:
            self._over.set()
            if self._thread is not None and self._thread is not threading.current_thread():
                self._thread.join()
            self._thread = None
            self._over.clear()

    def status(self) -> list[ProcessStatus]:
        """List the processes in the order of their start."""
        with self._lock:
            return [watched.status() for watched in self._watched.values()]

    def note(self, key: str, value: object) -> None:
        """Keep one more fact in the state file, for other commands to read."""
        with self._lock:
            write_json(self._home.state_file, {**read_json(self._home.state_file), key: value})

    def _watch(self) -> None:
        while not self._over.wait(_WATCH_S):
            # A stop in progress holds the lock; waiting for it here would only delay its join.
            if not self._lock.acquire(timeout=_WATCH_S):
                continue
            try:
                for watched in list(self._watched.values()):
                    self._look_at(watched)
            finally:
                self._lock.release()

    def _look_at(self, watched: _Watched) -> None:
        spec, code, now = watched.child.spec, watched.child.exit_code, time.monotonic()
        if code is None or watched.given_up or not watched.armed:
            return
        if watched.retry_at is None:
            if spec.restart == "never" or (spec.restart == "on_failure" and code == 0):
                return
            self._plan_restart(watched, code, now)
        elif now >= watched.retry_at:
            self._restart(watched, now)

    def _plan_restart(self, watched: _Watched, code: int, now: float) -> None:
        name = watched.child.spec.name
        watched.in_a_row = 0 if now - watched.started > STEADY_S else watched.in_a_row
        if watched.in_a_row >= RESTARTS_MAX:
            watched.given_up = True
            self._report(
                f"{name} ended {RESTARTS_MAX} times in a row and is given up; "
                f"see {watched.child.spec.log_file}."
            )
            return
        wait = min(BACKOFF_FIRST_S * 2**watched.in_a_row, BACKOFF_MAX_S)
        watched.in_a_row += 1
        watched.retry_at = now + wait
        self._report(f"{name} ended unexpectedly (exit code {code}); it is started again in {wait:.1f} s.")

    def _restart(self, watched: _Watched, now: float) -> None:
        watched.retry_at = None
        watched.started = now
        try:
            watched.child = Child(watched.child.spec)
        except StartFault as fault:
            self._report(str(fault))
            return
        watched.restarts += 1
        self._remember()
        self._report(f"{watched.child.spec.name} runs again (restart {watched.restarts}).")

    def _remember(self) -> None:
        state = read_json(self._home.state_file)
        state["processes"] = {
            name: {**watched.child.id.as_json(), "stop_signal": int(watched.child.spec.stop_signal)}
            for name, watched in self._watched.items()
        }
        try:
            write_json(self._home.state_file, state)
        except OSError as error:
            # A full disk must not stop the watching; the file only serves the next start.
            self._report(f"The state file {self._home.state_file} cannot be written ({error.strerror}).")


def claim(home: Home, pid: int) -> None:
    """Note in the state file that process ``pid`` runs the system of this home."""
    identity = identify(pid)
    if identity is None:
        raise PropdeskError(f"Process {pid} does not run.")
    write_json(home.state_file, {**read_json(home.state_file), "up": identity.as_json(), "ready": False})


def claimant(home: Home) -> ProcessId | None:
    """Give the process that runs the system of this home, if it is alive."""
    identity = from_json(read_json(home.state_file).get("up"))
    return identity if identity is not None and identity.alive() else None


def remembered(home: Home) -> dict[str, ProcessId]:
    """Give the processes of the state file that still run, by name."""
    processes = read_json(home.state_file).get("processes")
    if not isinstance(processes, dict):
        return {}
    found = {name: from_json(value) for name, value in processes.items()}
    return {name: identity for name, identity in found.items() if identity is not None and identity.alive()}


def end_left_behind(
    home: Home, names: Iterable[str] | None = None, *, report: Report = lambda _: None
) -> int:
    """End processes that a killed supervisor of this home left behind.

    Parameters
    ----------
    home : Home
    names : iterable of str, optional
        Only these; all by default.
    report : callable
        Takes one sentence per process.

    Returns
    -------
    int
        How many were ended.
    """
    wanted = None if names is None else set(names)
    details = read_json(home.state_file).get("processes", {})
    ended = 0
    for name, identity in reversed(list(remembered(home).items())):
        if wanted is None or name in wanted:
            number = int(details[name].get("stop_signal", 15))
            ended += identity.end(number)
            report(f"{name} (pid {identity.pid}), left behind by an earlier run, was stopped.")
    return ended
