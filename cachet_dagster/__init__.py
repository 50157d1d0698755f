"""A Cachet status page as Dagster assets: see `definitions.py` for the map."""
