"""These tests are collected where their libraries are: `make test-deploy` installs them, and `make test` does not."""

from importlib.util import find_spec

import pytest

missing = [
    name for name in ("dagster_postgres", "dagster_k8s", "kubernetes_validate") if find_spec(name) is None
]
collect_ignore_glob = ["test_*.py"] if missing else []


@pytest.fixture(scope="session")
def images():
    """Return a container engine with the images of this project; a machine that cannot have one skips, and says why."""
    from .engine import engine, obstacle
    from .images import build_images

    if reason := obstacle():
        pytest.skip(reason)
    with engine() as made:
        build_images(made)
        yield made
