"""Typed settings of every process: read once in a composition root, frozen afterwards.

Sources, the first that names a value wins:

1. the environment (``PROPDESK_<FIELD>``),
2. ``.env`` in the clone (a person's choices; see ``.env.example``),
3. ``runtime.env`` in the data folder (written by the runtime: addresses and ports of the embedded servers).

Nothing else in the project reads the environment, so a value that decides something is always a field here.
"""

import hashlib
import ipaddress
import json
import os
import re
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from propdesk.core.errors import ConfigFault
from propdesk.model.user import LOGIN_PATTERN

ENV_PREFIX: Final = "PROPDESK_"
CLONE_ROOT: Final = Path(__file__).resolve().parents[1]
RUNTIME_ENV_NAME: Final = "runtime.env"
API_SECRET_LENGTH_MIN: Final = 32
"""As many bytes as the digest that it keys (RFC 7518, 3.2)."""

WEBHOOK_KEY_LENGTH_MIN: Final = 32
WEBHOOK_KEYS_MAX: Final = 3
"""Keys of one source: the present one, and those that it replaces or that replace it."""

DEPLOY_PASSWORDS: Final = (
    *(
        f"DEPLOY_{who}_PASSWORD"
        for who in (
            "POSTGRES",
            "OWNER",
            "PIPELINE",
            "DAEMON",
            "READER",
            "ACCESS",
            "NOTIFIER",
            "DAGSTER",
            "REDIS",
        )
    ),
    "DEPLOY_API_SECRET",
)
"""Read by docker compose, never by our processes, which get whole addresses."""

RECIPIENTS_MAX: Final = 20
_ADDRESSES: Final = {
    "wuzapi": r"[1-9]\d{7,14}|\d{6,24}(-\d+)?@g\.us",
    "telegram": r"-?[1-9]\d{0,18}|@[A-Za-z]\w{3,31}",
}
"""How an address of each channel is written: a number or group of WhatsApp, a chat of Telegram."""

DatabaseRole = Literal["owner", "pipeline", "daemon", "reader", "access", "notifier"]


class NotConfigured(ConfigFault):
    """An address that only a running system provides is not known."""


def default_home(clone: Path = CLONE_ROOT) -> Path:
    """Name the data folder of one clone.

    Parameters
    ----------
    clone : Path
        Root of the clone; its real path names the folder, so two clones never share one.

    Returns
    -------
    Path
        ``/var/lib/propdesk/<hash>`` for root (an unprivileged uid can reach it, as the servers need),
        ``$XDG_DATA_HOME/propdesk/<hash>`` (default ``~/.local/share``) for anyone else. Not created here.
    """
    digest = hashlib.sha256(str(clone.resolve()).encode()).hexdigest()[:12]
    if os.geteuid() == 0:
        return Path("/var/lib/propdesk") / digest
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "propdesk" / digest


def is_loopback(url: str) -> bool:
    """Whether an address lies on this machine (a local sandbox, never a live broker)."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Settings(BaseSettings):
    """Everything that may differ between two installations or two accounts."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        validate_default=True,
    )

    # --- places -------------------------------------------------------------------------------------------
    home: Path = Field(default=Path(), description="Data folder; empty = one per clone, named by its path.")
    data_dir: Path = Field(default=Path(), description="Generated and imported data; empty = <home>/data.")
    price_store_url: str = Field(
        default="",
        description="Bar and tick store: folder, s3://, gs:// or fsspec URL; empty = <home>/prices.",
    )
    upload_dir: Path = Field(default=Path(), description="Watched upload folder; empty = <home>/uploads.")
    dagster_home: Path = Field(
        default=Path(), description="Dagster's instance folder; empty = <home>/dagster."
    )
    account_id: str = Field(
        default="paper",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$",
        description="Trading account; part of the key of every trading row.",
    )

    # --- servers ------------------------------------------------------------------------------------------
    postgres_url: SecretStr | None = Field(
        default=None, description="PostgreSQL as the owner of our schemas: postgresql+psycopg://..."
    )
    postgres_pipeline_url: SecretStr | None = Field(
        default=None, description="The same as role propdesk_pipeline; empty = postgres_url."
    )
    postgres_daemon_url: SecretStr | None = Field(
        default=None, description="The same as role propdesk_daemon; empty = postgres_url."
    )
    postgres_reader_url: SecretStr | None = Field(
        default=None, description="The same as role propdesk_reader; empty = postgres_url."
    )
    postgres_access_url: SecretStr | None = Field(
        default=None, description="The same as role propdesk_access (users, sessions); empty = postgres_url."
    )
    postgres_notifier_url: SecretStr | None = Field(
        default=None, description="The same as role propdesk_notifier (messages); empty = postgres_url."
    )
    dagster_postgres_url: SecretStr | None = Field(
        default=None, description="Database of Dagster's own runs and events: postgresql+psycopg2://..."
    )
    redis_url: SecretStr | None = Field(default=None, description="Redis: redis://:password@host:port/0")
    mongo_url: SecretStr | None = Field(
        default=None, description="MongoDB replica set; empty = no live signals, uploads serve."
    )
    mongo_database: str = Field(
        default="propdesk", min_length=1, description="MongoDB database of the live signals."
    )
    mongo_collection: str = Field(
        default="signals", min_length=1, description="MongoDB collection of the live signals."
    )
    postgres_port: int = Field(
        default=0, ge=0, le=65535, description="Port of the embedded PostgreSQL; 0 = chosen and remembered."
    )
    redis_port: int = Field(
        default=0, ge=0, le=65535, description="Port of the embedded Redis; 0 = chosen and remembered."
    )
    mongo_port: int = Field(
        default=0, ge=0, le=65535, description="Port of the embedded MongoDB; 0 = chosen and remembered."
    )
    dagster_webserver_port: int = Field(
        default=0, ge=0, le=65535, description="Port of Dagster's pages; 0 = chosen and remembered."
    )
    dagster_code_port: int = Field(
        default=0, ge=0, le=65535, description="Port of Dagster's code server; 0 = chosen and remembered."
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port of the daemon's Prometheus page, on this machine only; 0 = none.",
    )

    # --- time ---------------------------------------------------------------------------------------------
    first_day: date = Field(default=date(2021, 3, 26), description="First market day that is a partition.")
    default_receive_lag_s: int = Field(
        default=30, ge=0, le=86_400, description="received_at - posted_at where a row has no received_at, s."
    )
    decision_latency_ms: int = Field(
        default=250, ge=0, le=60_000, description="From received_at to the earliest simulated entry, ms."
    )
    future_tolerance_s: int = Field(
        default=300, ge=0, le=3_600, description="How far a stamp may lie after ingestion, s."
    )

    # --- signals and uploads ------------------------------------------------------------------------------
    upload_file_rows_max: int = Field(default=2_000_000, gt=0, description="Rows of one file ingest.")
    upload_file_bytes_max: int = Field(
        default=1_000_000_000, gt=0, description="Expanded bytes of one file ingest."
    )
    upload_http_rows_max: int = Field(default=200_000, gt=0, description="Rows of one HTTP upload.")
    upload_http_bytes_max: int = Field(
        default=200_000_000, gt=0, description="Expanded bytes of one HTTP upload."
    )
    upload_gzip_ratio_max: int = Field(default=100, gt=0, description="Expanded bytes per compressed byte.")
    upload_field_length_max: int = Field(default=4_096, gt=0, description="Characters of one field.")
    signal_dir: Path = Field(
        default=Path(), description="Watched folder of live signals; empty = <home>/signals."
    )
    door_age_max_s: int = Field(
        default=86_400,
        ge=60,
        le=2_592_000,
        description="An idea posted longer ago is history, which webhook and signal folder refuse, s.",
    )
    webhook_keys: SecretStr | None = Field(
        default=None,
        description=(
            "Keys of the signal webhook, JSON: source to a list of 1 to 3 keys, any of which serves "
            "(`propdesk doors key` makes one); empty = no webhook."
        ),
    )
    webhook_port: int = Field(
        default=0, ge=0, le=65535, description="Port of the signal webhook; 0 = chosen and remembered."
    )
    webhook_bytes_max: int = Field(
        default=262_144, ge=1_024, le=16_777_216, description="Bytes of one body of the webhook."
    )
    duplicate_window_min: int = Field(
        default=30, ge=0, le=1_440, description="Reposts lie within this many minutes."
    )
    duplicate_entry_ratio: float = Field(
        default=0.005, ge=0.0, le=0.1, description="Reposts' entries lie within this ratio."
    )
    claim_lag_max_s: int = Field(
        default=600, ge=0, le=86_400, description="A claim older than this at its receipt is back-dated, s."
    )
    after_move_r: float = Field(
        default=1.0,
        gt=0,
        le=10,
        description="Price beyond the entry at which an idea came after the move, R.",
    )
    validity_swing_days: int = Field(
        default=5, gt=0, le=60, description="Market days a swing entry stays valid."
    )
    validity_positional_days: int = Field(
        default=15, gt=0, le=120, description="Market days a positional entry stays valid."
    )
    time_out_swing_days: int = Field(
        default=10, gt=0, le=120, description="Market days after which a swing trade is closed."
    )
    time_out_positional_days: int = Field(
        default=40, gt=0, le=400, description="Market days after which a positional trade is closed."
    )

    # --- metrics and rules --------------------------------------------------------------------------------
    gate_profile: Literal["desk", "original"] = Field(
        default="desk", description="Gate profile that trades; both are computed."
    )
    gates_file: Path | None = Field(
        default=None, description="YAML of both gate profiles; empty = the project's own."
    )
    risk_file: Path | None = Field(
        default=None, description="YAML of limits and kill switches; empty = the project's own."
    )
    corpus_paise: int = Field(default=1_000_000_000, gt=0, description="Corpus of the account, paise.")
    analytical_capital_paise: int = Field(
        default=50_000_000, gt=0, description="Capital of the analytical size, paise."
    )
    window_days: int = Field(
        default=90, ge=2, le=400, description="Rolling window of the group metrics, calendar days."
    )
    half_life_days: float = Field(
        default=10.0, gt=0, le=365, description="Half-life of the recency weights, calendar days."
    )
    skill_window_market_days: int = Field(
        default=250, gt=0, le=2_500, description="Window of the skill estimate, market days."
    )
    skill_half_life_days: float = Field(
        default=60.0, gt=0, le=1_000, description="Half-life of the skill estimate, market days."
    )
    skill_hurdle_r: float = Field(
        default=0.05, ge=-1, le=1, description="Net R per trade that a rule must exceed."
    )
    risk_free: float = Field(default=0.0, ge=-0.5, le=0.5, description="Yearly risk-free rate, ratio.")
    regime_scope: Literal["market", "underlying"] = Field(
        default="market", description="Whose regime the rules use."
    )

    # --- trading ------------------------------------------------------------------------------------------
    trading_mode: Literal["paper", "live"] = Field(
        default="paper", description="Paper fills, or orders at the broker."
    )
    preflight_age_max_s: int = Field(
        default=10_800,
        ge=60,
        le=86_400,
        description="In live mode a day starts only on a passed preflight that began no longer ago, s.",
    )
    broker: Literal["paper", "dhan"] = Field(
        default="paper", description="Who takes the orders; dhan in paper mode is a sandbox on this machine."
    )
    price_feed: Literal["store", "dhan"] = Field(
        default="store",
        description="Prices of the running day: what others write into the price store, or also Dhan's feed, "
        "which is recorded (PROPDESK_DHAN_DATA_TOKEN).",
    )
    size_model: Literal["analytical", "desk"] = Field(
        default="desk", description="Analytical lots, or risk-based desk size."
    )
    reverse_mode: Literal["off", "shadow", "paper", "live"] = Field(
        default="paper", description="What becomes of reverse trades."
    )
    reverse_option_mode: Literal["off", "sell", "opposite_type"] = Field(
        default="off", description="How a bought option is reversed."
    )
    widening_mode: Literal["off", "shadow", "on"] = Field(default="shadow", description="Stop-hunt widening.")
    allow_looser_stoploss: bool = Field(
        default=False, description="Follow an advisor's update that loosens a stop."
    )
    stale_after_s: int = Field(
        default=5, gt=0, le=3_600, description="Age beyond its feed's interval at which a price is stale, s."
    )
    unpriced_days: str = Field(
        default="",
        pattern=r"^\s*(\d{4}-\d{2}-\d{2}(\s*,\s*\d{4}-\d{2}-\d{2})*)?\s*$",
        description="Past days, by commas, that may be closed although prices of open positions are missing.",
    )
    signal_fresh_s: int = Field(
        default=60, gt=0, le=3_600, description="Age at which an entry caught up after a start is STALE, s."
    )
    command_valid_s: int = Field(
        default=300,
        gt=0,
        le=86_400,
        description="How long resume, exit and cancel wait for a daemon that is away, s.",
    )
    crowd_min_advisors: int = Field(
        default=5, ge=1, le=1_000, description="Distinct advisors a crowd score needs."
    )
    crowd_threshold: float = Field(
        default=0.75, ge=0.5, le=1.0, description="Crowd score above which an aligned trade grows."
    )
    crowd_multiplier: float = Field(
        default=1.25, ge=1.0, le=3.0, description="Capital factor of an aligned crowd."
    )
    crowd_feed: Literal["positions", "advisors"] = Field(
        default="positions", description="Which count feeds the crowd score."
    )
    crowd_mode: Literal["shadow", "on"] = Field(
        default="on", description="Record the crowd factor only, or apply it."
    )
    category_allocations: dict[str, float] = Field(
        default={"NSE_EQ": 0.30, "INDEX_FUT": 0.15, "STOCK_FUT": 0.15, "INDEX_OPT": 0.20, "STOCK_OPT": 0.10},
        description="Share of the corpus per category, JSON; the sum is at most 1.",
    )
    adverse_allocation: float = Field(
        default=0.10, ge=0.0, le=1.0, description="Share of the corpus of the reverse pool."
    )

    # --- broker -------------------------------------------------------------------------------------------
    dhan_client_id: str = Field(
        default="", pattern=r"^[A-Za-z0-9_-]{0,32}$", description="Client id at Dhan; empty = no account."
    )
    dhan_access_token: SecretStr | None = Field(
        default=None, description="Access token (JWT) for trading; live mode or a local sandbox only."
    )
    dhan_pin: SecretStr | None = Field(
        default=None, description="PIN of the login by TOTP; live mode or a local sandbox only."
    )
    dhan_totp_secret: SecretStr | None = Field(
        default=None, description="TOTP seed (base32) of the login; live mode or a local sandbox only."
    )
    dhan_data_token: SecretStr | None = Field(
        default=None, description="Access token that serves prices and instruments only, in any mode."
    )
    dhan_rest_url: str = Field(default="https://api.dhan.co/v2", description="Dhan's REST address.")
    dhan_auth_url: str = Field(default="https://auth.dhan.co", description="Dhan's login address.")
    dhan_order_update_url: str = Field(
        default="wss://api-order-update.dhan.co", description="Dhan's order-update WebSocket."
    )
    dhan_feed_url: str = Field(default="wss://api-feed.dhan.co", description="Dhan's market-feed WebSocket.")
    dhan_master_url: str = Field(
        default="https://images.dhan.co/api-data/api-scrip-master.csv", description="Dhan's scrip master."
    )

    # --- surfaces -----------------------------------------------------------------------------------------
    api_port: int = Field(
        default=0, ge=0, le=65535, description="Port of the API; 0 = chosen and remembered."
    )
    ui_port: int = Field(
        default=0, ge=0, le=65535, description="Port of the dashboard; 0 = chosen and remembered."
    )
    api_secret: SecretStr | None = Field(
        default=None, description="Key that signs the API's tokens, 32 characters or more."
    )
    api_access_token_s: int = Field(
        default=600, ge=30, le=3_600, description="An access token of the API serves for this long, s."
    )
    api_session_h: int = Field(
        default=12, ge=1, le=720, description="After this a person logs in anew, however active, hours."
    )
    api_trusted_proxies: str = Field(
        default="",
        description=(
            "Addresses or networks, by commas, of proxies before the API whose X-Forwarded-For is believed; "
            "empty = nobody's."
        ),
    )

    # --- messages to people -------------------------------------------------------------------------------
    notify_recipients: dict[str, dict[str, str]] = Field(
        default={},
        description=(
            "Who is told, JSON: name to address by channel (wuzapi: number with country code, telegram: chat "
            "id); none = nobody."
        ),
    )
    notify_channels: dict[str, list[str]] = Field(
        default={
            "critical": ["wuzapi", "telegram"],
            "warning": ["wuzapi", "telegram"],
            "info": ["telegram", "wuzapi"],
        },
        description="Channels by severity, JSON: the first is tried first; none = that severity is not sent.",
    )
    notify_attempts_max: int = Field(
        default=30, ge=1, le=1_000, description="A message is a dead letter after so many attempts."
    )
    notify_backlog_s: int = Field(
        default=86_400,
        ge=60,
        description=(
            "What is older when its turn comes for the first time is passed over, seconds; one message says "
            "how many were, and holds the newest critical ones."
        ),
    )
    telegram_bot_token: SecretStr | None = Field(
        default=None, description="Token of the Telegram bot that sends; empty = no Telegram."
    )
    telegram_people: dict[str, str] = Field(
        default={},
        description=(
            "Who may ask and command by Telegram, JSON: id of the person at Telegram to login; the login's "
            "role says what. Nobody if empty."
        ),
    )
    telegram_url: str = Field(default="https://api.telegram.org", description="Telegram's Bot API.")
    wuzapi_url: str = Field(default="", description="WuzAPI server that sends by WhatsApp; empty = none.")
    wuzapi_token: SecretStr | None = Field(
        default=None, description="Token of the WuzAPI user whose number sends."
    )
    wuzapi_is_private: bool = Field(
        default=False,
        description="The WuzAPI server may lie in a private network, and be called without TLS there.",
    )

    # --- running ------------------------------------------------------------------------------------------
    run_timeout_s: int = Field(default=3_600, gt=0, description="A pipeline run is ended after this, s.")
    start_timeout_s: int = Field(
        default=120, gt=0, description="A server or process must answer within this after its start, s."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level written to the logs."
    )
    retention_runs_days: int = Field(
        default=90, gt=0, description="Days for which pipeline runs keep their logs."
    )
    seed: int = Field(
        default=7, ge=0, le=2**31 - 1, description="Seed of the sample market and of every simulation."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_places(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Empty strings mean "not set"; places follow the home unless named."""
        filled = {key: value for key, value in values.items() if value != ""}
        home = Path(filled.get("home") or default_home()).expanduser().absolute()
        filled["home"] = home
        filled.setdefault("data_dir", home / "data")
        filled.setdefault("upload_dir", home / "uploads")
        filled.setdefault("signal_dir", home / "signals")
        filled.setdefault("dagster_home", home / "dagster")
        filled.setdefault("price_store_url", str(home / "prices"))
        return filled

    @field_validator(
        "postgres_url",
        "postgres_pipeline_url",
        "postgres_daemon_url",
        "postgres_reader_url",
        "postgres_access_url",
        "postgres_notifier_url",
    )
    @classmethod
    def _driver_is_named(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith("postgresql+psycopg://"):
            raise ValueError("must start with postgresql+psycopg:// (the driver is always named)")
        return value

    @field_validator("api_trusted_proxies")
    @classmethod
    def _proxies_are_networks(cls, value: str) -> str:
        found = [word.strip() for word in value.split(",") if word.strip()]
        for word in found:
            try:
                ipaddress.ip_network(word)
            except ValueError:
                raise ValueError(f"{word!r} is no address and no network like 172.16.0.0/12") from None
        return ",".join(found)

    @field_validator("webhook_keys")
    @classmethod
    def _webhook_keys_are_strong(cls, value: SecretStr | None) -> SecretStr | None:
        for source, keys in _keyring(value).items():
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", source):
                raise ValueError("a source is named by up to 32 letters, digits, - and _")
            if not 1 <= len(keys) <= WEBHOOK_KEYS_MAX:
                raise ValueError(f"{source} needs 1 to {WEBHOOK_KEYS_MAX} keys")
            if any(len(key) < WEBHOOK_KEY_LENGTH_MIN for key in keys):
                raise ValueError(
                    f"a key of {source} has fewer than {WEBHOOK_KEY_LENGTH_MIN} characters: take a random one"
                )
        held = [key for keys in _keyring(value).values() for key in keys]
        if len(set(held)) != len(held):
            raise ValueError("the same key is there twice: each source needs its own")
        return value

    @field_validator("category_allocations")
    @classmethod
    def _shares_are_shares(cls, value: dict[str, float]) -> dict[str, float]:
        known = {"NSE_EQ", "INDEX_FUT", "STOCK_FUT", "INDEX_OPT", "STOCK_OPT"}
        unknown = sorted(set(value) - known)
        if unknown:
            raise ValueError(f"knows no category {', '.join(unknown)}; use {', '.join(sorted(known))}")
        if not all(0.0 <= share <= 1.0 for share in value.values()):
            raise ValueError("every share must lie between 0 and 1")
        return value

    @model_validator(mode="after")
    def _budget_is_not_exceeded(self) -> Self:
        total = sum(self.category_allocations.values()) + self.adverse_allocation
        if total > 1.0 + 1e-9:
            raise ValueError(
                f"category_allocations and adverse_allocation together are {total:.4f}, at most 1 is allowed"
            )
        return self

    @field_validator(
        "dhan_rest_url", "dhan_auth_url", "dhan_order_update_url", "dhan_feed_url", "dhan_master_url"
    )
    @classmethod
    def _dhan_is_encrypted(cls, value: str) -> str:
        scheme = urlsplit(value).scheme
        if scheme not in ("https", "wss") and not (scheme in ("http", "ws") and is_loopback(value)):
            raise ValueError("must start with https:// or wss:// (without TLS on this machine only)")
        return value.rstrip("/")

    @field_validator("notify_recipients")
    @classmethod
    def _recipients_have_addresses(cls, value: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        if len(value) > RECIPIENTS_MAX:
            raise ValueError(f"names more than {RECIPIENTS_MAX} recipients")
        seen: set[tuple[str, str]] = set()
        for name, addresses in value.items():
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", name):
                raise ValueError(f"{name!r} is no name of up to 32 letters, digits, - and _")
            for channel, address in addresses.items():
                if channel not in _ADDRESSES:
                    raise ValueError(f"knows no channel {channel!r}; use {', '.join(_ADDRESSES)}")
                if not re.fullmatch(_ADDRESSES[channel], address):
                    raise ValueError(f"the address of {name} is none of {channel}")
                if (channel, address) in seen:
                    raise ValueError(f"the address of {name} at {channel} is there twice")
                seen.add((channel, address))
        return value

    @field_validator("telegram_people")
    @classmethod
    def _people_have_logins(cls, value: dict[str, str]) -> dict[str, str]:
        for number, login in value.items():
            if not re.fullmatch(r"[1-9]\d{0,18}", number):
                raise ValueError(f"{number!r} is no id of a person at Telegram, which is a number")
            if not re.fullmatch(LOGIN_PATTERN, login):
                raise ValueError(f"{login!r} is no login")
        return value

    @field_validator("notify_channels")
    @classmethod
    def _channels_are_known(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        unknown = {name for route in value.values() for name in route} - set(_ADDRESSES)
        if unknown or set(value) - {"critical", "warning", "info"}:
            raise ValueError(f"takes critical, warning and info, each with a list of {', '.join(_ADDRESSES)}")
        return {severity: list(dict.fromkeys(route)) for severity, route in value.items()}

    @model_validator(mode="after")
    def _messages_are_encrypted(self) -> Self:
        for name, url in (("TELEGRAM_URL", self.telegram_url), ("WUZAPI_URL", self.wuzapi_url)):
            parts = urlsplit(url)
            if not url:
                continue
            if parts.username or parts.password or parts.query or parts.fragment or not parts.hostname:
                raise ValueError(f"{ENV_PREFIX}{name} is a plain address: no login, no query in it")
            is_plain_allowed = is_loopback(url) or (name == "WUZAPI_URL" and self.wuzapi_is_private)
            if parts.scheme != "https" and not (parts.scheme == "http" and is_plain_allowed):
                raise ValueError(
                    f"{ENV_PREFIX}{name} must start with https:// (without TLS on this machine only, or with "
                    f"{ENV_PREFIX}WUZAPI_IS_PRIVATE)"
                )
        return self

    @model_validator(mode="after")
    def _paper_holds_no_live_credentials(self) -> Self:
        held = [name for name in ("dhan_access_token", "dhan_pin", "dhan_totp_secret") if getattr(self, name)]
        if held and self.trading_mode != "live" and not self.dhan_is_local:
            names = ", ".join(f"{ENV_PREFIX}{name.upper()}" for name in held)
            raise ValueError(
                f"{names} would let a paper process trade: set {ENV_PREFIX}TRADING_MODE=live, or remove it "
                f"({ENV_PREFIX}DHAN_DATA_TOKEN serves prices)"
            )
        return self

    @property
    def days_without_prices(self) -> frozenset[str]:
        """Past days (ISO) that a person allows to be closed without stored prices."""
        return frozenset(word.strip() for word in self.unpriced_days.split(",") if word.strip())

    @property
    def tells_people(self) -> bool:
        """Whether anybody is to be told by a channel whose token is set."""
        tokens = {"wuzapi": self.wuzapi_url and self.wuzapi_token, "telegram": self.telegram_bot_token}
        return any(
            tokens.get(channel) for addresses in self.notify_recipients.values() for channel in addresses
        )

    @property
    def hears_people(self) -> bool:
        """Whether anybody may ask and command by Telegram."""
        return bool(self.telegram_people and self.telegram_bot_token)

    @property
    def dhan_is_local(self) -> bool:
        """Whether every address that sees credentials is on this machine: a sandbox, no live broker."""
        urls = (self.dhan_rest_url, self.dhan_auth_url, self.dhan_order_update_url, self.dhan_feed_url)
        return all(is_loopback(url) for url in urls)

    @property
    def broker_identity(self) -> str:
        """Which account at which broker is traded: ``paper``, or the client id and every address."""
        if self.broker == "paper" and self.trading_mode == "paper":
            return "paper"
        urls = (self.dhan_rest_url, self.dhan_auth_url, self.dhan_order_update_url, self.dhan_feed_url)
        return f"client {self.dhan_client_id or 'none'} at {' '.join(urls)}"

    def database_url(self, role: DatabaseRole = "owner") -> str:
        """Give the SQLAlchemy URL (with its password) for one role.

        Parameters
        ----------
        role : {"owner", "pipeline", "daemon", "reader", "access", "notifier"}
            Whose rights are needed; a role without a URL of its own uses ``postgres_url``.

        Returns
        -------
        str
            ``postgresql+psycopg://...``; never log it.

        Raises
        ------
        NotConfigured
            If no PostgreSQL is known.
        """
        own = {
            "owner": None,
            "pipeline": self.postgres_pipeline_url,
            "daemon": self.postgres_daemon_url,
            "reader": self.postgres_reader_url,
            "access": self.postgres_access_url,
            "notifier": self.postgres_notifier_url,
        }[role]
        return _reveal(own or self.postgres_url, "the address of PostgreSQL", "POSTGRES_URL")

    def dagster_database_url(self) -> str:
        """Give the URL of Dagster's own database; raises `NotConfigured` if none is known."""
        return _reveal(
            self.dagster_postgres_url, "the address of Dagster's PostgreSQL", "DAGSTER_POSTGRES_URL"
        )

    def redis_dsn(self) -> str:
        """Give the Redis URL with its password; raises `NotConfigured` if none is known."""
        return _reveal(self.redis_url, "the address of Redis", "REDIS_URL")

    def api_signing_key(self) -> str:
        """Give the key of the API's tokens.

        Raises
        ------
        NotConfigured
            If none is known.
        ConfigFault
            If it is short enough to be guessed.
        """
        key = _reveal(self.api_secret, "the key of the API's tokens", "API_SECRET")
        if len(key) < API_SECRET_LENGTH_MIN:
            raise ConfigFault(
                f"{ENV_PREFIX}API_SECRET is shorter than {API_SECRET_LENGTH_MIN} characters: "
                "take a random one."
            )
        return key

    def webhook_keyring(self) -> dict[str, tuple[str, ...]]:
        """Give the keys of the webhook by source; raises `NotConfigured` where there are none."""
        _reveal(self.webhook_keys, "a key of the signal webhook", "WEBHOOK_KEYS")
        return _keyring(self.webhook_keys)

    def mongo_dsn(self) -> str:
        """Give the MongoDB URL; raises `NotConfigured` if none is known (look at ``mongo_url`` first)."""
        return _reveal(self.mongo_url, "the address of MongoDB", "MONGO_URL")

    def secret_values(self) -> frozenset[str]:
        """List the values that must never be written to a log."""
        values = (getattr(self, name) for name in type(self).model_fields)
        keys = (key for held in _keyring(self.webhook_keys).values() for key in held)
        return frozenset((*(v.get_secret_value() for v in values if isinstance(v, SecretStr)), *keys))


def _keyring(value: SecretStr | None) -> dict[str, tuple[str, ...]]:
    try:
        found = {} if value is None else json.loads(value.get_secret_value())
    except ValueError:
        raise ValueError("is not valid JSON") from None
    is_ring = isinstance(found, dict) and all(
        isinstance(keys, list) and all(isinstance(key, str) for key in keys) for keys in found.values()
    )
    if not is_ring:
        raise ValueError("must be a JSON object: source to a list of keys")
    return {source: tuple(keys) for source, keys in found.items()}


def _reveal(value: SecretStr | None, what: str, variable: str) -> str:
    if value is None:
        raise NotConfigured(
            f"{what[0].upper() + what[1:]} is not known: start the system with `python3 run.py up`, "
            f"or set {ENV_PREFIX}{variable}."
        )
    return value.get_secret_value()


def load_settings(env_file: Path | None = None, *, runtime: bool = True) -> Settings:
    """Read the settings of this process once.

    Parameters
    ----------
    env_file : Path, optional
        Read this file instead of ``.env`` of the clone and ``runtime.env`` of the data folder.
    runtime : bool
        False leaves ``runtime.env`` out: only what a person set.

    Returns
    -------
    Settings
        Frozen and validated.

    Raises
    ------
    ConfigFault
        If a value is not usable; the sentence names the variable, never its value.
    """
    dotenv = CLONE_ROOT / ".env"
    home = os.environ.get(f"{ENV_PREFIX}HOME") or _value_in(env_file or dotenv, f"{ENV_PREFIX}HOME")
    place = Path(home).expanduser().absolute() if home else default_home()
    # pydantic-settings lets the later file win, and the environment win over both
    own = (place / RUNTIME_ENV_NAME,) if runtime else ()
    files = (env_file,) if env_file else (*own, dotenv)
    readable = tuple(f for f in files if f.is_file() and os.access(f, os.R_OK))
    if env_file and not readable:
        raise ConfigFault(f"The settings file {env_file} does not exist or cannot be read.")
    try:
        return Settings(_env_file=readable, home=place)
    except ValidationError as error:
        raise ConfigFault(_sentence(error)) from None
    except SettingsError as error:
        # raised before validation, for text that is not JSON; it names the field between quotes
        name = str(error).partition('"')[2].partition('"')[0].upper()
        raise ConfigFault(f"A setting cannot be used: {ENV_PREFIX}{name}: Input is not valid JSON.") from None


def _value_in(file: Path, name: str) -> str | None:
    return dotenv_values(file).get(name) if file.is_file() and os.access(file, os.R_OK) else None


def _sentence(error: ValidationError) -> str:
    parts = []
    for item in error.errors(include_input=False, include_url=False):
        name = f"{ENV_PREFIX}{str(item['loc'][0]).upper()}" if item["loc"] else "The settings"
        parts.append(f"{name}: {item['msg'].removeprefix('Value error, ')}")
    return "A setting cannot be used: " + "; ".join(parts) + "."


def render_env_example() -> str:
    """Write ``.env.example`` from the fields, so that no setting is undocumented.

    Returns
    -------
    str
        One comment and one commented-out assignment with the default per field.
    """
    lines = [
        "# Settings of propdesk. Copy to .env and uncomment what differs; the environment wins over it.",
        "# Written by scripts/env_example from adapters/settings.py: change it there.",
        "",
    ]
    for name, field in Settings.model_fields.items():
        default = field.default
        if default is None or default == Path():
            shown = ""
        elif isinstance(default, dict):
            shown = json.dumps(default)
        elif isinstance(default, bool):
            shown = str(default).lower()
        else:
            shown = str(default)
        lines += [f"# {field.description}", f"# {ENV_PREFIX}{name.upper()}={shown}", ""]
    lines.append("# For docker compose only: passwords that its containers are made with; no defaults.")
    lines += [f"# {name}=" for name in DEPLOY_PASSWORDS]
    return "\n".join(lines) + "\n"
