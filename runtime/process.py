"""One child process: how it is described, started, recognised and ended."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Final, Literal

from propdesk.core.errors import PropdeskError
from runtime.account import Account

LOG_BYTES_MAX: Final = 20_000_000
"""A log larger than this is put aside at the next start; one old file is kept."""
_TAIL_BYTES: Final = 4_000
_POLL_S: Final = 0.05


class StartFault(PropdeskError):
    """A process did not come up; its text carries the end of its log."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to run and how to tell that it works.

    Parameters
    ----------
    name : str
        Unique in a supervisor; names the log file.
    argv : sequence of str
        Program and arguments.
    log_file : Path
        Takes standard output and error, appended.
    ready : callable
        Returns None once the process serves, else the reason why not yet; called again and again.
    env : mapping
        Added to our environment.
    drop_env : sequence of str
        Taken out of our environment.
    cwd : Path
        Working folder.
    restart : {"always", "on_failure", "never"}
        What the supervisor does when it ends.
    stop_signal : int
        Asks it to end.
    stop_grace_s : float
        Time it gets for that, s; then its whole group is killed.
    ready_timeout_s : float
        Time it gets to serve, s.
    account : Account, optional
        Under which account; ours by default.
    wave : int
        Processes of a higher wave are stopped first, those of one wave at the same time.
    """

    name: str
    argv: tuple[str, ...]
    log_file: Path
    ready: Callable[[], str | None]
    env: Mapping[str, str] = field(default_factory=dict)
    drop_env: tuple[str, ...] = ()
    cwd: Path = Path("/")
    restart: Literal["always", "on_failure", "never"] = "always"
    stop_signal: int = signal.SIGTERM
    stop_grace_s: float = 10.0
    ready_timeout_s: float = 60.0
    account: Account | None = None
    wave: int = 1


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid that cannot be confused with a later process of the same number.

    Parameters
    ----------
    pid : int
    start_ticks : int
        The kernel's start time of the process, in clock ticks since boot.
    boot_id : str
        Names the boot, since ticks start again with each.
    """

    pid: int
    start_ticks: int
    boot_id: str

    def alive(self) -> bool:
        """Tell whether exactly this process still runs (a zombie does not)."""
        return identify(self.pid) == self

    def send(self, number: int) -> bool:
        """Send a signal to exactly this process; False if it is gone."""
        if not self.alive():
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
        return True

    def end(self, number: int = signal.SIGTERM, *, grace_s: float = 10.0) -> bool:
        """Ask this process to end, then kill its group; returns False if it was gone already."""
        if not self.send(number):
            return False
        if not wait_until(lambda: not self.alive(), grace_s):
            _kill_group(self)
            wait_until(lambda: not self.alive(), 5.0)
        return True

    def as_json(self) -> dict[str, object]:
        """Give the shape kept in the state file."""
        return {"pid": self.pid, "start_ticks": self.start_ticks, "boot_id": self.boot_id}


def from_json(value: object) -> ProcessId | None:
    """Read what `ProcessId.as_json` gave; None for anything else."""
    if not isinstance(value, Mapping):
        return None
    try:
        return ProcessId(int(value["pid"]), int(value["start_ticks"]), str(value["boot_id"]))
    except (KeyError, TypeError, ValueError):
        return None


def identify(pid: int) -> ProcessId | None:
    """Identify a running process; None if there is none, or only its zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    if fields[0] in {"Z", "X"}:
        return None
    return ProcessId(pid, int(fields[19]), boot)


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for a condition, at most ``timeout_s`` seconds; returns whether it came true."""
    deadline = time.monotonic() + timeout_s
    pause = Event()
    while not condition():
        if time.monotonic() >= deadline:
            return condition()
        pause.wait(_POLL_S)
    return True


class Child:
    """A started process of ours.

    Parameters
    ----------
    spec : ProcessSpec
        What to run; started at once.

    Raises
    ------
    StartFault
        If the program cannot be executed at all.
    """

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self._asked = False
        self._popen = _spawn(spec)
        identity = identify(self._popen.pid)
        # A process that ended within a moment has no identity left; its pid stays ours until reaped.
        self.id = identity or ProcessId(self._popen.pid, -1, "")

    @property
    def exit_code(self) -> int | None:
        """Give the exit code once it has ended, else None; the rest of its group is killed then."""
        if self._popen.returncode is None and self._has_ended():
            _kill_group_of(self._popen.pid)
            self._popen.wait()
        return self._popen.returncode

    def _has_ended(self) -> bool:
        """Look without reaping: until then the group's number cannot become a stranger's."""
        try:
            return os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def wait_ready(self) -> None:
        """Wait until the process serves.

        Raises
        ------
        StartFault
            If it ended, or did not serve in time; it is stopped then.
        """
        reason = "it was never asked"
        deadline = time.monotonic() + self.spec.ready_timeout_s
        pause = Event()
        while True:
            if self.exit_code is not None:
                raise StartFault(
                    f"{self.spec.name} ended at once (exit code {self.exit_code}). {self._last_words()}"
                )
            said = self.spec.ready()
            if said is None:
                return
            reason = said
            if time.monotonic() >= deadline:
                self.stop()
                raise StartFault(
                    f"{self.spec.name} does not answer after {self.spec.ready_timeout_s:.0f} s ({reason}). "
                    + self._last_words()
                )
            pause.wait(_POLL_S)

    def ask_to_stop(self) -> None:
        """Send the stop signal once, without waiting."""
        if self.exit_code is None and not self._asked:
            self._asked = True
            with suppress(ProcessLookupError):
                os.kill(self._popen.pid, self.spec.stop_signal)

    def stop(self) -> None:
        """End the process and its group; returns when they are gone."""
        if self.exit_code is None:
            self.ask_to_stop()
            if not wait_until(lambda: self.exit_code is not None, self.spec.stop_grace_s):
                _kill_group_of(self._popen.pid)
                self._popen.wait()

    def _last_words(self) -> str:
        words = tail(self.spec.log_file)
        return (
            f"The end of {self.spec.log_file}: {words}"
            if words
            else f"Its log {self.spec.log_file} is empty."
        )


def tail(file: Path, lines: int = 6) -> str:
    """Give the last lines of a log as one line of text; empty if there are none."""
    try:
        with file.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return " | ".join(line.strip() for line in text.splitlines()[-lines:] if line.strip())


def _spawn(spec: ProcessSpec) -> subprocess.Popen[bytes]:
    account = spec.account
    argv, user = list(spec.argv), account.user() if account else None
    if setpriv := shutil.which("setpriv"):
        # The kernel signals the child when we are killed: no server outlives its supervisor. Innermost,
        # because a change of account takes the request back.
        name = signal.Signals(spec.stop_signal).name.removeprefix("SIG")
        argv = [setpriv, f"--pdeathsig={name}", "--", *argv]
    argv = account.command(argv) if account else argv
    env = {key: value for key, value in os.environ.items() if key not in spec.drop_env}
    _put_aside(spec.log_file)
    try:
        with spec.log_file.open("ab") as log:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**env, **spec.env},
                cwd=spec.cwd,
                user=user,
                group=None if user is None or account is None else account.gid,
                extra_groups=None if user is None else [],
                start_new_session=True,
            )
    except OSError as error:
        raise StartFault(f"{spec.name} cannot be started: {error}.") from error


def _put_aside(log: Path) -> None:
    with suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(log.suffix + ".1"))


def _kill_group(identity: ProcessId) -> None:
    """Kill the group that this process leads, if it still is that process."""
    if identity.alive():
        _kill_group_of(identity.pid)


def _kill_group_of(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
