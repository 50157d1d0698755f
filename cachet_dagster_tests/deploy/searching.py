"""A search for a text in whatever Dagster keeps in PostgreSQL, and in what its web server answers."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

from cachet_dagster_tests.warehouse.postgres import PostgresServer

from .cluster import Deployment

EVERYTHING = """
{
  runsOrError(limit: 500) { __typename ... on Runs { results {
    id jobName status runConfigYaml tags { key value }
    stats { __typename ... on PythonError { message stack } }
  } } }
  repositoriesOrError { __typename ... on RepositoryConnection { nodes {
    name location { name }
    jobs { name description tags { key value } }
    schedules { name scheduleState { ticks(limit: 20) { status error { message stack } skipReason } } }
    sensors { name description sensorState { ticks(limit: 20) {
      status cursor skipReason error { message stack }
    } } }
    allTopLevelResourceDetails { name configuredValues { key value } }
    displayMetadata { key value }
  } } }
  assetNodes { id assetKey { path } description metadataEntries { label description }
    assetMaterializations(limit: 3) { runId tags { key value } metadataEntries {
      label description ... on TextMetadataEntry { text } ... on JsonMetadataEntry { jsonString }
      ... on UrlMetadataEntry { url } ... on PathMetadataEntry { path }
    } }
  }
  instance { info daemonHealth { allDaemonStatuses { daemonType lastHeartbeatErrors { message stack } } } }
  workspaceOrError { __typename ... on Workspace { locationEntries { name displayMetadata { key value }
    locationOrLoadError { __typename ... on PythonError { message stack } } } } }
}
"""

LOGS = """
query logs($run: ID!) { logsForRun(runId: $run) { __typename ... on EventConnection { events {
  __typename ... on MessageEvent { message }
  ... on RunFailureEvent { error { message stack } }
  ... on ExecutionStepFailureEvent { error { message stack } failureMetadata { description } }
} } } }
"""


def answers(cluster: Deployment, runs: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield what was asked of the web server, and its answer; an AssertionError where it has not taken the query."""
    for name, query, variables in [
        ("everything", EVERYTHING, {}),
        *(("logs", LOGS, {"run": run}) for run in runs),
    ]:
        answer = cluster.graphql(query, **variables)
        assert "errors" not in json.loads(answer), answer[:2000]
        yield name, answer


def cells(server: PostgresServer, database: str) -> Iterator[tuple[str, str]]:
    """Yield the table and the text of every row of a database; what Dagster has packed is unpacked."""
    with server.connected(database) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT quote_ident(schemaname), quote_ident(tablename) FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        for schema, table in cursor.fetchall():
            cursor.execute(f"SELECT * FROM {schema}.{table}")
            for row in cursor.fetchall():
                yield f"{schema}.{table}", " ".join(map(_text, row))


def _text(cell: Any) -> str:
    if isinstance(cell, memoryview):
        try:
            return zlib.decompress(cell.tobytes()).decode()
        except zlib.error:
            return cell.tobytes().decode("utf-8", "replace")
    return str(cell)
