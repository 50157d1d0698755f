"""A container engine of the tests' own: podman with runc, whose images, containers and networks are in one folder.

It needs root on Debian, and installs Debian's packages. No registry of images is asked: the base images are made of
Debian's packages too. What pip is told of this machine is mounted while an image is built, and is in none.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .cluster import Found, until

PYTHON_IMAGE = "localhost/debian-python"
POSTGRES_IMAGE = "localhost/debian-postgres"

_PACKAGES = ["podman", "buildah", "runc", "catatonit", "iptables", "uidmap", "debootstrap"]
_NETWORKS = {
    # By Debian's release; later ones have netavark.
    "12": ["containernetworking-plugins", "golang-github-containernetworking-plugin-dnsname"],
}
_LATER_NETWORKS = ["netavark", "aardvark-dns"]

_CONFIG = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_config_dir = "{folder}/networks"
"""
_STORAGE = """
[storage]
driver = "overlay"
graphroot = "{folder}/images"
runroot = "{folder}/run"
"""

_PATH = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"

_POSTGRES = f"""
FROM {PYTHON_IMAGE}
COPY sources.list /etc/apt/sources.list
RUN mkdir -p /etc/postgresql-common && \\
    echo create_main_cluster = false > /etc/postgresql-common/createcluster.conf && \\
    apt-get update -q && \\
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql
COPY --chmod=755 start-postgres /usr/local/bin/start-postgres
ENTRYPOINT ["start-postgres"]
STOPSIGNAL SIGINT
"""
# As the official image: the server starts as root would start it, makes its files once, and then is `postgres`.
_START_POSTGRES = """#!/bin/sh
set -e
bin=$(ls -d /usr/lib/postgresql/*/bin)
mkdir -p /run/postgresql && chown postgres /run/postgresql
data=/var/lib/postgresql/data/files
if [ ! -s "$data/PG_VERSION" ]; then
    mkdir -p "$data" && chown -R postgres "$data" && chmod 700 "$data"
    printf '%s' "$POSTGRES_PASSWORD" > /tmp/password && chown postgres /tmp/password
    run="setpriv --reuid postgres --regid postgres --init-groups"
    $run $bin/initdb -D "$data" -U postgres -A scram-sha-256 --pwfile /tmp/password -E UTF8 --locale C --no-sync
    rm /tmp/password
    echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
    $run $bin/pg_ctl -D "$data" -w -o "-c listen_addresses= -c unix_socket_directories=/run/postgresql" start
    for file in /docker-entrypoint-initdb.d/*.sql; do
        PGPASSWORD=$POSTGRES_PASSWORD $bin/psql -h /run/postgresql -U postgres -v ON_ERROR_STOP=1 -f "$file"
    done
    $run $bin/pg_ctl -D "$data" -w -m fast stop
fi
exec setpriv --reuid postgres --regid postgres --init-groups $bin/postgres -D "$data" \\
    -c listen_addresses='*' -c unix_socket_directories=/run/postgresql -c max_connections=200 \\
    -c fsync=off -c timezone=America/St_Johns
"""


_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def obstacle() -> str | None:
    """Return why no container can be run here, in one sentence; None where nothing is in the way."""
    release = _release()
    if sys.platform != "linux" or release.get("ID") != "debian":
        return "Containers are tested on Debian alone, whose packages the base images are made of."
    if os.getuid():
        return "Containers are tested by root alone: networks, mounts and base images need its rights."
    if subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False).returncode:
        return "Containers are tested where root may mount and make networks, which it may not here."
    return None


def _release() -> dict[str, str]:
    with contextlib.suppress(OSError):
        lines = Path("/etc/os-release").read_text().splitlines()
        return {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}
    return {}


@dataclass
class Engine:
    """Podman.

    Attributes:
        folder: Holds all that it makes.
        environment: Variables by which podman, and what starts it, finds that.
    """

    folder: Path
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        settings = {"containers.conf": _CONFIG, "storage.conf": _STORAGE}
        for name, text in settings.items():
            (self.folder / name).write_text(text.format(folder=self.folder))
        self.environment = {
            **os.environ,
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "TMPDIR": str(self.folder),
        }

    def podman(self, *arguments: str | Path, within: float = 300, check: bool = True) -> str:
        """Run podman, and return what it printed; an AssertionError has what it said where it failed."""
        return self.run(["podman", *map(str, arguments)], within=within, check=check)

    def run(self, command: Sequence[str], *, within: float, check: bool = True, **options: Any) -> str:
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=within, check=False, **options
        )  # fmt: skip
        said = f"{' '.join(command)[:300]}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        assert done.returncode == 0 or not check, said
        return done.stdout.strip()

    def make_bases(self) -> None:
        """Make an image of Debian with its Python and pip, and one of it with PostgreSQL, where there is none yet."""
        there = self.podman("images", "--format", "{{.Repository}}").split()
        if PYTHON_IMAGE not in there:
            self._make_python()
        if POSTGRES_IMAGE not in there:
            self._make_postgres()

    def _make_python(self) -> None:
        root, packed = self.folder / "root", self.folder / "root.tar"
        release = _release()["VERSION_CODENAME"]
        with_python = "--include=python3,python3-venv,ca-certificates"
        self.run(
            ["debootstrap", "--variant=minbase", with_python, release, str(root), _mirror()], within=1200
        )
        # pip, python and what it installs are where the official image has them.
        self.run(["chroot", str(root), "python3", "-m", "venv", "/usr/local"], within=120)
        # Something to mount a machine's own settings on.
        (root / "etc/pip.conf").touch()
        without = ["./var/cache/apt/*", "./var/lib/apt/lists/*", "./usr/share/doc/*", "./usr/share/man/*",
                   "./usr/share/locale/*", "./etc/apt/sources.list"]  # fmt: skip
        excluded = [f"--exclude={path}" for path in without]
        self.run(["tar", "-C", str(root), *excluded, "-cf", str(packed), "."], within=300)
        self.podman("import", "--change", f"ENV PATH={_PATH}", packed, PYTHON_IMAGE)
        packed.unlink()
        shutil.rmtree(root)

    def _make_postgres(self) -> None:
        context = self.folder / "postgres"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(_POSTGRES)
        (context / "start-postgres").write_text(_START_POSTGRES)
        (context / "sources.list").write_text(f"deb {_mirror()} {_release()['VERSION_CODENAME']} main\n")
        self.build(context, "--tag", POSTGRES_IMAGE)

    def build(self, context: Path, *arguments: str | Path) -> None:
        """Build an image as `docker build` does."""
        mounts = [part for mount in self._mounts() for part in ("--volume", mount)]
        self.podman("build", "--isolation", "chroot", "--no-hosts", *mounts, *arguments, context, within=1800)

    def _of_pip(self) -> dict[str, str]:
        """Return what pip is told on this machine of indexes, proxies and certificates; no folders."""
        pip = shutil.which("pip3")
        told = self.run([pip, "config", "list"], within=60) if pip else ""
        found = re.findall(r"^[^.\n]*\.([\w-]+)='(.*)'$", told, re.MULTILINE)
        names = ("cert", "index-url", "extra-index-url", "proxy")
        return {name: value for name, value in found if name in names and "file:" not in value}

    def _mounts(self) -> list[str]:
        """Return what is mounted while an image is built, so that pip is told the same in it."""
        told, settings = self._of_pip(), self.folder / "pip.conf"
        mounts = [f"{settings}:/etc/pip.conf:ro"]
        if "cert" in told:
            mounts.append(f"{told['cert']}:{_CERTIFICATES}:ro")
            told["cert"] = _CERTIFICATES
        settings.write_text("\n".join(["[global]", *(f"{name} = {value}" for name, value in told.items())]))
        return mounts

    def machines_own(self) -> set[bytes]:
        """Return what pip is told here and no image may hold: addresses, and certificates that are not Debian's."""
        told = self._of_pip()
        addresses = {word for name, value in told.items() if name != "cert" for word in value.split()}
        certificates = set(_certificates(Path(told["cert"]).read_bytes())) if "cert" in told else set()
        debians = self.podman("run", "--rm", PYTHON_IMAGE, "cat", _CERTIFICATES)
        own = {address.partition("://")[2].strip("/").encode() for address in addresses}
        return (own - {b"pypi.org/simple"}) | (certificates - set(_certificates(debians.encode())))

    def layers(self, image: str) -> Iterator[Iterator[tuple[tarfile.TarInfo, bytes]]]:
        """Yield the layers of an image, the lowest one first, and of each the files with what is in them."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            saved = Path(folder) / "saved.tar"
            self.podman("save", "--format", "docker-archive", "--output", saved, image)
            with tarfile.open(saved) as outer:
                (manifest,) = json.loads(self._member(outer, "manifest.json"))
                for layer in manifest["Layers"]:
                    opened = outer.extractfile(layer)
                    assert opened is not None
                    with tarfile.open(fileobj=opened) as inner:
                        yield ((entry, self._member(inner, entry)) for entry in inner)

    @staticmethod
    def _member(archive: tarfile.TarFile, entry: str | tarfile.TarInfo) -> bytes:
        opened = archive.extractfile(entry) if isinstance(entry, str) or entry.isreg() else None
        return opened.read() if opened else b""

    def container(self, name: str) -> dict[str, Any]:
        """Return what podman knows of a container."""
        return json.loads(self.podman("inspect", "--type", "container", name))[0]

    def address(self, name: str) -> str:
        """Return a container's address in its network, which this machine reaches too."""
        networks = self.container(name)["NetworkSettings"]["Networks"]
        return next(each["IPAddress"] for each in networks.values())

    def printed(self, name: str) -> str:
        """Return what a container has printed."""
        command = ["podman", "logs", name]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def until(self, name: str, what: str, look: Callable[[], Found | None], *, within: float = 300) -> Found:
        """Wait for what a container does; a TimeoutError has what it printed."""
        try:
            return until(what, look, within=within)
        except TimeoutError as late:
            raise TimeoutError(f"{late}; {name} printed: {self.printed(name)[-3000:]}") from None

    def is_healthy(self, name: str) -> bool:
        """Return whether the code server in a container answers its health check."""
        check = ["podman", "exec", name, "dagster", "api", "grpc-health-check", "-p", "4000"]
        return subprocess.run(check, env=self.environment, capture_output=True, check=False).returncode == 0

    def stop(self) -> None:
        """Remove its containers, networks and volumes."""
        self.podman("pod", "rm", "--all", "--force", check=False)
        self.podman("rm", "--all", "--force", "--time", "2", check=False)
        for kind in ("network", "volume"):
            self.podman(kind, "prune", "--force", check=False)

    def remove(self) -> None:
        """Remove its images, and its folder with them."""
        self.run(["umount", "--recursive", str(self.folder / "images/overlay")], within=60, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def _certificates(bundle: bytes) -> list[bytes]:
    """Return the bodies of certificates as text, each in one piece."""
    found = re.findall(rb"-----BEGIN CERTIFICATE-----(.+?)-----END", bundle, re.DOTALL)
    return [body.strip().replace(b"\r", b"") for body in found]


def _mirror() -> str:
    """Return where this machine has Debian's packages from."""
    sources = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("debian*")]
    text = "\n".join(path.read_text() for path in sources if path.is_file())
    found = re.search(r"^(?:URIs:|deb(?: \[.*\])?) *(https?://\S*debian/?)\s", text, re.MULTILINE)
    return found.group(1) if found else "http://deb.debian.org/debian"


def install(packages: Sequence[str]) -> None:
    """Install packages of Debian's; an AssertionError has what apt-get said."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", *command], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@contextlib.contextmanager
def engine() -> Iterator[Engine]:
    """Run an engine, with its base images, for as long as the block lasts; its images stay in CONTAINERS_FOLDER."""
    if any(shutil.which(program) is None for program in ("podman", "runc", "debootstrap")):
        install([*_PACKAGES, *_NETWORKS.get(_release().get("VERSION_ID", ""), _LATER_NETWORKS)])
    kept = os.environ.get("CONTAINERS_FOLDER")
    folder = Path(kept or tempfile.mkdtemp(prefix="cachet_dagster_containers-", dir="/var/tmp"))
    folder.mkdir(parents=True, exist_ok=True)
    made = Engine(folder)
    try:
        made.make_bases()
        yield made
    finally:
        made.stop()
        if not kept:
            made.remove()
