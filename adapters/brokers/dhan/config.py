"""What the Dhan adapter is told: addresses, credentials, and whether it may trade."""

from dataclasses import dataclass

from pydantic import SecretStr

from adapters.settings import ENV_PREFIX, Settings
from propdesk.core.errors import ConfigFault


@dataclass(frozen=True, slots=True)
class DhanConfig:
    """Addresses and credentials of one account; secrets mask themselves when shown.

    Attributes
    ----------
    client_id : str
        The account at Dhan.
    rest_url, auth_url, order_update_url, feed_url, master_url : str
        Without a trailing slash; a local sandbox stands in by other addresses.
    access_token, pin, totp_secret : SecretStr or None
        A token alone lasts a day; PIN and TOTP seed let the adapter log in by itself.
    may_trade : bool
        False refuses every call that could change an order or a position, before it leaves.
    """

    client_id: str
    rest_url: str
    auth_url: str
    order_update_url: str
    feed_url: str
    master_url: str
    access_token: SecretStr | None
    pin: SecretStr | None
    totp_secret: SecretStr | None
    may_trade: bool


def trading_config(settings: Settings) -> DhanConfig:
    """Make the configuration of a process that trades.

    Raises
    ------
    ConfigFault
        In paper mode unless every address is on this machine (a sandbox), or without credentials.
    """
    if settings.trading_mode != "live" and not settings.dhan_is_local:
        raise ConfigFault(
            f"Orders go to Dhan only with {ENV_PREFIX}TRADING_MODE=live, or to a sandbox on this machine "
            f"({ENV_PREFIX}DHAN_REST_URL and its siblings)."
        )
    can_login = settings.dhan_pin is not None and settings.dhan_totp_secret is not None
    if not settings.dhan_client_id or not (can_login or settings.dhan_access_token):
        raise ConfigFault(
            f"Dhan needs {ENV_PREFIX}DHAN_CLIENT_ID and either {ENV_PREFIX}DHAN_PIN with "
            f"{ENV_PREFIX}DHAN_TOTP_SECRET, or {ENV_PREFIX}DHAN_ACCESS_TOKEN."
        )
    return _config(settings, settings.dhan_access_token, is_trading=True)


def data_config(settings: Settings) -> DhanConfig:
    """Make the configuration of a process that only reads prices and instruments.

    Raises
    ------
    ConfigFault
        Without a client id or any token to read with.
    """
    token = settings.dhan_data_token or settings.dhan_access_token
    if not settings.dhan_client_id or token is None:
        raise ConfigFault(
            f"Prices from Dhan need {ENV_PREFIX}DHAN_CLIENT_ID and {ENV_PREFIX}DHAN_DATA_TOKEN."
        )
    return _config(settings, token, is_trading=False)


def _config(settings: Settings, token: SecretStr | None, *, is_trading: bool) -> DhanConfig:
    return DhanConfig(
        client_id=settings.dhan_client_id,
        rest_url=settings.dhan_rest_url,
        auth_url=settings.dhan_auth_url,
        order_update_url=settings.dhan_order_update_url,
        feed_url=settings.dhan_feed_url,
        master_url=settings.dhan_master_url,
        access_token=token,
        pin=settings.dhan_pin if is_trading else None,
        totp_secret=settings.dhan_totp_secret if is_trading else None,
        may_trade=is_trading,
    )
