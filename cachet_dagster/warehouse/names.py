"""Names of datasets and pipelines: what they are unless somebody says otherwise, and which ones can be.

dlt silently rewrites a name that is no plain identifier, and what was loaded is then found under another
one. Such names are refused instead, by dlt's own rule.
"""

from __future__ import annotations

from dlt.common.normalizers.naming.snake_case import NamingConvention

from cachet_dagster.source.errors import SettingsError

DATASET = "cachet_data"
PIPELINE = "cachet_pipeline"

MAX_LENGTH = 40
"""PostgreSQL cuts a name at 63 bytes, and a run's staging dataset has the dataset's name and more."""

_SYSTEM = {"information_schema", "main", "pg_catalog", "public", "temp"}


def checked_name(what: str, name: str) -> str:
    """Return the name of a dataset or pipeline if every destination takes it as it is.

    Args:
        what: What it names, in a word.
        name: The name.

    Raises:
        SettingsError: It is no lower-case identifier, too long, or somebody else's.
    """
    plain = (
        name.isascii() and name.strip() and NamingConvention(MAX_LENGTH).normalize_identifier(name) == name
    )
    if not plain or name in _SYSTEM or name.endswith("_staging"):
        raise SettingsError(
            f"the {what} name {name!r} cannot be used",
            f"Take {MAX_LENGTH} lower-case letters, digits and single underscores at most, beginning with a letter "
            f"and not ending in _staging; {', '.join(sorted(_SYSTEM))} belong to databases.",
        )
    return name
