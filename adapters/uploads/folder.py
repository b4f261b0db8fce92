"""A folder that files are dropped into: which of them are complete, and where they go afterwards."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

ACCEPTED: Final = "accepted"
REJECTED: Final = "rejected"
DEFAULT_PROFILE: Final = "sample"
"""Source profile of a file that lies in no subfolder."""
UNFINISHED: Final = (".part", ".tmp", ".crdownload", ".filepart")
FILES_MAX: Final = 50
"""Files taken per look at the folder; the rest waits for the next."""

Stamp = tuple[int, int]
"""Size and modification time (ns) of a file."""


def look_at_folder(
    folder: Path,
    *,
    put_away: Collection[str] = (ACCEPTED, REJECTED),
    on_fault: Callable[[Path, OSError], None] | None = None,
) -> dict[str, Stamp]:
    """List the files that wait in a folder.

    Parameters
    ----------
    folder : Path
        Files may lie in it or in a subfolder named after a source profile.
    put_away : collection of str
        Subfolders of files that have been taken.
    on_fault : callable, optional
        Told of a place below the folder that cannot be looked at, which is then passed over; without it the
        fault is raised.

    Returns
    -------
    dict
        Path below the folder to size and time; hidden, unfinished and put-away files are left out.
    """
    found: dict[str, Stamp] = {}
    if not folder.is_dir():
        return found
    places = [folder, *(p for p in folder.iterdir() if p.is_dir() and p.name not in put_away)]
    for place in places:
        try:
            found.update(_files_of(place, folder))
        except OSError as fault:
            if on_fault is None or place == folder:
                raise
            on_fault(place, fault)
    return found


def _files_of(place: Path, folder: Path) -> dict[str, Stamp]:
    found: dict[str, Stamp] = {}
    for file in place.iterdir():
        if file.name.startswith(".") or file.suffix in UNFINISHED or not file.is_file():
            continue
        stat = file.stat()
        found[file.relative_to(folder).as_posix()] = (stat.st_size, stat.st_mtime_ns)
    return found


def choose_stable(now: Mapping[str, Stamp], before: Mapping[str, Stamp]) -> list[str]:
    """Pick the files that did not change between two looks: whoever writes them has finished.

    Parameters
    ----------
    now, before : mapping of str to (size, time)

    Returns
    -------
    list of str
        Oldest first, at most `FILES_MAX`.
    """
    stable = [name for name, stamp in now.items() if before.get(name) == stamp]
    return sorted(stable, key=lambda name: (now[name][1], name))[:FILES_MAX]


def profile_of(name: str) -> str:
    """Name the source profile of a file by the subfolder that it lies in.

    Examples
    --------
    >>> profile_of("day.csv"), profile_of("telegram_export/calls.json")
    ('sample', 'telegram_export')
    """
    parts = Path(name).parts
    return parts[0] if len(parts) > 1 else DEFAULT_PROFILE
