"""run.py: when it installs, what it says, and what it hands over; no network, no environment is made here."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "run.py"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """run.py as a module, moved into an empty clone."""
    spec = importlib.util.spec_from_file_location("propdesk_run", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    clone = tmp_path / "a clone"
    (clone / "locks").mkdir(parents=True)
    for extra in ("base", "embedded", "mongod", "dev", "boot"):
        (clone / "locks" / f"{extra}.txt").write_text(f"# {extra}\n")
    places = {
        "ROOT": clone,
        "LOCKS": clone / "locks",
        "BOOT": clone / ".boot",
        "VENV": clone / ".venv",
        "STAMP": clone / ".venv" / ".propdesk-locks.json",
        "PYTHON": clone / ".venv" / "bin" / "python",
    }
    for name, value in places.items():
        monkeypatch.setattr(module, name, value)
    return module


@pytest.fixture
def calls(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Replace the commands that need a network by ones that leave the same files."""
    made: list[list[str]] = []

    def call(command: list[str], complaint: str, env: dict[str, str] | None = None) -> None:
        made.append(command)
        if "venv" in command:
            library = f"python{sys.version_info[0]}.{sys.version_info[1]}"
            folder = Path(command[-1])
            (folder / "bin").mkdir(parents=True)
            (folder / "lib" / library / "site-packages").mkdir(parents=True)
            (folder / "bin" / "python").touch()
            (folder / "bin" / "uv").touch()

    monkeypatch.setattr(run, "call", call)
    monkeypatch.setattr(run, "compile_modules", lambda: None)
    monkeypatch.setattr(run, "is_usable", lambda python: python.exists())
    return made


def syncs(calls: list[list[str]]) -> list[list[str]]:
    return [[Path(word).stem for word in c if word.endswith(".txt")] for c in calls if "sync" in c]


def test_the_first_run_installs_and_the_second_does_nothing(run: ModuleType, calls: list[list[str]]) -> None:
    run.prepare(["base", "embedded"], None)
    assert syncs(calls) == [["base", "embedded"]]
    assert all("--require-hashes" in c for c in calls if "sync" in c or "pip" in c)
    calls.clear()
    run.prepare(["base", "embedded"], None)
    assert calls == []


def test_a_changed_lock_installs_again_without_a_new_environment(
    run: ModuleType, calls: list[list[str]]
) -> None:
    run.prepare(["base"], None)
    calls.clear()
    (run.LOCKS / "base.txt").write_text("# newer\n")
    run.prepare(["base"], None)
    assert syncs(calls) == [["base"]]
    assert len(calls) == 1


def test_test_adds_its_extra_and_up_leaves_it(run: ModuleType, calls: list[list[str]]) -> None:
    run.prepare(["base", "dev"], None)
    calls.clear()
    run.prepare(["base"], None)
    assert calls == []
    (run.LOCKS / "base.txt").write_text("# newer\n")
    run.prepare(["base"], None)
    assert syncs(calls) == [["base", "dev"]]


def test_an_interrupted_installation_is_done_again(
    run: ModuleType, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run.prepare(["base"], None)
    whole = run.call
    (run.LOCKS / "base.txt").write_text("# newer\n")

    def broken(command: list[str], complaint: str, env: dict[str, str] | None = None) -> None:
        raise run.SetupFault(complaint)

    monkeypatch.setattr(run, "call", broken)
    with pytest.raises(run.SetupFault, match="packages cannot be installed"):
        run.prepare(["base"], None)
    assert run.installed() == {}
    monkeypatch.setattr(run, "call", whole)
    calls.clear()
    run.prepare(["base"], None)
    assert syncs(calls) == [["base"]]


def test_a_torn_stamp_counts_as_nothing_installed(run: ModuleType, calls: list[list[str]]) -> None:
    run.prepare(["base"], None)
    run.STAMP.write_text('{"base"')
    calls.clear()
    run.prepare(["base"], None)
    assert syncs(calls) == [["base"]]


def test_the_clone_is_importable_even_with_a_colon_or_quote_in_its_path(
    run: ModuleType, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = Path("/tmp/it's a:clone")
    run.prepare(["base"], None)
    monkeypatch.setattr(run, "ROOT", odd)
    run.link_project()
    line = next(run.VENV.rglob("propdesk.pth")).read_text()
    former = list(sys.path)
    try:
        exec(line)  # noqa: S102 - what site does with it
        assert sys.path[0] == str(odd)
    finally:
        sys.path[:] = former


def test_no_ensurepip_names_the_package_to_install(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(run.SetupFault, match="apt install python3-venv"):
        run.prepare(["base"], None)


def test_a_missing_lock_says_that_the_clone_is_not_complete(run: ModuleType) -> None:
    (run.LOCKS / "base.txt").unlink()
    with pytest.raises(run.SetupFault, match=r"base\.txt cannot be read.*clone is not complete"):
        run.prepare(["base"], None)


def test_too_little_disk_is_refused_before_anything_is_fetched(
    run: ModuleType, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "FREE_BYTES_MIN", 10**18)
    with pytest.raises(run.SetupFault, match="free some space"):
        run.prepare(["base"], None)
    assert calls == []


def test_a_clone_that_may_not_be_written_is_refused(run: ModuleType) -> None:
    run.BOOT.write_text("a file where the folder should be")
    with pytest.raises(run.SetupFault, match="cannot be written"):
        run.prepare(["base"], None)


@pytest.mark.parametrize(
    ("words", "extras"),
    [
        (["up"], ["base", "embedded"]),
        (["test"], ["base", "embedded", "dev"]),
        ([], ["base", "embedded"]),
        (["rules", "test"], ["base", "embedded"]),
    ],
)
def test_words_are_handed_over_with_telemetry_off(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, words: list[str], extras: list[str]
) -> None:
    handed: dict[str, object] = {}

    def execve(program: Path, argv: list[str], env: dict[str, str]) -> None:
        handed.update(program=program, argv=argv, env=env)

    monkeypatch.setattr(run, "prepare", lambda wanted, obstacle: handed.update(wanted=wanted))
    monkeypatch.setattr(run, "mongod_obstacle", lambda: "no AVX")
    monkeypatch.setattr(run.os, "execve", execve)
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    run.main(words)
    assert handed["wanted"] == extras
    assert handed["argv"] == [str(run.PYTHON), "-P", "-m", "cli", *words]
    env = handed["env"]
    assert isinstance(env, dict)
    assert env["PATH"].startswith(str(run.VENV / "bin"))
    assert "PYTHONPATH" not in env
    assert json.dumps(env).count("DAGSTER_DISABLE_TELEMETRY") == 1
    assert env["DBT_SEND_ANONYMOUS_USAGE_STATS"] == "false"
    assert env["GX_ANALYTICS_ENABLED"] == "false"


@pytest.mark.parametrize(
    ("system", "machine", "flags", "possible"),
    [
        ("Linux", "x86_64", "fpu avx sse2", True),
        ("Linux", "x86_64", "fpu sse2", False),
        ("Linux", "aarch64", "", True),
        ("Linux", "riscv64", "", False),
        ("Darwin", "arm64", "", False),
    ],
)
def test_mongod_is_left_out_where_it_cannot_run(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, system: str, machine: str, flags: str, possible: bool
) -> None:
    monkeypatch.setattr(run.platform, "system", lambda: system)
    monkeypatch.setattr(run.platform, "machine", lambda: machine)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"flags\t\t: {flags}\n")
    assert (run.mongod_obstacle() is None) == possible


def test_modules_are_compiled_at_installation_even_where_python_writes_no_bytecode(
    run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = ["desk/__init__.py", "desk/tests/test_desk.py", ".venv/lib/python3/site-packages/kit.py"]
    tmp_path = tmp_path / "tests" / "clone"  # a clone may lie anywhere
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("VALUE = 1\n", encoding="utf-8")
    (tmp_path / ".venv/lib/python3/site-packages/template.py").write_text("{{ name }} =\n", encoding="utf-8")
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(run, "PYTHON", Path(sys.executable))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    run.compile_modules()
    compiled = {found.name.split(".")[0] for found in tmp_path.rglob("*.pyc")}
    assert compiled == {"__init__", "kit"}
