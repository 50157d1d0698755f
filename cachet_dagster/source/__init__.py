"""Cachet's REST API as a dlt source. It imports no Dagster, and can be used alone:

    import dlt
    from cachet_dagster.source import cachet_source

    pipeline = dlt.pipeline("my_cachet", destination="duckdb", dataset_name="cachet_data")
    pipeline.run(cachet_source(base_url="https://status.example.com"))

The token comes from `.dlt/secrets.toml` (`[sources.cachet_source] api_key = "…"`) or the environment
(`SOURCES__CACHET_SOURCE__API_KEY`), as dlt resolves it; without one the source reads as a guest.
"""

from .details import ByIdRequest
from .dlt_source import cachet_source
from .endpoints import ENDPOINTS, FILLED_BY, Endpoint
from .errors import CachetError
from .reader import CachetReader, EndpointRead
from .resources import metric_points_resource, table_resource
from .settings import CachetSettings
from .stored import stored_tables
from .tables import TABLES

__all__ = [
    "ENDPOINTS",
    "FILLED_BY",
    "TABLES",
    "ByIdRequest",
    "CachetError",
    "CachetReader",
    "CachetSettings",
    "Endpoint",
    "EndpointRead",
    "cachet_source",
    "metric_points_resource",
    "stored_tables",
    "table_resource",
]
