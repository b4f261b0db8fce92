#!/usr/bin/env python3
"""The one entrance: prepare this clone's environment, then hand the words over to the command line.

    python3 run.py up          set up, start everything, run the main job, stay up
    python3 run.py test        set up, run the whole test suite
    python3 run.py WORDS...    any other command; --help lists them

Standard library only, because nothing else is there on a fresh machine. What is made: ``.boot`` (a small
environment that holds the installer) and ``.venv`` (the project's own, from the lock files). Both can be
deleted at any time.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older Python must read this far to be told
    sys.exit(
        "propdesk needs Python 3.11 or newer, this is "
        + ".".join(str(part) for part in sys.version_info[:3])
        + ": install python3.11 (Debian 12: apt install python3 python3-venv) and run it with that."
    )

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
LOCKS = ROOT / "locks"
BOOT = ROOT / ".boot"
VENV = ROOT / ".venv"
STAMP = VENV / ".propdesk-locks.json"
PYTHON = VENV / "bin" / "python"
FREE_BYTES_MIN = 3_000_000_000
"""The environment takes 1.4 GB, its download as much again for a moment."""

QUIET = {
    # No library reports home.
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    # A range run records thousands of events: one by one they take most of its time.
    "DAGSTER_EVENT_BATCH_SIZE": "1000",
    "PYTHONUNBUFFERED": "1",
}


class SetupFault(Exception):
    """The environment cannot be prepared; the text says why and what to do."""


def main(words: list[str]) -> None:
    """Prepare the environment and become the command line."""
    extras = ["base", "embedded"]
    obstacle = mongod_obstacle()
    if obstacle is None:
        extras.append("mongod")
    if words[:1] == ["test"]:
        extras.append("dev")
    prepare(extras, obstacle)
    env = {**os.environ, **QUIET}
    env["PATH"] = os.pathsep.join([str(VENV / "bin"), env.get("PATH", os.defpath)])
    env["VIRTUAL_ENV"] = str(VENV)
    for name in ("PYTHONHOME", "PYTHONPATH"):
        env.pop(name, None)
    sys.stdout.flush()
    # -P: a folder named cli where the command is called must not be taken for ours
    os.execve(  # noqa: S606 - our own interpreter, a list of words, no shell
        PYTHON, [str(PYTHON), "-P", "-m", "cli", *words], env
    )


def prepare(extras: list[str], obstacle: str | None) -> None:
    """Bring ``.venv`` to what the lock files say; quick when nothing changed."""
    wanted = {extra: fingerprint(LOCKS / f"{extra}.txt") for extra in extras}
    if is_current(wanted):
        return
    with only_one():
        if is_current(wanted):
            return  # another run finished the same work while we waited
        begun = time.monotonic()
        require_room()
        uv = boot()
        # extras that a former run added stay, so that `up` and `test` do not undo each other's work
        for extra in installed():
            if (LOCKS / f"{extra}.txt").is_file():
                wanted.setdefault(extra, fingerprint(LOCKS / f"{extra}.txt"))
        if obstacle:
            say(f"MongoDB is left out: {obstacle}; signals then come by upload only.")
        install(uv, wanted)
        say(f"The environment is ready after {time.monotonic() - begun:.0f} s.")


def fingerprint(file: Path) -> str:
    """Give the sha256 of a lock file."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise SetupFault(
            f"The lock file {file} cannot be read ({error.strerror}): the clone is not complete."
        ) from None


def installed() -> dict[str, str]:
    """Read which lock files ``.venv`` was made from; empty if it was never finished."""
    try:
        value = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def is_current(wanted: dict[str, str]) -> bool:
    """Tell whether ``.venv`` holds what is wanted."""
    present = installed()
    return PYTHON.exists() and all(present.get(extra) == digest for extra, digest in wanted.items())


def mongod_obstacle() -> str | None:
    """Say in words why MongoDB's program cannot run on this machine, or None."""
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in ("x86_64", "aarch64"):
        return f"there is no program of it for {platform.system()} on {machine}"
    if machine == "x86_64":
        with contextlib.suppress(OSError):
            if "avx" not in Path("/proc/cpuinfo").read_text(encoding="utf-8").split():
                return "this processor has no AVX instructions"
    return None


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Let one run at a time change the environments; the kernel frees the lock of a killed one."""
    try:
        BOOT.mkdir(exist_ok=True)
        lock = (BOOT / "lock").open("w")
    except OSError as error:
        raise SetupFault(
            f"{BOOT} cannot be written ({error.strerror}): clone into a folder that you may write to."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another run prepares this clone; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def require_room() -> None:
    """Refuse to begin an installation that the disk cannot hold."""
    free = shutil.disk_usage(ROOT).free
    if not PYTHON.exists() and free < FREE_BYTES_MIN:
        raise SetupFault(
            f"Only {free / 1e9:.1f} GB are free below {ROOT}, the environment needs "
            f"{FREE_BYTES_MIN / 1e9:.0f} GB: free some space, or clone elsewhere."
        )


def boot() -> Path:
    """Make the small environment that holds uv, pinned by hash; returns uv's path."""
    env, lock = BOOT / "env", LOCKS / "boot.txt"
    uv, stamp = env / "bin" / "uv", BOOT / "stamp"
    mark = f"{fingerprint(lock)} {sys.version}"
    if uv.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == mark:
        return uv
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupFault(
            "This Python cannot make environments (ensurepip is missing): on Debian and Ubuntu run "
            "`apt install python3-venv` as root, then try again."
        )
    say("Fetching the installer (about 5 s).")
    stamp.unlink(missing_ok=True)
    shutil.rmtree(env, ignore_errors=True)
    call([sys.executable, "-m", "venv", str(env)], "A small Python environment cannot be made")
    call(
        [
            *(str(env / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--require-hashes", "--only-binary", ":all:", "-r", str(lock)),
        ],
        "The installer cannot be fetched from the package index",
    )
    stamp.write_text(mark, encoding="utf-8")
    return uv


def install(uv: Path, wanted: dict[str, str]) -> None:
    """Make ``.venv`` hold exactly the wanted lock files, checked by hash."""
    env = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": "1"}
    if "UV_CACHE_DIR" not in env and not os.access(Path.home(), os.W_OK):
        env["UV_CACHE_DIR"] = str(BOOT / "cache")
    mirror = os.environ.get("PIP_INDEX_URL")
    if mirror and "UV_DEFAULT_INDEX" not in env:
        env["UV_DEFAULT_INDEX"] = mirror
    STAMP.unlink(missing_ok=True)
    if not is_usable(PYTHON):
        call(
            [str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)],
            "The project's environment cannot be made",
            env,
        )
    say(
        f"Installing the pinned packages ({', '.join(wanted)}): 1.4 GB on disk; "
        "10 s from a warm cache, minutes over a slow line."
    )
    call(
        [
            *(str(uv), "pip", "sync", "--quiet", "--require-hashes", "--python", str(PYTHON)),
            *(str(LOCKS / f"{extra}.txt") for extra in wanted),
        ],
        "The packages cannot be installed",
        env,
    )
    link_project()
    compile_modules()
    STAMP.write_text(json.dumps(wanted, indent=2, sort_keys=True), encoding="utf-8")


def is_usable(python: Path) -> bool:
    """Tell whether an environment's Python still runs and is this version."""
    if not python.exists():
        return False
    ask = f"import sys; print(sys.version_info[:2] == {sys.version_info[:2]!r})"
    done = subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "True"


def link_project() -> None:
    """Let every Python of the environment import the clone's packages, wherever it is called."""
    folder = VENV / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (folder / "propdesk.pth").write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n", encoding="utf-8")
    command = VENV / "bin" / "propdesk"
    command.write_text(
        '#!/bin/sh\nexec "$(dirname "$(readlink -f "$0")")/python" -P -m cli "$@"\n', encoding="utf-8"
    )
    command.chmod(0o755)


def compile_modules() -> None:
    """Compile every module once, on all processors.

    Otherwise each of a dozen processes compiles what it imports when it first starts; where Python is told
    to write no bytecode (PYTHONDONTWRITEBYTECODE, as containers like to) at every start: twice the time.
    """
    own = sorted(str(found.parent) for found in ROOT.glob("*/__init__.py"))
    subprocess.run(
        [
            *(
                str(PYTHON),
                "-m",
                "compileall",
                "-qq",
                "-j",
                "0",
                "-x",
                rf"^{re.escape(str(ROOT))}.*[/\\]tests?[/\\]",
            ),
            *(str(VENV / "lib"), *own),
        ],
        check=False,  # packages hold templates and other files that are no Python of this version
    )


def call(command: list[str], complaint: str, env: dict[str, str] | None = None) -> None:
    """Run one step of the set-up; its own messages follow ours when it fails."""
    # standard output belongs to the command that follows (--json)
    done = subprocess.run(command, env=env, stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise SetupFault(f"{complaint} (see above); mend that and run the same command again.")


def say(sentence: str) -> None:
    """Tell progress; on standard error, so that --json output stays clean."""
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SetupFault as fault:
        sys.exit(str(fault))
    except KeyboardInterrupt:
        say("Interrupted; the same command goes on where this one stopped.")
        sys.exit(130)
