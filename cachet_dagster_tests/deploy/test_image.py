"""The image's build, step by step in folders of the tests' own: there is no container engine where they run.

COPY copies, RUN runs in an empty virtual environment, and CMD is started and asked whether it is healthy. What is
left out is the base image, the user, and everything that only a container has.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .cluster import DEPLOY, free_port, until

pytestmark = pytest.mark.deploy

CONTEXT = DEPLOY.parent


@dataclass
class Build:
    """A build of the Dockerfile's first stage in a folder that stands for `/`.

    Attributes:
        root: That folder; the virtual environment that stands for the base image's Python is beside it.
        directory: The working directory.
        environment: What ENV has set.
        command: What CMD has said.
        ran: The commands of RUN.
    """

    root: Path
    directory: Path = field(init=False)
    environment: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.directory = self.root
        self.python = self.root.parent / "python"
        subprocess.run([sys.executable, "-m", "venv", self.python], check=True)

    @property
    def variables(self) -> dict[str, str]:
        """The variables of a process in it; nothing of this project's environment."""
        kept = ("HOME", "TMPDIR", "PIP_", "UV_", "SSL_", "LANG")
        mine = {name: value for name, value in os.environ.items() if name.startswith(kept)}
        return {**mine, **self.environment, "PATH": f"{self.python / 'bin'}:/usr/bin:/bin"}

    def inside(self, path: str) -> Path:
        """Return where a path of the image is."""
        return self.root / path.lstrip("/") if path.startswith("/") else self.directory / path

    def translated(self, text: str) -> str:
        """Return a command with the image's own folders as they are here."""
        for folder in ("/src", "/opt"):
            text = text.replace(f"{folder}/", f"{self.root}{folder}/").replace(
                f"'{folder}[", f"'{self.root}{folder}["
            )
        return text

    def step(self, instruction: str, rest: str) -> None:
        """Carry out one instruction."""
        if instruction == "COPY":
            *sources, target = shlex.split(rest)
            for source in sources:
                self._copy(CONTEXT / source, self.inside(target), into=target.endswith("/"))
        elif instruction == "RUN":
            self.ran.append(rest)
            done = subprocess.run(
                self.translated(rest), shell=True, cwd=self.directory, env=self.variables,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (rest, done.stdout[-2000:], done.stderr[-4000:])
        elif instruction == "WORKDIR":
            self.directory = self.inside(rest)
            self.directory.mkdir(parents=True, exist_ok=True)
        elif instruction == "ENV":
            self.environment.update(pair.split("=", 1) for pair in shlex.split(rest))
        elif instruction == "CMD":
            self.command = json.loads(rest)
        else:
            assert instruction in ("FROM", "USER", "EXPOSE"), f"{instruction} is not carried out here"

    def _copy(self, source: Path, target: Path, *, into: bool) -> None:
        ignored = shutil.ignore_patterns("__pycache__")
        if source.is_dir():
            shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
        else:
            place = target / source.name if into else target
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, place)


def first_stage() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile up to its second FROM."""
    lines = (DEPLOY / "kubernetes" / "Dockerfile").read_text().splitlines()
    steps = [line.split(" ", 1) for line in lines if line.strip() and not line.startswith("#")]
    second = [number for number, step in enumerate(steps) if step[0] == "FROM"][1]
    return [(step[0], step[1]) for step in steps[:second]]


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> Build:
    made = Build(tmp_path_factory.mktemp("image") / "root")
    for instruction, rest in first_stage():
        made.step(instruction, rest)
    return made


def test_every_step_succeeds_and_the_definitions_load_in_what_it_makes(build):
    assert [step.split()[0] for step in build.ran] == ["pip", "dagster"]
    assert "definitions validate" in build.ran[1]


def test_the_code_location_has_no_web_server_and_no_tools_of_developers(build):
    packages = subprocess.run(
        [build.python / "bin/pip", "list", "--format", "json"], capture_output=True, text=True, check=True
    )
    names = {package["name"] for package in json.loads(packages.stdout)}

    assert {"cachet_dagster", "dagster-postgres", "dagster-k8s"} <= names
    assert not names & {"dagster-webserver", "uvicorn", "starlette", "pytest", "playwright", "marimo"}


def test_its_command_is_a_code_server_that_answers_its_health_check(build):
    port = str(free_port())
    command = [
        port if part == "4000" else "127.0.0.1" if part == "0.0.0.0" else part for part in build.command
    ]
    environment = {**build.variables, "STATUS_PAGES": "a", "HOME": str(build.root)}
    log = build.root / "server.log"

    with log.open("wb") as printed:
        server = subprocess.Popen(
            [build.python / "bin" / command[0], *command[1:]],
            cwd=build.directory, env=environment, stdout=printed, stderr=printed,
        )  # fmt: skip
        try:
            check = [build.python / "bin/dagster", "api", "grpc-health-check", "-p", port]
            until(
                "the code server is healthy",
                lambda: (
                    server.poll() is None
                    and subprocess.run(check, env=environment, check=False).returncode == 0
                ),
                within=120,
            )
        finally:
            server.terminate()
            server.wait(30)

    assert b"Started Dagster code server for module status_pages.definitions" in log.read_bytes()
