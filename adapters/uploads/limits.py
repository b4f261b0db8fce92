"""How large an upload may be, and the faults that end one."""

from dataclasses import dataclass

from adapters.settings import Settings
from propdesk.core.errors import DataFault

LINE_BYTES_MAX = 1 << 20
"""One line or JSON record; 64 columns of the longest field would fit four times."""


class UploadFault(DataFault):
    """A whole file or batch that was not taken; nothing of it is left behind."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Bounds of one upload (§1.3).

    Rows, expanded bytes, expanded per compressed byte, characters per field.
    """

    rows_max: int
    bytes_max: int
    gzip_ratio_max: int
    field_length_max: int

    @classmethod
    def for_files(cls, settings: Settings) -> "UploadLimits":
        """Bounds of a file on this machine."""
        return cls(
            settings.upload_file_rows_max,
            settings.upload_file_bytes_max,
            settings.upload_gzip_ratio_max,
            settings.upload_field_length_max,
        )

    @classmethod
    def for_http(cls, settings: Settings) -> "UploadLimits":
        """Bounds of a file from the network."""
        return cls(
            settings.upload_http_rows_max,
            settings.upload_http_bytes_max,
            settings.upload_gzip_ratio_max,
            settings.upload_field_length_max,
        )
