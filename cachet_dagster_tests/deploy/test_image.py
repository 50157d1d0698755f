"""The image, by a real build: what is in it, as whom it runs, and how it starts and ends."""

from __future__ import annotations

import time

import pytest

from .engine import PYTHON_IMAGE, Engine
from .images import PAGES_IMAGE
from .pages import SECRETS

pytestmark = pytest.mark.containers

SERVER = "image-server"
HARDENED = ["--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp", "--cap-drop", "all",
            "--security-opt", "no-new-privileges"]  # fmt: skip


@pytest.fixture(scope="module")
def server(images: Engine):
    """Return the seconds until a code server is healthy; its container may write to /tmp alone."""
    began = time.monotonic()
    images.podman("run", "--detach", "--name", SERVER, *HARDENED, "--env", "STATUS_PAGES=a", PAGES_IMAGE)
    images.until(SERVER, "the code server is healthy", lambda: images.is_healthy(SERVER))
    yield time.monotonic() - began
    images.podman("rm", "--force", SERVER)


def test_a_code_server_starts_as_user_1000_on_a_read_only_root_with_no_rights(images, server):
    described = images.container(SERVER)
    identity = images.podman("exec", SERVER, "id", "-u")
    tries = (
        "for file in /x /etc/x /opt/pages/x /src/x $HOME/x; do touch $file && echo $file; done 2>/dev/null"
    )
    written = images.podman("exec", SERVER, "sh", "-c", tries)
    processes = images.podman("exec", SERVER, "python", "-c", "print(open('/proc/self/status').read())")

    print(f"\nhealthy after {server:.1f} s")
    assert server < 60
    assert identity == "1000"
    assert described["HostConfig"]["ReadonlyRootfs"]
    assert written == "/tmp/x"
    assert "CapEff:\t0000000000000000" in processes


def test_sigterm_ends_it_at_once_and_well(images, server):
    images.podman("run", "--detach", "--name", "ends", *HARDENED, PAGES_IMAGE)
    images.until("ends", "the code server is healthy", lambda: images.is_healthy("ends"))
    began = time.monotonic()

    images.podman("stop", "--time", "30", "ends")

    seconds, state = time.monotonic() - began, images.container("ends")["State"]
    images.podman("rm", "--force", "ends")
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
    assert seconds < 15


def test_the_code_location_has_no_web_server_and_no_tools_of_developers(images):
    listed = images.podman("run", "--rm", PAGES_IMAGE, "pip", "list", "--format", "freeze")
    names = {line.partition("==")[0].partition(" @")[0] for line in listed.splitlines()}

    assert {"cachet_dagster", "dagster-postgres", "dagster-k8s"} <= names
    assert not names & {"dagster-webserver", "uvicorn", "starlette", "pytest", "playwright", "marimo"}


def test_no_layer_holds_a_token_an_index_or_a_certificate_of_the_machine_that_built_it(images):
    unwanted = {secret.encode() for secret in SECRETS.values()} | images.machines_own()
    below = sum(1 for _ in images.layers(PYTHON_IMAGE))
    written, found, sizes = set(), set(), []

    for layer in images.layers(PAGES_IMAGE):
        sizes.append(0)
        for entry, content in layer:
            sizes[-1] += entry.size / 1e6
            found |= {(entry.name, text) for text in unwanted if text in content}
            if len(sizes) > below and not entry.isdir():
                written.add(next((place for place in PLACES if entry.name.startswith(place)), entry.name))

    print(f"\nMB of each layer: {[round(size) for size in sizes]}, together {sum(sizes):.0f}")
    assert len(unwanted) >= 2
    assert found == set()
    assert written == set(PLACES)
    assert sum(sizes) < 1000


PLACES = ("usr/local/lib/python3", "usr/local/bin/", "src/", "opt/pages/")
"""Where the build writes."""
