"""Column lineage of the dbt models: worked out once per state of the models, kept in a file beside them.

Finding it takes more than a minute of parsing, which no daily run should pay; it changes only with the SQL.
``scripts/column_lineage`` writes the file anew, and a test fails while the file is of other models.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psycopg
from dagster import AssetKey, TableColumnDep, TableColumnLineage

from assets._shared.dbt_runner import PROJECT_DIR, DbtRunner

LINEAGE_FILE: Final = PROJECT_DIR / "column_lineage.json"
_SQL_FOLDERS: Final = ("models", "macros")

Lineage = dict[str, dict[str, list[list[str]]]]
"""Model → column → pairs of (asset, column) that it is made from."""


def project_fingerprint(project_dir: Path = PROJECT_DIR) -> str:
    """Hash the SQL of the project, 16 hex digits.

    Parameters
    ----------
    project_dir : Path

    Returns
    -------
    str
        Changes with any model or macro.
    """
    digest = hashlib.sha256()
    for folder in _SQL_FOLDERS:
        for file in sorted((project_dir / folder).rglob("*.sql")):
            digest.update(file.relative_to(project_dir).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def read_lineage(file: Path = LINEAGE_FILE) -> dict[str, TableColumnLineage]:
    """Read the kept lineage.

    Parameters
    ----------
    file : Path

    Returns
    -------
    dict
        By name of the model; empty if there is no file.
    """
    if not file.exists():
        return {}
    models: Lineage = json.loads(file.read_text(encoding="utf-8"))["models"]
    return {
        name: TableColumnLineage(
            {
                column: [TableColumnDep(AssetKey(asset), source) for asset, source in sources]
                for column, sources in columns.items()
            }
        )
        for name, columns in models.items()
    }


def write_lineage(lineage: Lineage, file: Path = LINEAGE_FILE) -> None:
    """Keep a lineage with the fingerprint of the models it belongs to."""
    content = {"fingerprint": project_fingerprint(file.parent), "models": lineage}
    file.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def find_lineage(runner: DbtRunner, translator: Any, connection: "psycopg.Connection[Any]") -> Lineage:
    """Work the lineage out from the compiled SQL of the last build.

    Parameters
    ----------
    runner : DbtRunner
        Its project must have been built, so that the compiled SQL is there.
    translator : DagsterDbtTranslator
        Names the assets.
    connection : psycopg.Connection
        To the database in which the models were built.

    Returns
    -------
    Lineage
        For every model.
    """
    from dagster_dbt.core.dbt_cli_event import EventHistoryMetadata, _build_column_lineage_metadata

    manifest, columns = runner.manifest, _columns(connection)
    found: Lineage = {}
    for node in manifest["nodes"].values():
        if node["resource_type"] != "model":
            continue
        history = EventHistoryMetadata(
            columns=columns[node["schema"], node["alias"]], parents=_parents(manifest, node, columns)
        )
        metadata = _build_column_lineage_metadata(
            history, node, manifest, translator, runner.target_dir, None
        )
        deps = metadata["dagster/column_lineage"].deps_by_column
        found[node["name"]] = {
            column: sorted([dep.asset_key.to_user_string(), dep.column_name] for dep in sources)
            for column, sources in sorted(deps.items())
        }
    return found


_Columns = dict[tuple[str, str], dict[str, dict[str, Any]]]


def _columns(connection: "psycopg.Connection[Any]") -> _Columns:
    rows = connection.execute(
        "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
    )
    found: _Columns = {}
    for schema, table, column, type_name in rows:
        found.setdefault((schema, table), {})[column] = {"data_type": type_name}
    return found


def _parents(
    manifest: Mapping[str, Any], node: Mapping[str, Any], columns: _Columns
) -> dict[str, dict[str, Any]]:
    parents = {}
    for unique_id in node["depends_on"]["nodes"]:
        parent = manifest["nodes"].get(unique_id) or manifest["sources"][unique_id]
        name = parent.get("alias") or parent["identifier"]
        parents[parent["relation_name"]] = columns[parent["schema"], name]
    return parents
