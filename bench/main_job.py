"""Time and memory of the main job: ``python -m bench.main_job [--keep] [HOME]``.

Runs ``run.py up --exit`` twice on one data folder (an empty one, then the one it left), shows the
output as it comes and prints wall time, processor time and the largest memory of all processes together
(proportional set size, so that shared pages count once), with each program's share of both.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import machine

_ROOT = Path(__file__).resolve().parents[1]
_SAMPLE_SECONDS = 2.0
"""The kernel walks every page table for one sample: every half second cost a fifth of a core."""
_PROGRAMS = {
    "from multiprocessing.forkserver": "forked run, and the process it is forked from",
    "orchestration.code_server": "code server",
    "dagster_webserver": "web server",
    "dagster._daemon": "Dagster's daemon",
    "cli up": "up itself",
    "cli trade": "trading daemon",
    "postgres": "PostgreSQL",
    "mongod": "MongoDB",
    "redis": "Redis",
}


@dataclass(slots=True)
class Round:
    """What one run took: wall and processor seconds, and bytes by program when all used most.

    ``used`` holds the processor seconds of each process when it was last seen, by program and number.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory: Counter[str] = field(default_factory=Counter)
    used: dict[tuple[str, int], float] = field(default_factory=dict)


def main() -> None:
    """Run both rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", nargs="?", type=Path, help="empty data folder (default: a temporary one)")
    parser.add_argument("--keep", action="store_true", help="keep the data folder")
    options = parser.parse_args()
    home = options.home or Path(tempfile.mkdtemp(prefix="propdesk-bench-", dir="/var/tmp"))
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    try:
        rounds = [("first up --exit (empty data folder)", _round(home)), ("second up --exit", _round(home))]
    finally:
        if not options.keep and options.home is None:
            shutil.rmtree(home, ignore_errors=True)
    sys.stdout.write(f"\n{machine()}\n")
    for title, found in rounds:
        sys.stdout.write(
            f"{title}: {found.seconds:.1f} s, processor time {found.cpu_seconds:.1f} s, "
            f"peak memory of all processes {found.memory.total() / 2**30:.2f} GiB\n"
        )
        used: Counter[str] = Counter()
        for (program, _), seconds in found.used.items():
            used[program] += seconds  # type: ignore[assignment]  # counts of seconds
        for program in sorted({*found.memory, *used}, key=lambda name: -used[name]):
            sys.stdout.write(
                f"    {found.memory[program] / 2**20:6.0f} MiB {used[program]:6.1f} s {program}\n"
            )


def _round(home: Path) -> Round:
    found = Round()
    begun, used = time.monotonic(), _cpu_of_children()
    process = subprocess.Popen(
        [sys.executable, str(_ROOT / "run.py"), "up", "--exit"],
        env={**os.environ, "PROPDESK_HOME": str(home)},
        cwd=_ROOT,
    )
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_SAMPLE_SECONDS):
            now = _memory_of_tree(process.pid, found.used)
            if now.total() > found.memory.total():
                found.memory = now

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    done.set()
    watcher.join()
    if code != 0:
        sys.exit(f"run.py up --exit ended with {code}")
    found.seconds, found.cpu_seconds = time.monotonic() - begun, _cpu_of_children() - used
    return found


def _cpu_of_children() -> float:
    """Processor time of what has ended and was waited for, and of its own such children."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _memory_of_tree(root: int, used: dict[tuple[str, int], float]) -> Counter[str]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found: Counter[str] = Counter()
    todo = [root]
    while todo:
        pid = todo.pop()
        todo += children.get(pid, [])
        program = _program(pid)
        if not program:
            continue  # it has ended and nobody has asked for its code yet
        found[program] += _proportional_bytes(pid)
        used[program, pid] = _processor_seconds(pid)
    return found


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _program(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        words = ""
    if not words:
        return ""
    return next((name for part, name in _PROGRAMS.items() if part in words), "others")


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
