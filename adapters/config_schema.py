"""YAML files that a person edits, checked against a schema: what is wrong is named by its place."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from propdesk.core.errors import ConfigFault


class Strict(BaseModel):
    """A section of a file; a name that nobody knows is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


M = TypeVar("M", bound=BaseModel)


def load_checked(path: Path, schema: type[M], example: str) -> M:
    """Read a YAML file and check it.

    Parameters
    ----------
    path : Path
    schema : type of BaseModel
        Of the whole file.
    example : str
        File of the project that shows how it is done, for the error.

    Raises
    ------
    ConfigFault
        If the file is missing or malformed, with the place of the first fault.
    """
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return schema.model_validate(data)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigFault(f"{path} cannot be read as YAML: {error}; see {example}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top"
        raise ConfigFault(f"{path}, at {where}: {first['msg']}; see {example}") from error
