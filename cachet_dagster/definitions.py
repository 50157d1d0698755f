"""What `dagster dev` loads here: the pages of `defs/`, and one process for each run."""

import warnings
from pathlib import Path

from dagster import BetaWarning, Definitions, PreviewWarning, in_process_executor

from cachet_dagster.project import project_definitions

# Dagster says of its own components, dozens of times at each start, that they use what it calls beta.
for category in (BetaWarning, PreviewWarning):
    warnings.filterwarnings("ignore", category=category, module=r"dagster\.")

defs = Definitions.merge(
    project_definitions(Path(__file__).parent),
    # Each run is one op: a process of its own for it would only cost seconds.
    Definitions(executor=in_process_executor),
)
