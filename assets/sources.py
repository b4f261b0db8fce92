"""What the pipeline reads but does not make, so that the lineage shows where everything comes from."""

from dagster import AssetSpec

from assets._shared.dress import OWNER

GROUP = "sources"

SOURCES = [
    AssetSpec(
        "uploads",
        description="Signal files taken in by `propdesk ingest` or the upload folder: `raw.uploads`, "
        "`raw.landed_rows`.",
        group_name=GROUP,
        owners=[OWNER],
        kinds={"postgres", "csv"},
    ),
    AssetSpec(
        "signal_collection",
        description="The MongoDB collection into which advisors' signals are written live.",
        group_name=GROUP,
        owners=[OWNER],
        kinds={"mongodb"},
    ),
    AssetSpec(
        "price_store",
        description="Minute bars, ticks and daily bars, one Parquet file per kind and day.",
        group_name=GROUP,
        owners=[OWNER],
        kinds={"parquet"},
    ),
    AssetSpec(
        "instruments",
        description="Instrument master as of date: `ref.instruments`.",
        group_name=GROUP,
        owners=[OWNER],
        kinds={"postgres"},
    ),
]
