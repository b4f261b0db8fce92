"""Time and memory of the main job: ``python -m bench.main_job [--keep] [HOME]``.

Runs ``run.py up --exit`` twice on one data folder (an empty one, then the one it left), shows the
output as it comes and prints wall time and the largest memory of all processes together
(proportional set size, so that shared pages count once).
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.machine import machine

_ROOT = Path(__file__).resolve().parents[1]
_SAMPLE_SECONDS = 0.5


def main() -> None:
    """Run both rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", nargs="?", type=Path, help="empty data folder (default: a temporary one)")
    parser.add_argument("--keep", action="store_true", help="keep the data folder")
    options = parser.parse_args()
    home = options.home or Path(tempfile.mkdtemp(prefix="propdesk-bench-", dir="/var/tmp"))
    home.chmod(0o755)
    try:
        rounds = [("first up --exit (empty data folder)", _round(home)), ("second up --exit", _round(home))]
    finally:
        if not options.keep and options.home is None:
            shutil.rmtree(home, ignore_errors=True)
    sys.stdout.write(f"\n{machine()}\n")
    for title, (seconds, peak) in rounds:
        gibibytes = peak / 2**30
        sys.stdout.write(f"{title}: {seconds:.1f} s, peak memory of all processes {gibibytes:.2f} GiB\n")


def _round(home: Path) -> tuple[float, int]:
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(_ROOT / "run.py"), "up", "--exit"],
        env={**os.environ, "PROPDESK_HOME": str(home)},
        cwd=_ROOT,
    )
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(_SAMPLE_SECONDS):
            peak = max(peak, _memory_of_tree(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    done.set()
    watcher.join()
    if code != 0:
        sys.exit(f"run.py up --exit ended with {code}")
    return time.monotonic() - begun, peak


def _memory_of_tree(root: int) -> int:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    total, todo = 0, [root]
    while todo:
        pid = todo.pop()
        todo += children.get(pid, [])
        total += _proportional_bytes(pid)
    return total


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
