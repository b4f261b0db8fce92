"""docker-compose.yml cannot run in the tests, so each thing it refers to is looked up in the code."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from adapters.settings import DEPLOY_PASSWORDS, Settings
from cli.main import build
from orchestration.instance import dagster_yaml, workspace_yaml
from runtime.servers import DAGSTER_DATABASE, DAGSTER_ROLE, DATABASE, REPLICA_SET, ROLES

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>[A-Z_]+)(?P<rest>[^}]*)\}")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
SURFACES = ("api", "ui")
SERVERS = {"postgres": "postgres:18", "redis": "redis:7", "mongo": "mongo:8"}


def environment(name: str) -> dict[str, str]:
    return {key: str(value) for key, value in SERVICES[name].get("environment", {}).items()}


def filled(text: str) -> str:
    return VARIABLE.sub("filled", text)


def words(name: str) -> Iterator[list[str]]:
    yield [str(word) for word in SERVICES[name]["command"]]
    test = SERVICES[name].get("healthcheck", {}).get("test")
    if test:
        assert test[0] == "CMD"
        yield [str(word) for word in test[1:]]


def test_the_same_processes_as_up_are_listed() -> None:
    assert set(SERVICES) == {
        *SERVERS,
        "migrate",
        "dagster-code",
        "dagster-webserver",
        "dagster-daemon",
        "trading-daemon",
        "watchdog",
        "api",
        "notifier",
        "telegram",
        "ui",
    }
    assert {name: SERVICES[name]["image"] for name in SERVERS} == SERVERS


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_a_program_or_module_of_ours(name: str) -> None:
    for command in words(name):
        if command[0] != "python":
            assert (Path(sys.executable).parent / command[0]).is_file(), command
        elif command[1] == "-m":
            assert importlib.util.find_spec(command[2]) is not None, command
            if command[2] == "cli":
                assert_cli_words(command[3:])
        else:
            assert command[1] == "-c"
            compile(command[2], name, "exec")


def assert_cli_words(command: list[str]) -> None:
    group: Any = typer.main.get_command(build())
    for position, word in enumerate(command):
        if word.startswith("-"):
            known = {option for parameter in group.params for option in parameter.opts}
            assert {option for option in command[position:] if option.startswith("--")} <= known
            return
        group = group.commands[word]


@pytest.mark.parametrize("name", OURS)
def test_each_variable_of_ours_is_a_setting_with_a_valid_value(name: str) -> None:
    given = environment(name)
    values = {key: filled(value) for key, value in given.items() if key.startswith("PROPDESK_")}
    known = {f"PROPDESK_{field.upper()}": field for field in Settings.model_fields}
    assert set(values) <= set(known)
    settings = Settings(_env_file=None, **{known[key]: value for key, value in values.items()})
    assert settings.database_url().endswith(f"/{DATABASE}")
    if name in {*SURFACES, "notifier", "telegram"}:
        return  # they know neither Dagster's database nor the signals
    assert settings.dagster_database_url() == (
        f"postgresql+psycopg2://{DAGSTER_ROLE}:filled@postgres:5432/{DAGSTER_DATABASE}"
    )
    assert settings.mongo_dsn().endswith(f"replicaSet={REPLICA_SET}")


def test_addresses_name_services_and_roles_that_exist() -> None:
    for name in OURS:
        for key, value in environment(name).items():
            for user, host in re.findall(r"//(?:([a-z_]+):[^@]*@)?([a-z]+):\d+", filled(value)):
                assert host in SERVICES, (name, key)
                assert user in {"", *ROLES, DAGSTER_ROLE}, (name, key)


def test_the_trading_daemon_never_holds_the_owners_password() -> None:
    text = " ".join(
        value for key, value in environment("trading-daemon").items() if not key.startswith("DAGSTER")
    )
    held = set(re.findall(r"DEPLOY_\w+_PASSWORD", text))
    assert "DEPLOY_OWNER_PASSWORD" not in held
    assert "DEPLOY_DAEMON_PASSWORD" in held


def test_the_surfaces_hold_the_passwords_of_reading_and_of_users_alone() -> None:
    for name in SURFACES:
        held = set(re.findall(r"DEPLOY_\w+", " ".join(environment(name).values())))
        assert held == {"DEPLOY_READER_PASSWORD", "DEPLOY_ACCESS_PASSWORD", "DEPLOY_API_SECRET"}
    others = {name for name in OURS if "DEPLOY_ACCESS_PASSWORD" in " ".join(environment(name).values())}
    assert others == {*SURFACES, "telegram"}


def test_the_notifier_runs_on_demand_with_its_own_password_and_tokens_that_git_does_not_keep() -> None:
    service = SERVICES["notifier"]
    assert service["profiles"] == ["notify"]
    assert set(re.findall(r"DEPLOY_\w+", " ".join(environment("notifier").values()))) == {
        "DEPLOY_NOTIFIER_PASSWORD"
    }
    (file,) = service["env_file"]
    for ignored in (".gitignore", ".dockerignore"):
        assert file["path"] in (ROOT / ignored).read_text().replace("/", "").split()


def test_the_telegram_door_runs_on_demand_and_holds_no_password_of_the_daemon_or_the_owner() -> None:
    service = SERVICES["telegram"]
    assert service["profiles"] == ["telegram"]
    assert service["env_file"] == SERVICES["notifier"]["env_file"]
    held = set(re.findall(r"DEPLOY_\w+", " ".join(environment("telegram").values())))
    assert held == {"DEPLOY_READER_PASSWORD", "DEPLOY_ACCESS_PASSWORD"}


def test_every_substituted_variable_is_documented_and_required() -> None:
    found = {match["name"]: match["rest"] for match in VARIABLE.finditer(TEXT)}
    assert set(found) == set(DEPLOY_PASSWORDS)
    assert all(rest.startswith(":?") for rest in found.values())
    example = (ROOT / ".env.example").read_text()
    assert all(f"# {name}=" in example for name in DEPLOY_PASSWORDS)


def test_only_dagsters_pages_and_the_surfaces_are_published_and_on_loopback_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {
        "dagster-webserver": ["127.0.0.1:3000:3000"],
        "api": ["127.0.0.1:8000:8000"],
        "ui": ["127.0.0.1:8080:8080"],
    }
    for name in SURFACES:
        command = next(words(name))
        assert published[name][0].endswith(f":{command[command.index('--port') + 1]}")
    assert COMPOSE["networks"]["backend"]["internal"] is True
    assert all("backend" in service["networks"] for service in SERVICES.values())


def test_ports_agree_between_commands_settings_and_workspace() -> None:
    code = list(words("dagster-code"))
    webserver = next(words("dagster-webserver"))
    shared = environment("dagster-code")
    assert code[0][code[0].index("--port") + 1] == shared["PROPDESK_DAGSTER_CODE_PORT"]
    assert webserver[webserver.index("-p") + 1] == shared["PROPDESK_DAGSTER_WEBSERVER_PORT"]
    workspace = yaml.safe_load((ROOT / "deploy" / "dagster" / "workspace.yaml").read_text())
    expected = workspace_yaml(int(shared["PROPDESK_DAGSTER_CODE_PORT"]))
    expected["load_from"][0]["grpc_server"]["host"] = "dagster-code"
    assert workspace == expected


def test_dagsters_instance_is_what_the_runtime_would_write() -> None:
    deployed = yaml.safe_load((ROOT / "deploy" / "dagster" / "dagster.yaml").read_text())
    shared = environment("dagster-webserver")
    url = filled(shared["PROPDESK_DAGSTER_POSTGRES_URL"])
    expected = dagster_yaml(url, Path("/data/dagster"), Settings(_env_file=None))
    expected["storage"]["custom"]["config"]["postgres_db"]["password"] = {"env": "DAGSTER_PG_PASSWORD"}
    assert deployed == expected
    assert "DAGSTER_PG_PASSWORD" in shared
    assert shared["DAGSTER_HOME"] == shared["PROPDESK_DAGSTER_HOME"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_mounts_dependencies_and_health_hold_together(name: str) -> None:
    service = SERVICES[name]
    for mount in service.get("volumes", []):
        source = mount.split(":")[0]
        assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]
    for other, condition in service.get("depends_on", {}).items():
        if condition["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            assert SERVICES[other]["restart"] == "no"
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert "healthcheck" in service or name in {
        "migrate",
        "trading-daemon",
        "watchdog",
        "notifier",
        "telegram",
    }


def test_the_roles_script_makes_every_role_and_database_from_its_password() -> None:
    script = (ROOT / "deploy" / "postgres" / "roles.sh").read_text()
    given = environment("postgres")
    for role in (*ROLES, DAGSTER_ROLE):
        variable = f"DEPLOY_{role.removeprefix('propdesk_').upper()}_PASSWORD"
        assert f'role {role} "${variable}"' in script
        assert variable in given
    assert "ALTER ROLE propdesk_owner CREATEDB;" in script  # as the runtime gives it, for scratch databases
    assert f"CREATE DATABASE {DATABASE} OWNER propdesk_owner" in script
    assert f"CREATE DATABASE {DAGSTER_DATABASE} OWNER {DAGSTER_ROLE}" in script


def test_the_image_is_made_from_the_locks() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    for lock in re.findall(r"locks/(\w+\.txt)", dockerfile):
        assert (ROOT / "locks" / lock).is_file()
    assert dockerfile.count("--require-hashes") == 2
    assert SERVICES["migrate"]["build"]["dockerfile"] == "deploy/Dockerfile"
