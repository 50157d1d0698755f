"""The images of this project, built of the checkout with the pages of the tests instead of the examples."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from .cluster import DEPLOY, write_pages
from .engine import PYTHON_IMAGE, Engine
from .pages import Page, divided, pages_in_containers

PAGES_IMAGE = "localhost/status-pages"
WEB_IMAGE = "localhost/status-pages-web"

PAGES = {
    name: page
    for name, page in pages_in_containers().items()
    if name in ("a_sensors", "a_two", "b_limited", "b_part")
}
"""The pages that are in the images: of both APIs, with and without a token, one of which fails in part."""


def copy_checkout(target: Path, pages: Mapping[str, Page] = PAGES) -> Path:
    """Copy what the images are built of and Compose reads, with the pages of the tests, and return where it is."""
    root = DEPLOY.parent
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(root / name, target / name)
    for name in ("cachet_dagster", "deploy"):
        shutil.copytree(root / name, target / name, ignore=shutil.ignore_patterns("__pycache__", ".env"))
    write_pages(target / "deploy" / "pages", divided(pages))
    return target


def build_images(engine: Engine, pages: Mapping[str, Page] = PAGES) -> None:
    """Build the image of the code locations, and that of the web server."""
    checkout = copy_checkout(engine.folder / "checkout", pages)
    for target, image in (("pages", PAGES_IMAGE), ("web", WEB_IMAGE)):
        engine.build(
            checkout, "--file", checkout / "deploy/kubernetes/Dockerfile",
            "--build-arg", f"BASE={PYTHON_IMAGE}", "--target", target, "--tag", image,
        )  # fmt: skip
