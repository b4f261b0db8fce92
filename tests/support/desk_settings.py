"""Settings of a desk on the servers of the tests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.settings import Settings


def desk_settings(home: Path, urls: Mapping[str, str], **more: Any) -> Settings:
    """Settings of a desk at a home, on the database whose addresses by role are given; others as named."""
    return Settings(
        _env_file=None,
        home=home,
        postgres_url=urls["owner"],
        postgres_pipeline_url=urls["pipeline"],
        postgres_daemon_url=urls["daemon"],
        postgres_reader_url=urls["reader"],
        postgres_access_url=urls["access"],
        postgres_notifier_url=urls["notifier"],
        **more,
    )
