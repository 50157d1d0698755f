"""One code location: the pages in the folder of `defs/` that STATUS_PAGES names; all of them where it is not set.

So one copy, or one image, serves every location, and a page moves to another one by moving its folder.
"""

import os
from pathlib import Path

import dagster as dg

_pages = dg.ComponentTree.for_project(Path(__file__).parent)

defs = dg.Definitions.merge(
    _pages.build_defs(os.environ.get("STATUS_PAGES") or None),
    # Each run is one op: a process of its own for it would only cost seconds.
    dg.Definitions(executor=dg.in_process_executor),
)
