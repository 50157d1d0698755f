"""Several hosts on loopback: code servers with their run workers, a daemon and a web server, over one PostgreSQL.

The project, the workspace and Dagster's settings are those of `deploy/`; only addresses are others, and times are
shorter. A host is a group of processes with a folder of its own, and is lost as a whole: by SIGKILL, at one moment.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import yaml
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from cachet_dagster_tests.warehouse.places import Place
from cachet_dagster_tests.warehouse.postgres import PostgresServer

DEPLOY = Path(__file__).parents[2] / "deploy"

FASTER: Mapping[str, Mapping[str, Any]] = {
    "run_monitoring": {"poll_interval_seconds": 5, "start_timeout_seconds": 90, "max_runtime_seconds": 90},
    "run_coordinator": {
        "config": {
            "dequeue_interval_seconds": 2,
            "max_user_code_failure_retries": 60,
            "user_code_failure_retry_delay": 3,
        }
    },
    # Of two cores.
    "concurrency": {"runs": {"max_concurrent_runs": 3}},
    "sensors": {"num_workers": 2},
    "schedules": {"num_workers": 2},
}
"""What of Dagster's settings is other in the tests: times, and how many runs at once."""

Found = TypeVar("Found")


def until(what: str, look: Callable[[], Found | None], *, within: float, every: float = 0.5) -> Found:
    """Return what is found as soon as there is something; a TimeoutError names what was waited for."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(every)
    raise TimeoutError(f"{what}: not within {within:g} s")


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@dataclass
class Host:
    """A process with all that it starts, as a host has it.

    Attributes:
        name: What it is called in logs.
        command: The program and its arguments.
        folder: Where it works.
        environment: Its variables, beside those of the tests.
    """

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What it and all that it started printed."""
        return self.folder / f"{self.name}.log"

    @property
    def printed(self) -> str:
        """The text of its log."""
        return self.log.read_text()

    def start(self) -> None:
        """Start it."""
        self.folder.mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name(self.command[0]), *self.command[1:]],
                cwd=self.folder,
                env={**os.environ, "DLT_DATA_DIR": str(self.folder / "dlt"), **self.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> int:
        """Kill it and all that it started, as a loss of power does, and return how many processes those were."""
        if self.process is None:
            return 0
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.process.pid)
            # What is stopped starts nothing, so that none is missed.
            root.suspend()
            lost = [root, *root.children(recursive=True)]
            for process in lost:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None
            return len(lost)
        self.process.wait()
        self.process = None
        return 0

    def stop(self) -> None:
        """Ask it to end, and end it where it does not."""
        if self.process is None:
            return
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.kill()


@dataclass
class Deployment:
    """Dagster's parts and the pages' warehouse, wherever they run, as this process asks them.

    Attributes:
        folder: Where everything is.
        postgres: Holds Dagster's storage and the pages' datasets, in databases of their own.
        settings: What of Dagster's settings is other than in `deploy/`.
    """

    folder: Path
    postgres: PostgresServer
    settings: Mapping[str, Mapping[str, Any]]

    instance: DagsterInstance = field(init=False)

    @property
    def home(self) -> Path:
        """The folder of Dagster's settings."""
        return self.folder / "home"

    @property
    def web_address(self) -> str:
        """Where the web server answers."""
        raise NotImplementedError

    @contextlib.contextmanager
    def asked(self) -> Iterator[None]:
        """Let this process ask the same instance of Dagster for as long as the block lasts."""
        before = dict(os.environ)
        os.environ["DAGSTER_POSTGRES_URL"] = self.storage
        self.instance = DagsterInstance.from_config(str(self.home))
        try:
            yield
        finally:
            self.instance.dispose()
            os.environ.clear()
            os.environ.update(before)

    @property
    def credentials(self) -> str:
        """The warehouse's connection string."""
        return self.postgres.url("warehouse")

    @property
    def storage(self) -> str:
        """The connection string of Dagster's storage."""
        return self.postgres.url("dagster").replace("postgresql://", "postgresql+psycopg2://")

    def write_settings(self, source: str = "hosts/dagster.yaml") -> None:
        """Write settings of `deploy/` with what is other in them."""
        self.home.mkdir(parents=True, exist_ok=True)
        given = yaml.safe_load((DEPLOY / source).read_text())
        for name, values in self.settings.items():
            given[name] = {**given[name], **values}
        (self.home / "dagster.yaml").write_text(yaml.safe_dump(given))

    def runs(self, *statuses: DagsterRunStatus, **filters: Any) -> Sequence[DagsterRun]:
        """Return the runs of some statuses, of all where none is named; the newest first."""
        return self.instance.get_runs(RunsFilter(statuses=[*statuses] or None, **filters))

    def loads(self, page: str, *statuses: DagsterRunStatus) -> Sequence[DagsterRun]:
        """Return a page's runs that ask its Cachet; the newest first."""
        found = self.runs(*statuses, tags={"cachet/page": page})
        return [
            run
            for run in found
            if run.job_name in (f"{page}_sync", f"{page}_all_points", f"{page}_metric_points")
        ]

    def place(self, page: str) -> Place:
        """Return where a page is loaded."""
        return Place("postgres", {"credentials": self.credentials, "dataset": f"{page}_data"})

    def graphql(self, query: str, **variables: Any) -> bytes:
        """Ask the web server, and return its answer as it came."""
        import json

        request = urllib.request.Request(
            f"{self.web_address}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def web_is_up(self) -> bool:
        """Return whether the web server answers."""
        try:
            urllib.request.urlopen(f"{self.web_address}/server_info", timeout=5).close()
        except (urllib.error.URLError, OSError):
            return False
        return True


def write_pages(project: Path, pages: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Put pages, by location and name, in the place of those in a copy of `deploy/pages`."""
    defs = project / "status_pages" / "defs"
    examples = [path for path in defs.iterdir() if path.is_dir()]
    # The divisions are those of the workspace in deploy/.
    assert {path.name for path in examples} == set(pages)
    for path in examples:
        shutil.rmtree(path)
    for location, of_location in pages.items():
        for name, attributes in of_location.items():
            folder = defs / location / name
            folder.mkdir(parents=True)
            page = {"type": "cachet_dagster.StatusPageComponent", "attributes": dict(attributes)}
            (folder / "defs.yaml").write_text(yaml.safe_dump(page))


@dataclass
class Cluster(Deployment):
    """Hosts with the pages of one project divided among them.

    Attributes:
        pages: Location → page → attributes of its `defs.yaml`.
        secrets: Variables that the hosts have and nothing may repeat.
    """

    pages: Mapping[str, Mapping[str, Mapping[str, Any]]]
    secrets: Mapping[str, str]
    hosts: dict[str, Host] = field(default_factory=dict, init=False)
    web_port: int = field(default_factory=free_port, init=False)

    def __post_init__(self) -> None:
        for database in ("dagster", "warehouse"):
            self.postgres.create(database)
        # As docs/operations.md says; the server itself is set to another zone.
        with self.postgres.connected() as connection, connection.cursor() as cursor:
            cursor.execute("ALTER DATABASE dagster SET timezone TO 'UTC'")
        self.environment = {
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_POSTGRES_URL": self.storage,
            "DESTINATION__POSTGRES__CREDENTIALS": self.credentials,
            "PYTHONUNBUFFERED": "1",
            **self.secrets,
        }
        project = self.folder / "pages"
        shutil.copytree(DEPLOY / "pages", project, ignore=shutil.ignore_patterns("__pycache__"))
        write_pages(project, self.pages)
        self.write_settings()
        self._write_workspace(project)

    @property
    def web_address(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    def _write_workspace(self, project: Path) -> None:
        workspace = yaml.safe_load((DEPLOY / "hosts" / "workspace.yaml").read_text())
        for entry in workspace["load_from"]:
            server = entry["grpc_server"]
            server.update(host="127.0.0.1", port=free_port())
            location = server["location_name"]
            command = ["dagster", "code-server", "start", "-h", "127.0.0.1", "-p", str(server["port"]),
                       "-m", "status_pages.definitions", "-d", str(project)]  # fmt: skip
            self._host(location, command, STATUS_PAGES=location)
        path = self.folder / "workspace.yaml"
        path.write_text(yaml.safe_dump(workspace))
        self._host("daemon", ["dagster-daemon", "run", "-w", str(path)])
        self._host("web", ["dagster-webserver", "-h", "127.0.0.1", "-p", str(self.web_port), "-w", str(path)])

    def _host(self, name: str, command: Sequence[str], **environment: str) -> None:
        self.hosts[name] = Host(
            name, command, self.folder / f"host_{name}", {**self.environment, **environment}
        )

    def start(self, *names: str) -> None:
        """Start hosts."""
        for name in names:
            self.hosts[name].start()


@contextlib.contextmanager
def cluster(
    folder: Path,
    postgres: PostgresServer,
    pages: Mapping[str, Mapping[str, Mapping[str, Any]]],
    secrets: Mapping[str, str],
    settings: Mapping[str, Mapping[str, Any]] = FASTER,
) -> Iterator[Cluster]:
    """Set up hosts, not started, for as long as the block lasts."""
    made = Cluster(folder, postgres, settings, pages, secrets)
    with made.asked():
        try:
            yield made
        finally:
            for host in made.hosts.values():
                host.stop()
