"""This project's own pages: a folder with a `defs.yaml` each.

`dg scaffold defs cachet_dagster.StatusPageComponent NAME` adds one.
"""
