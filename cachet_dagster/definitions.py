"""What `dagster dev` loads here: the pages of `defs/`, and one process for each run."""

from pathlib import Path

from dagster import Definitions, in_process_executor

from cachet_dagster.pages import project_definitions

defs = Definitions.merge(
    project_definitions(Path(__file__).parent),
    # Each run is one op: a process of its own for it would only cost seconds.
    Definitions(executor=in_process_executor),
)
