"""Signal files and batches into the database (step 1)."""

from adapters.uploads.ingest import (
    Door,
    ProgressCallback,
    UploadProgress,
    UploadSummary,
    ingest_documents,
    ingest_file,
)
from adapters.uploads.limits import UploadFault, UploadLimits
from adapters.uploads.profiles import list_profiles, load_aliases, load_profile

__all__ = [
    "Door",
    "ProgressCallback",
    "UploadFault",
    "UploadLimits",
    "UploadProgress",
    "UploadSummary",
    "ingest_documents",
    "ingest_file",
    "list_profiles",
    "load_aliases",
    "load_profile",
]
