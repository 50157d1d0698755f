"""`deploy/compose` as it is brought up by its users, beside it the Cachets of its pages, a container each.

What is other than in the file is what no machine without a registry has: the base image and PostgreSQL's. Services are
started in turn, since podman without systemd does not run health checks by itself.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import yaml

from cachet_dagster_tests.warehouse.postgres import PostgresServer

from .cluster import DEPLOY, Deployment, free_port, until
from .engine import POSTGRES_IMAGE, PYTHON_IMAGE, Engine
from .images import PAGES_IMAGE, WEB_IMAGE, copy_checkout
from .pages import SECRETS
from .servers import OPTIONS

PASSWORD = "ofLettersAndDigits1"
PROJECT = "status-pages"
SOURCES = ("cachet_dagster", "cachet_dagster_tests")
CACHETS = [f"cachet-{name}" for name in OPTIONS]


class PostgresContainer(PostgresServer):
    """The database's container, as this process reaches it."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(free_port(), Path(), Path(), None, {})
        self.engine = engine
        self.name = container("postgres")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        self.engine.podman("start", self.name)
        self.wait()

    def stop(self, patience: float = 10) -> None:
        self.engine.podman("stop", "--time", str(int(patience)), self.name)

    def wait(self) -> None:
        """Return when its health check succeeds and both databases are there."""

        def answers() -> bool:
            with contextlib.suppress(psycopg2.OperationalError), self.connected("warehouse"):
                return True
            return False

        self.engine.until(self.name, "PostgreSQL answers", answers)
        self.engine.podman("healthcheck", "run", self.name)


def container(service: str) -> str:
    """Return the name of a service's container."""
    return f"{PROJECT}_{service}_1"


@dataclass
class Compose(Deployment):
    """Services of Compose.

    Attributes:
        engine: Runs their containers.
        more: Compose files beside `compose.yaml`, by their names in its folder.
        changes: What of services is other than in those files.
        variables: What `.env` says beside what `compose.yaml` wants.
        source: The file of Dagster's settings, in `deploy/`.
        volumes: What of volumes is other than in those files.
    """

    engine: Engine
    more: Sequence[str] = ()
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    source: str = "hosts/dagster.yaml"
    volumes: Mapping[str, Any] = field(default_factory=dict)
    web_port: int = field(default_factory=free_port, init=False)

    def __post_init__(self) -> None:
        copy_checkout(self.folder)
        self.at = self.folder / "deploy" / "compose"
        self.write_settings(self.source)
        shutil.copy(self.home / "dagster.yaml", self.folder / "deploy" / self.source)
        self.write_files()

    def write_files(self) -> None:
        """Write what `compose.yaml` wants, and what is other than in it."""
        variables = {
            "BASE": PYTHON_IMAGE, "POSTGRES_IMAGE": POSTGRES_IMAGE, "POSTGRES_PASSWORD": PASSWORD,
            "WEB_PORT": self.web_port, **SECRETS, **self.variables,
        }  # fmt: skip
        (self.at / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        cachets = {
            f"cachet-{server}": {
                "image": WEB_IMAGE,
                "command": ["python", "-m", "cachet_dagster_tests.deploy.servers", server],
                "environment": {"PYTHONPATH": "/tests", "PYTHONDONTWRITEBYTECODE": "1"},
                "volumes": [f"{DEPLOY.parent / name}:/tests/{name}:ro" for name in SOURCES],
            }
            for server in OPTIONS
        }
        images = dict.fromkeys(("a", "b"), PAGES_IMAGE) | dict.fromkeys(("daemon", "web"), WEB_IMAGE)
        services = {name: {"image": image, **self.changes.get(name, {})} for name, image in images.items()}
        postgres = {"ports": [f"127.0.0.1:{self.postgres.port}:5432"]}
        override = {"services": {**services, **cachets, "postgres": postgres}, "volumes": dict(self.volumes)}
        (self.at / "tests.yaml").write_text(yaml.safe_dump(override))

    @property
    def web_address(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    def compose(self, *arguments: str) -> None:
        """Run podman-compose on the files."""
        files = ["compose.yaml", *self.more, "tests.yaml"]
        program = str(Path(sys.executable).with_name("podman-compose"))
        named = [part for file in files for part in ("-f", str(self.at / file))]
        self.engine.run([program, *named, *arguments], within=300, cwd=self.at)

    def start(self, *services: str) -> None:
        """Start services."""
        self.compose("up", "--detach", "--no-build", "--no-deps", *services)

    def start_locations(self) -> None:
        """Start what the daemon and the web server need, and return when it is up."""
        self.start("postgres", *CACHETS)
        self.postgres.wait()  # type: ignore[attr-defined]
        self.start("a", "b")
        for name in ("a", "b"):
            self.wait_for_location(name)

    def wait_for_location(self, name: str) -> None:
        """Return when a code server has loaded its definitions."""
        there = container(name)
        self.engine.until(there, f"location {name} is up", lambda: self.engine.is_healthy(there), within=600)

    def wait_for_web(self) -> None:
        """Return when the web server answers."""
        self.engine.until(container("web"), "the web server answers", self.web_is_up, within=600)


@contextlib.contextmanager
def compose(engine: Engine, folder: Path, **options: Any) -> Iterator[Compose]:
    """Bring up databases, Cachets and code locations, for as long as the block lasts.

    Args:
        engine: Runs the containers.
        folder: Where the files are.
        options: Those of `Compose`; `disk` is the size of a disk that is mounted there, as `mount` takes it.
    """
    disk = options.pop("disk", None)
    made = Compose(folder, PostgresContainer(engine), options.pop("settings", {}), engine, **options)
    if disk:
        (folder / "disk").mkdir()
        engine.run(["mount", "-t", "tmpfs", "-o", f"size={disk}", "tmpfs", str(folder / "disk")], within=10)
    try:
        made.start_locations()
        with made.asked():
            yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "5")
        until("no container is left", lambda: not engine.podman("ps", "--all", "--quiet"), within=30)
        if disk:
            engine.run(["umount", str(folder / "disk")], within=10)
