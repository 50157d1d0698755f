"""Dagster, in Dagster's own words. Everything here is put together in `cachet_dagster.definitions`."""
