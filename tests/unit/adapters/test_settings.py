"""Settings: sources and their order, refusals in words, secrets masked, documentation complete."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from adapters.settings import NotConfigured, Settings, load_settings, render_env_example
from propdesk.core.errors import ConfigFault

ROOT = Path(__file__).resolve().parents[3]
URL = "postgresql+psycopg://someone:hidden-word@127.0.0.1:5432/propdesk"


def test_defaults_need_no_environment_and_places_follow_the_home(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    assert settings.data_dir == tmp_path / "data"
    assert settings.upload_dir == tmp_path / "uploads"
    assert settings.dagster_home == tmp_path / "dagster"
    assert settings.price_store_url == str(tmp_path / "prices")
    assert settings.trading_mode == "paper"
    assert settings.corpus_paise == 1_000_000_000


def test_the_environment_wins_over_the_runtime_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runtime.env").write_text("PROPDESK_WINDOW_DAYS=60\nPROPDESK_HALF_LIFE_DAYS=5\n")
    monkeypatch.setenv("PROPDESK_HOME", str(tmp_path))
    monkeypatch.setenv("PROPDESK_WINDOW_DAYS", "30")
    settings = load_settings()
    assert (settings.home, settings.window_days, settings.half_life_days) == (tmp_path, 30, 5.0)
    assert load_settings(runtime=False).half_life_days == 10.0


def test_trusted_proxies_are_networks_and_never_everybody(tmp_path: Path) -> None:
    named = Settings(_env_file=None, home=tmp_path, api_trusted_proxies="10.0.0.1, 172.16.0.0/12,")
    assert named.api_trusted_proxies == "10.0.0.1,172.16.0.0/12"
    for word in ("*", "proxy", "10.0.0.1/8"):
        with pytest.raises(ValidationError, match="no address and no network"):
            Settings(_env_file=None, home=tmp_path, api_trusted_proxies=word)


def test_an_empty_variable_means_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPDESK_MONGO_URL", "")
    monkeypatch.setenv("PROPDESK_GATES_FILE", "")
    settings = load_settings()
    assert settings.mongo_url is None
    assert settings.gates_file is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WINDOW_DAYS", "ninety"),
        ("WINDOW_DAYS", "1"),
        ("HALF_LIFE_DAYS", "0"),
        ("HALF_LIFE_DAYS", "nan"),
        ("CORPUS_PAISE", "-1"),
        ("CORPUS_PAISE", "1.5"),
        ("FIRST_DAY", "2021-02-30"),
        ("GATE_PROFILE", "lucky"),
        ("TRADING_MODE", "real"),
        ("ACCOUNT_ID", "a b"),
        ("POSTGRES_PORT", "70000"),
        ("CATEGORY_ALLOCATIONS", '{"NSE_EQ": 1.5}'),
        ("CATEGORY_ALLOCATIONS", '{"CRYPTO": 0.5}'),
        ("POSTGRES_URL", "postgres://u:p@h/d"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"PROPDESK_{name}", value)
    with pytest.raises(ConfigFault, match=f"PROPDESK_{name}"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOTIFY_RECIPIENTS", '{"asha": {"pager": "1"}}'),
        ("NOTIFY_RECIPIENTS", '{"asha": {"wuzapi": "98-123"}}'),
        ("NOTIFY_RECIPIENTS", '{"asha": {"telegram": "0"}}'),
        ("NOTIFY_RECIPIENTS", '{"a b": {"telegram": "1"}}'),
        ("NOTIFY_RECIPIENTS", '{"a": {"telegram": "1"}, "b": {"telegram": "1"}}'),
        ("NOTIFY_CHANNELS", '{"critical": ["pager"]}'),
        ("NOTIFY_CHANNELS", '{"urgent": ["telegram"]}'),
        ("WUZAPI_URL", "http://whatsapp.example.com"),
        ("WUZAPI_URL", "https://me:word@whatsapp.example.com"),
        ("WUZAPI_URL", "https://whatsapp.example.com/?to=http://10.0.0.1"),
        ("WUZAPI_URL", "ftp://127.0.0.1"),
        ("WUZAPI_URL", "https://"),
        ("TELEGRAM_URL", "http://10.0.0.5:8081"),
    ],
)
def test_who_is_told_and_by_what_is_checked_at_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"PROPDESK_{name}", value)
    monkeypatch.setenv("PROPDESK_WUZAPI_IS_PRIVATE", str(name == "TELEGRAM_URL").lower())
    with pytest.raises(ConfigFault, match=f"PROPDESK_{name}"):
        load_settings()


def test_people_are_told_where_an_address_and_a_token_meet() -> None:
    asha = {"asha": {"telegram": "42", "wuzapi": "919812345678"}}
    said = [
        Settings(_env_file=None, notify_recipients=people, **tokens).tells_people
        for people, tokens in (
            ({}, {"telegram_bot_token": "t"}),
            (asha, {}),
            (asha, {"telegram_bot_token": "t"}),
            (asha, {"wuzapi_token": "t"}),
            (asha, {"wuzapi_token": "t", "wuzapi_url": "http://wuzapi:8080", "wuzapi_is_private": True}),
            ({"ravi": {"wuzapi": "919812345678"}}, {"telegram_bot_token": "t"}),
        )
    ]
    assert said == [False, False, True, False, True, False]


def test_allocations_and_adverse_pool_never_exceed_the_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPDESK_ADVERSE_ALLOCATION", "0.11")
    with pytest.raises(ConfigFault, match=r"1\.0100"):
        load_settings()


def test_broken_json_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPDESK_CATEGORY_ALLOCATIONS", "{")
    with pytest.raises(ConfigFault, match=r"PROPDESK_CATEGORY_ALLOCATIONS: .*JSON"):
        load_settings()


def test_secrets_are_masked_in_repr_dump_and_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(_env_file=None, postgres_url=URL)
    assert "hidden-word" not in repr(settings)
    assert "hidden-word" not in str(settings.model_dump())
    assert settings.database_url() == URL
    assert settings.secret_values() == {URL}
    monkeypatch.setenv("PROPDESK_POSTGRES_URL", "mysql://u:hidden-word@h/d")
    with pytest.raises(ConfigFault) as fault:
        load_settings()
    assert "hidden-word" not in str(fault.value)
    assert fault.value.__cause__ is None


def test_a_role_without_its_own_url_uses_the_owners_and_none_is_not_configured() -> None:
    settings = Settings(
        _env_file=None, postgres_url=URL, postgres_reader_url=URL.replace("someone", "reader")
    )
    assert settings.database_url("daemon") == URL
    assert "reader" in settings.database_url("reader")
    empty = Settings(_env_file=None)
    for ask in (empty.database_url, empty.redis_dsn, empty.mongo_dsn, empty.dagster_database_url):
        with pytest.raises(NotConfigured, match=r"python3 run\.py up"):
            ask()


def test_the_key_of_the_tokens_is_long_and_secret() -> None:
    key = "k" * 32
    assert Settings(_env_file=None, api_secret=key).api_signing_key() == key
    with pytest.raises(ConfigFault, match="shorter than 32") as caught:
        Settings(_env_file=None, api_secret="hidden-word").api_signing_key()
    assert "hidden-word" not in str(caught.value)
    with pytest.raises(NotConfigured, match=r"key of the API's tokens is not known.*PROPDESK_API_SECRET"):
        Settings(_env_file=None).api_signing_key()


def test_settings_are_frozen() -> None:
    settings = Settings(_env_file=None)
    with pytest.raises(ValidationError):
        settings.window_days = 1  # type: ignore[misc]


def test_a_named_file_that_is_missing_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigFault, match=r"nothing\.env"):
        load_settings(tmp_path / "nothing.env")


def test_every_field_is_described_and_the_example_file_is_current() -> None:
    assert all(field.description for field in Settings.model_fields.values())
    assert (ROOT / ".env.example").read_text() == render_env_example(), "run scripts/env_example"


def test_the_example_file_uncommented_gives_the_defaults(tmp_path: Path) -> None:
    text = "\n".join(
        line.removeprefix("# ")
        for line in render_env_example().splitlines()
        if line.startswith("# PROPDESK_")
    )
    file = tmp_path / "all.env"
    file.write_text(text)
    assert load_settings(file) == load_settings()


STRONG = "strong-key-" + "0123456789" * 3


def test_keys_of_the_webhook_are_read_by_source_and_never_shown(tmp_path: Path) -> None:
    old = STRONG.upper()
    ring = f'{{"feed": ["{STRONG}", "{old}"]}}'
    settings = Settings(_env_file=None, home=tmp_path, webhook_keys=ring)
    assert settings.webhook_keyring() == {"feed": (STRONG, old)}
    assert STRONG not in repr(settings)
    assert {STRONG, old} <= settings.secret_values(), "each is masked in logs by itself"
    with pytest.raises(NotConfigured, match="PROPDESK_WEBHOOK_KEYS"):
        Settings(_env_file=None, home=tmp_path).webhook_keyring()


@pytest.mark.parametrize(
    "ring",
    [
        "feed",
        "[]",
        '{"feed": "key"}',
        '{"feed": []}',
        '{"feed": ["short"]}',
        f'{{"fe ed": ["{STRONG}"]}}',
        f'{{"feed": ["{STRONG}"], "rival": ["{STRONG}"]}}',
        f'{{"feed": ["{STRONG}1", "{STRONG}2", "{STRONG}3", "{STRONG}4"]}}',
    ],
    ids=["no-json", "list", "no-list", "no-key", "short", "name", "shared", "many"],
)
def test_a_keyring_that_is_weak_or_unclear_is_refused_without_showing_it(tmp_path: Path, ring: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(_env_file=None, home=tmp_path, webhook_keys=ring)
    assert STRONG not in str(caught.value)
