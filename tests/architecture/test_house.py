"""House rules that no linter checks: size of functions, one start command, workflows, doctests, marks."""

import ast
import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
import yaml

from cli import output
from cli.main import build
from cli.testing import PACKAGES

ROOT = Path(__file__).resolve().parents[2]
LINES_MAX = 60
NOT_OURS = frozenset({
    ".git", ".venv", ".boot", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis",
    ".import_linter_cache", "target", "logs", "dbt_packages",
})  # fmt: skip
"""Folders that tools leave in a clone; a clone need not know git."""
SOURCES = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts
)
MARKS = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring and without functions defined in it."""
    assert node.end_lineno is not None
    lines = node.end_lineno - node.lineno + 1
    for inner in ast.walk(node):
        if inner is not node and isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            lines -= (inner.end_lineno or 0) - inner.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {body_lines(node)} lines"
        for path in SOURCES
        for node in functions(path)
        if body_lines(node) > LINES_MAX
    ]
    assert long == []


def test_no_unfinished_mark_is_left() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in [*SOURCES, ROOT / "run.py"]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MARKS.search(line)
    ]
    assert found == []


def test_examples_in_docstrings_are_true() -> None:
    failed, tried = [], 0
    for path in SOURCES:
        if ">>> " not in path.read_text(encoding="utf-8"):
            continue
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
        tried += result.attempted
        if result.failed:
            failed.append(name)
    assert failed == []
    assert tried > 0


def test_continuous_integration_runs_the_readmes_command() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    assert "exec python3 run.py test" in ci
    assert "python3 run.py test" in (ROOT / "README.md").read_text()
    assert "python3 run.py up" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("script", [".ci/run", "scripts/check", "deploy/postgres/roles.sh"])
def test_shell_scripts_parse_and_may_be_run(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    shell = path.read_text().splitlines()[0].split("/")[-1].split()[-1]
    assert subprocess.run([shell, "-n", str(path)], check=False).returncode == 0


def test_workflows_run_on_push_and_at_the_markets_close() -> None:
    folder = ROOT / ".github" / "workflows"
    # YAML 1.1 reads the key "on" as true
    tests = yaml.safe_load((folder / "tests.yml").read_text())
    daily = yaml.safe_load((folder / "daily-ingest.yml").read_text())
    assert {"push", "pull_request"} <= set(tests[True])
    assert tests["jobs"]["tests"]["steps"][-1]["run"] == ".ci/run"
    assert daily[True]["schedule"] == [{"cron": "30 10 * * 1-5"}]
    called = re.findall(r"python3 run\.py (\w+)", str(daily["jobs"]))
    assert called == ["up", "status", "backfill", "down"]


def test_run_py_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse((ROOT / "run.py").read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= set(sys.stdlib_module_names)


def test_run_py_refuses_an_old_python_before_anything_newer_is_parsed_or_imported() -> None:
    source = (ROOT / "run.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    first = next(i for i, node in enumerate(tree.body) if isinstance(node, ast.If))
    before = [node for node in tree.body[:first] if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [alias.name for node in before for alias in node.names] == ["sys"]
    # the whole file must be readable by the oldest Python that a supported Linux still ships
    compile(source, "run.py", "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    ast.parse(source, feature_version=(3, 8))


def test_every_exit_code_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    codes = {value for name, value in vars(output).items() if name.startswith("EXIT_")}
    assert codes == {0, 1, 2, 3, 130}
    for code in codes:
        assert re.search(rf"^\| {code} \|", text, re.MULTILINE), code


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    missing = []
    for name, command in _commands(typer.main.get_command(build())).items():
        own = [row for row in rows if re.match(rf"\| `{name}\b", row)]
        words = _commands(command) or {"": None}
        missing += [f"{name} {word}" for word in words if not any(re.search(rf"\b{word}\b", r) for r in own)]
    assert missing == []


def _commands(group: object) -> dict[str, object]:
    return dict(getattr(group, "commands", {}))


def test_no_page_or_source_names_a_path_of_one_machine() -> None:
    home, bad, seen = str(Path.home()), [], 0
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS and not name.endswith(".egg-info")]
        for path in (Path(folder) / name for name in files if name != ".env"):
            if path.is_file() and path.stat().st_size < 1_000_000:
                seen += 1
                text = path.read_bytes().decode("utf-8", errors="replace")
                if f"{ROOT}/" in text or (len(home) > len("/root") and home in text):
                    bad.append(str(path.relative_to(ROOT)))
    assert bad == []
    assert seen > 500
