"""Under which account the embedded servers run: PostgreSQL refuses uid 0, and none of them needs it."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from propdesk.core.errors import ConfigFault

_PROBE_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Account:
    """How a server process gets its identity.

    Parameters
    ----------
    kind : {"self", "nobody", "namespace"}
        Our own account; the unprivileged account ``nobody``; or a user namespace, in which our uid 0 is seen
        as another number (no file mode has to change, but containers often bar it).
    uid, gid : int
        Owner of the servers' data, as the file system sees it.
    """

    kind: Literal["self", "nobody", "namespace"]
    uid: int
    gid: int

    def command(self, argv: Sequence[str]) -> list[str]:
        """Give the words that start ``argv`` under this account."""
        if self.kind == "namespace":
            return ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--", *argv]
        return list(argv)

    def user(self) -> int | None:
        """Give the uid to switch to before the start, or None."""
        return self.uid if self.kind == "nobody" else None

    def run(
        self, argv: Sequence[str], env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a short command under this account and return its output; never raises on a failure."""
        user = self.user()
        try:
            return subprocess.run(
                self.command(argv),
                env={**os.environ, **(env or {})},
                cwd="/",
                user=user,
                group=None if user is None else self.gid,
                extra_groups=None if user is None else [],
                capture_output=True,
                text=True,
                timeout=_PROBE_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return subprocess.CompletedProcess(list(argv), 126, "", str(error))

    def own(self, folder: Path) -> None:
        """Make ``folder`` (one of ours) private to this account, with all that is in it."""
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        if os.geteuid() != 0 or folder.stat().st_uid == self.uid:
            return
        for root, folders, files in os.walk(folder):
            for name in [".", *folders, *files]:
                os.chown(Path(root) / name, self.uid, self.gid, follow_symlinks=False)

    def give(self, file: Path) -> None:
        """Hand one file that we wrote to this account."""
        if os.geteuid() == 0:
            os.chown(file, self.uid, self.gid)


def choose_account(servers: Path) -> Account:
    """Choose the account for servers whose data lies in ``servers``.

    Parameters
    ----------
    servers : Path
        An existing folder; the account must be able to reach it.

    Returns
    -------
    Account
        Our own unless we are root; then ``nobody`` where it can reach the folder, else a user namespace.

    Raises
    ------
    ConfigFault
        If we are root and neither way works.
    """
    if os.geteuid() != 0:
        return Account("self", os.geteuid(), os.getegid())
    return choose_for_root(servers)


def choose_for_root(servers: Path) -> Account:
    """Choose between ``nobody`` and a user namespace; see `choose_account`."""
    try:
        entry = pwd.getpwnam("nobody")
        nobody = Account("nobody", entry.pw_uid, entry.pw_gid)
    except KeyError:
        nobody = Account("nobody", 65_534, 65_534)
    if nobody.run(["test", "-x", str(servers)]).returncode == 0:
        return nobody
    namespace = Account("namespace", 0, 0)
    if shutil.which("unshare") and namespace.run(["test", "-x", str(servers)]).returncode == 0:
        return namespace
    raise ConfigFault(
        f"PostgreSQL does not run as root, and the account nobody cannot reach {servers}: "
        "set PROPDESK_HOME to a folder that every account may enter, or start as another user."
    )
