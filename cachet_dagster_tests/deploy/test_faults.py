"""What is promised of hosts, of Compose's containers, and with more that breaks: `pytest -m soak` of this file.

The promises are those of `deploy/test_hosts.py`, by the same code. A location's container is killed while a load of it
writes; the database's container stops and starts while another load writes; a container's network is cut for a minute;
the daemon is killed; and the disk of the database is full for a while.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from dagster import DagsterRunStatus

from .cluster import FASTER, until
from .compose import Compose, compose, container
from .engine import Engine, engine, obstacle
from .images import build_images
from .pages import pages_in_containers
from .test_hosts import *  # noqa: F403
from .test_hosts import (
    RATE_LIMITED,
    UNDER_WAY,
    Stretch,
    restart_database,
    settle,
    under_way,
    written_to,
)

pytestmark = [pytest.mark.soak, pytest.mark.skipif(bool(obstacle()), reason=str(obstacle()))]

CUT_SECONDS = 60
DISK = "600m"


@dataclass(frozen=True)
class Printing:
    """A container, of which a test reads what it printed while it is there."""

    engine: Engine
    name: str

    @property
    def printed(self) -> str:
        return self.engine.printed(self.name)


def kill_location(services: Compose, pages) -> tuple[set[str], set[str]]:
    """Kill location b's container while a load of it writes; return its runs that had started, and the others."""
    until("a load of b writes", lambda: written_to(services, "b"), within=240, every=0.02)
    services.engine.podman("kill", container("b"))
    lost = under_way(services, pages, "b", DagsterRunStatus.STARTED)
    return lost, under_way(services, pages, "b") - lost


def replace_location(services: Compose) -> Printing:
    """Start another container of location b."""
    services.engine.podman("rm", "--force", container("b"))
    services.start("b")
    services.wait_for_location("b")
    return Printing(services.engine, container("b"))


def cut_network(services: Compose, pages) -> set[str]:
    """Cut location a's network for a minute while a load of it writes, and return its runs under way then."""
    podman, network = services.engine.podman, "status-pages_default"
    until("a load of a writes", lambda: written_to(services, "a"), within=240, every=0.02)
    before = under_way(services, pages, "a")
    podman("network", "disconnect", network, container("a"))
    time.sleep(CUT_SECONDS)
    podman("network", "connect", "--alias", "a", network, container("a"))
    services.wait_for_location("a")
    return before | under_way(services, pages, "a")


def kill_daemon(services: Compose) -> None:
    """Kill the daemon's container while runs are under way, and start it again."""
    until("a run is under way", lambda: services.runs(*UNDER_WAY), within=120)
    services.engine.podman("kill", container("daemon"))
    services.engine.podman("start", container("daemon"))


def fill_disk(services: Compose, pages) -> set[str]:
    """Fill the database's disk for some seconds while a load writes, and return the runs under way then."""
    podman, database = services.engine.podman, container("postgres")
    filler = "/var/lib/postgresql/data/filler"
    until("a load writes", lambda: written_to(services), within=240, every=0.02)
    before = under_way(services, pages, "a") | under_way(services, pages, "b")
    said = podman(
        "exec", database, "sh", "-c", f"cat /dev/zero > {filler}; df -P {filler} | tail -1", check=False
    )
    assert " 100% " in said, said
    time.sleep(20)
    (services.folder / "disk" / "filler").unlink()
    podman("start", database, check=False)
    services.postgres.wait()
    return before | under_way(services, pages, "a") | under_way(services, pages, "b")


@pytest.fixture(scope="module")
def stretch() -> Iterator[Stretch]:
    """Return what happened, once everything was loaded again."""
    pages = pages_in_containers()
    with engine() as made:
        build_images(made, pages)
        folder = made.folder / "faults"
        disk = {"postgres": {"driver_opts": {"type": "none", "o": "bind", "device": str(folder / "disk")}}}
        with compose(made, folder, settings=FASTER, volumes=disk, disk=DISK) as services:
            services.start("daemon")
            lost, cut = kill_location(services, pages)
            cut |= restart_database(services, pages)
            elsewhere = replace_location(services)
            until(
                "the lost runs are given up", lambda: not lost & under_way(services, pages, "b"), within=240
            )
            cut |= cut_network(services, pages)
            kill_daemon(services)
            cut |= fill_disk(services, pages)
            happened = Stretch(services, pages, elsewhere, lost, cut, time.time())
            sensors = pages["a_sensors"].server
            sensors.post_news(made.address(container("cachet-sensors")))
            settle(happened)
            services.compose("stop", "daemon")
            until("no run is under way", lambda: not services.runs(*UNDER_WAY), within=120)
            for name in RATE_LIMITED:
                server = pages[name].server
                happened.asked[name] = server.ask(made.address(container(server.name)), "asked")
            yield happened
