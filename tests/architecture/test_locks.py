"""The lock files: complete, pinned by hash, free of addresses, in step with pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "locks").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ADDRESS = re.compile(r"https?:|file:|git\+|ssh:|--(extra-)?index-url|--find-links|--trusted-host")
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)")


def entries(file: Path) -> dict[str, set[str]]:
    """Versions by name; a package may be pinned to several, by Python version."""
    found: dict[str, set[str]] = {}
    for line in file.read_text().splitlines():
        if match := PINNED.match(line):
            found.setdefault(canonicalize_name(match["name"]), set()).add(match["version"])
    return found


def test_there_is_one_lock_per_extra() -> None:
    extras = set(PROJECT["optional-dependencies"])
    assert {file.stem for file in LOCKS} == {"base", "boot"} | extras


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: file.stem)
def test_every_requirement_is_pinned_and_hashed_and_no_address_is_carried(file: Path) -> None:
    text = file.read_text()
    assert not ADDRESS.search(text)
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert blocks
    for block in blocks:
        assert PINNED.match(block), block.splitlines()[0]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block.splitlines()[0]


def test_no_two_locks_contradict_each_other() -> None:
    seen: dict[str, set[str]] = {}
    for file in LOCKS:
        for name, versions in entries(file).items():
            assert seen.setdefault(name, versions) == versions, f"{name} differs in {file.name}"


@pytest.mark.parametrize("extra", ["base", *PROJECT["optional-dependencies"]])
def test_every_dependency_of_pyproject_is_locked_at_a_version_it_allows(extra: str) -> None:
    wanted = PROJECT["dependencies"] if extra == "base" else PROJECT["optional-dependencies"][extra]
    locked = entries(ROOT / "locks" / f"{extra}.txt")
    for text in wanted:
        requirement = Requirement(text)
        versions = locked.get(canonicalize_name(requirement.name))
        assert versions, f"{text} is not locked; run scripts/lock"
        assert all(requirement.specifier.contains(version) for version in versions), text


def test_no_lock_of_another_kind_is_committed() -> None:
    assert not [name for name in ("uv.lock", "pylock.toml", "poetry.lock") if (ROOT / name).exists()]
