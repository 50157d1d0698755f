"""Object stores of the tests' own, on free ports of the loopback: S3 by moto's server, Azure by azurite.

Each is a process and holds what it is given in memory. dlt finds a store's address and keys in its configuration, here
in variables of the environment.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_CREDENTIALS = "DESTINATION__FILESYSTEM__CREDENTIALS__"
_BUCKET = "lake"

# Azurite's own account, the same everywhere.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Store:
    """A running store.

    Attributes:
        url: Its bucket, or container.
        environment: Variables by which dlt finds it.
    """

    url: str
    environment: Mapping[str, str]


@contextlib.contextmanager
def s3_store() -> Iterator[Store]:
    """Run an S3 with one bucket.

    Raises:
        RuntimeError: It does not start.
    """
    port = _free_port()
    with _running([Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)], port):
        address = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(urllib.request.Request(f"{address}/{_BUCKET}", method="PUT")):
            pass
        yield Store(
            f"s3://{_BUCKET}",
            {
                f"{_CREDENTIALS}AWS_ACCESS_KEY_ID": "key",
                f"{_CREDENTIALS}AWS_SECRET_ACCESS_KEY": "secret",
                f"{_CREDENTIALS}REGION_NAME": "us-east-1",
                f"{_CREDENTIALS}ENDPOINT_URL": address,
            },
        )


@contextlib.contextmanager
def azure_store(azurite: str) -> Iterator[Store]:
    """Run an Azure blob storage with one container.

    Args:
        azurite: The program.

    Raises:
        RuntimeError: It does not start.
    """
    from azure.storage.blob import BlobServiceClient

    port = _free_port()
    options = ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck"]
    with _running([azurite, "--blobHost", "127.0.0.1", "--blobPort", str(port), *options], port):
        address = f"http://127.0.0.1:{port}"
        connection = (
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};"
            f"BlobEndpoint={address}/{_ACCOUNT};"
        )
        BlobServiceClient.from_connection_string(connection).create_container(_BUCKET)
        yield Store(
            f"az://{_BUCKET}",
            {
                f"{_CREDENTIALS}AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
                f"{_CREDENTIALS}AZURE_STORAGE_ACCOUNT_KEY": _KEY,
                "DESTINATION__FILESYSTEM__KWARGS": f'{{"connection_string": "{connection}"}}',
                "DESTINATION__FILESYSTEM__DELTALAKE_STORAGE_OPTIONS": '{"azure_storage_use_emulator": "true"}',
                "AZURITE_BLOB_STORAGE_URL": address,
            },
        )


def azurite() -> str | None:
    """Return the program azurite, which npm installs; None where it is not on PATH."""
    return shutil.which("azurite-blob")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def _running(command: list[str | Path], port: int) -> Iterator[None]:
    """Run a server until it is no longer needed, from when it answers."""
    # Whatever keys a person has stay out of it.
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    server = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while server.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.05)
        else:
            raise RuntimeError(f"{Path(command[0]).name} did not start")
        yield
    finally:
        server.kill()
        server.wait()
