"""The data folder of one clone: where it lies, what is in it, and who holds it."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.settings import RUNTIME_ENV_NAME
from propdesk.core.errors import ConfigFault

_REMEDY = "set PROPDESK_HOME to a folder that you may write to"


@dataclass(frozen=True, slots=True)
class Home:
    """The folders below one data folder.

    Parameters
    ----------
    path : Path
        Absolute path of the data folder (`Settings.home`).
    """

    path: Path

    @property
    def run(self) -> Path:
        """Private state: ports, passwords, process ids."""
        return self.path / "run"

    @property
    def logs(self) -> Path:
        """One log file per process."""
        return self.path / "logs"

    @property
    def servers(self) -> Path:
        """Data folders of the embedded servers."""
        return self.path / "servers"

    @property
    def binaries(self) -> Path:
        """Copies of server binaries, where the environment's own cannot be used."""
        return self.path / "binaries"

    @property
    def env_file(self) -> Path:
        """Addresses and ports of the running servers, as settings."""
        return self.path / RUNTIME_ENV_NAME

    @property
    def state_file(self) -> Path:
        """Which processes were started, by pid and start time."""
        return self.run / "state.json"

    def create(self) -> None:
        """Make the folders that are missing; a folder that exists keeps its mode.

        Raises
        ------
        ConfigFault
            If the folder cannot be made or written.
        """
        try:
            for folder in reversed([self.path, *self.path.parents]):
                _make(folder, 0o755)
            _make(self.run, 0o700)
            for folder in (self.logs, self.servers, self.binaries):
                _make(folder, 0o755)
            with tempfile.TemporaryFile(dir=self.run):
                pass
        except OSError as error:
            raise ConfigFault(
                f"The data folder {self.path} cannot be written ({error.strerror}): {_REMEDY}."
            ) from error

    @contextmanager
    def lock(self, name: str) -> Iterator[bool]:
        """Hold a lock file for as long as the block runs; yields False when another process holds it.

        Notes
        -----
        The kernel drops the lock with its holder, so a killed process never leaves one behind.
        """
        fd = os.open(self.run / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(fd)


def _make(folder: Path, mode: int) -> None:
    """Make one folder with exactly ``mode`` (the umask might be stricter); an existing one is left alone."""
    try:
        folder.mkdir(mode=mode)
    except FileExistsError:
        return
    folder.chmod(mode)


def write_private(file: Path, text: str) -> None:
    """Replace a file at once, readable by its owner only."""
    fd, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(file)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_json(file: Path) -> dict[str, Any]:
    """Read a state file of ours; a missing or torn one counts as empty, since it only remembers choices."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_json(file: Path, value: Mapping[str, object]) -> None:
    """Replace a state file at once, readable by its owner only."""
    write_private(file, json.dumps(value, indent=2, sort_keys=True) + "\n")
