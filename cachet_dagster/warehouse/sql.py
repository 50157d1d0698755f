"""Any SQL destination of dlt's as a warehouse, through dlt's own client of it.

Each run stages its rows in a dataset of its own, which is dropped afterwards: dlt's is shared, and loads at once
mix their rows in it. Loads from one machine take turns by a lock on it. Whatever a destination can do beyond that
stands in a class of its own (`postgres.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigurationException
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.destination import Destination, TDestinationReferenceArg
from dlt.common.destination.exceptions import DestinationException
from dlt.common.typing import TLoaderFileFormat
from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.sql_client import SqlClientBase

from cachet_dagster.source.destinations import Strategy, check_libraries
from cachet_dagster.source.errors import SettingsError, first_line

from .folder import run_folder
from .lock import LockTimeout, locked
from .names import DATASET, PIPELINE, checked_name
from .protocol import DatabaseBusy, Session
from .sql_session import SqlSession


class SqlWarehouse:
    """A dataset in a SQL destination (see `Warehouse`).

    Args:
        strategy: Which one, and how it is loaded.
        dataset: The dlt dataset.
        pipeline_name: The dlt pipeline.
        credentials: As dlt takes them; by default dlt finds them in its configuration.
        wait: Seconds to wait for others at most.
        keep_loads: How many of dlt's records of loads to keep in it.
        log: Called with progress messages while others are waited for.

    Raises:
        SettingsError: A name cannot be used.
    """

    session_class: type[SqlSession] = SqlSession
    reference = ""

    def __init__(
        self,
        strategy: Strategy,
        *,
        dataset: str = DATASET,
        pipeline_name: str = PIPELINE,
        credentials: Any = None,
        wait: float = 600.0,
        keep_loads: int = 1_000,
        log: Callable[[str], None] = lambda _: None,
    ):
        self.strategy = strategy
        self.destination_type = strategy.name
        self.name = f"the dataset {dataset} in {strategy.title}"
        self.dataset = checked_name("dataset", dataset)
        self.pipeline_name = checked_name("pipeline", pipeline_name)
        self.wait = wait
        self.keep_loads = keep_loads
        self.log = log
        self.loader_file_format: TLoaderFileFormat = strategy.file_format
        self._credentials = credentials

    def probe(self) -> None:
        """Raise what would keep a load from being written, before requests are spent on it."""
        with self.writing() as session:
            try:
                session.execute("SELECT 1 AS one")
            except DatabaseException as error:
                raise self._unreachable(error) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[SqlSession]:
        """Open it for questions; a load that runs meanwhile is seen table by table, each whole."""
        with (
            self._client() as (client, sql),
            contextlib.closing(self.session_class(client, sql, self.dataset, self.strategy)) as session,
        ):
            yield session

    @contextlib.contextmanager
    def writing(self, *, create: bool = False) -> Iterator[SqlSession]:
        """Take one's turn among the loads of this machine; dlt makes the schema where there is none."""
        with self._alone(self._beside("load")), self.reading() as session:
            yield session

    def lock(self, what: str, *, wait: float) -> AbstractContextManager[None]:
        """Keep others on this machine from doing the same meanwhile."""
        return locked(self._beside(what), exclusive=True, wait=wait)

    def example(self, table: str) -> str:
        """Return a line of Python that shows some rows of a table."""
        return (
            f"import dlt; print(dlt.pipeline('{self.pipeline_name}').dataset()"
            f"('SELECT * FROM {table} LIMIT 10').df())"
        )

    def run_folder(self) -> AbstractContextManager[Path]:
        """Make a dlt folder for one run among the temporary files, and remove it afterwards."""
        return run_folder(Path(tempfile.gettempdir()) / self.pipeline_name)

    def destination(self, run: str) -> TDestinationReferenceArg:
        """Return the dlt destination of a run, with a staging dataset of its own."""
        return self._destination(staging_dataset_name_layout=f"%s_staging_{run}")

    def sync(self, pipeline: dlt.Pipeline) -> None:
        """Bring a pipeline up to the destination's state and schemas."""
        pipeline.sync_destination()

    def after_load(self, session: Session, pipeline: dlt.Pipeline) -> None:
        """Drop the run's staging dataset."""
        with pipeline.destination_client() as client, client.sql_client.with_staging_dataset():  # pyright: ignore
            if client.sql_client.has_dataset():  # pyright: ignore
                client.sql_client.drop_dataset()  # pyright: ignore

    @contextlib.contextmanager
    def _alone(self, place: Path) -> Iterator[None]:
        """Hold the lock of a file, waiting for others first.

        Raises:
            DatabaseBusy: They held it for longer than the bound.
        """
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(
                    locked(
                        place,
                        exclusive=True,
                        wait=self.wait,
                        waiting=lambda: self.log(f"waiting for another run to finish with {self.name}"),
                    )
                )
            except LockTimeout:
                raise self._busy() from None
            yield

    def _busy(self) -> DatabaseBusy:
        return DatabaseBusy(
            f"another run held {self.name}{f' for {self.wait:g} s' if self.wait else ''}",
            "Run again when it is done, or set {lock_wait} to more seconds.",
        )

    def _beside(self, what: str) -> Path:
        """Return a file whose lock stands, on this machine, for doing something with the dataset."""
        # A file that another user of the machine has made could not be opened. Credentials that are given are an
        # address or texts; from dlt's configuration they are the same for all loads of a project.
        user = getattr(os, "getuid", lambda: 0)()
        where = hashlib.blake2b(repr(self._credentials).encode(), digest_size=6).hexdigest()
        return Path(tempfile.gettempdir()) / f"{self.destination_type}.{self.dataset}.{where}.{user}.{what}"

    def _destination(self, **options: Any) -> Any:
        if self.strategy.table_format:
            # A store is named by its address; keys are for dlt's configuration.
            options["bucket_url"] = self._credentials
            return Destination.from_reference(self.strategy.name, **{k: v for k, v in options.items() if v})
        return Destination.from_reference(
            self.reference or self.strategy.name,
            credentials=self._credentials,
            replace_strategy=self.strategy.replace,
            # Left unsaid, dlt takes a transaction only where a statement happens to spell CREATE, ALTER or DROP.
            supports_transactions=self.strategy.transactions,
            **options,
        )

    @contextlib.contextmanager
    def _client(self) -> Iterator[tuple[Any, SqlClientBase[Any]]]:
        client = self._configured()
        try:
            sql = client.sql_client
            sql.open_connection()
        except (DestinationException, OSError) as error:
            raise self._unreachable(error) from error
        except Exception as error:
            if not sql.is_dbapi_exception(error):
                raise
            raise self._unreachable(error) from error
        try:
            yield client, sql
        finally:
            sql.close_connection()

    def configuration(self) -> Any:
        """Return dlt's configuration of the destination for the dataset, resolved anew: keys may expire.

        Raises:
            SettingsError: It says which keys are missing, or what is wrong.
        """
        destination = self._destination()
        section = ConfigSectionContext(pipeline_name=self.pipeline_name)
        try:
            with Container().injectable_context(section):
                return destination.configuration(
                    destination.spec()._bind_dataset_name(dataset_name=self.dataset)
                )
        except ConfigFieldMissingException as error:
            raise _missing(self.strategy, error) from error
        except ImportError as error:
            raise SettingsError(
                f"loading into {self.strategy.title} takes libraries that are not installed ({first_line(error)})",
                f"Install dlt[{self.strategy.name}].",
            ) from error
        except (ConfigurationException, ValueError) as error:
            raise SettingsError(
                f"the configuration of {self.strategy.title} cannot be used ({first_line(error)})",
                f"Check [destination.{self.strategy.name}] in .dlt/secrets.toml and .dlt/config.toml, and variables "
                f"that begin with DESTINATION__{self.strategy.name.upper()}__.",
            ) from error

    def _configured(self) -> Any:
        """Return dlt's client, configured and not yet connected."""
        config = self.configuration()
        check_libraries(self.strategy)
        destination, schema = self._destination(), dlt.Schema(self.pipeline_name)
        return destination.client_class(schema, config, destination.capabilities(config, schema.naming))

    def _unreachable(self, error: BaseException) -> SettingsError:
        return SettingsError(
            f"{self.name} cannot be opened ({first_line(error)})",
            f"Check the server, and the credentials in [destination.{self.strategy.name}.credentials] of "
            f".dlt/secrets.toml or DESTINATION__{self.strategy.name.upper()}__CREDENTIALS.",
        )


def _missing(strategy: Strategy, error: ConfigFieldMissingException) -> SettingsError:
    """Return which keys are missing, each with the variable that would set it."""
    fields = dict.fromkeys(_fields(error.traces, ()))
    prefix = f"DESTINATION__{strategy.name.upper()}__"
    listed = ", ".join(prefix + "__".join(part.upper() for part in path) for path in fields)
    sections = sorted({".".join(("destination", strategy.name, *path[:-1])) for path in fields})
    return SettingsError(
        f"{strategy.title} has no {', '.join('.'.join(path) for path in fields)}",
        f"Set {listed}, or the same keys under [{'] and ['.join(sections)}] in .dlt/secrets.toml.",
    )


def _fields(traces: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, found in traces.items():
        inner = [trace for trace in found if hasattr(trace, "traces")]
        if inner:
            # Of several kinds of credentials the first is enough to know what is missing.
            yield from _fields(inner[0].traces, (*path, name))
        elif name != "local_dir":  # which dlt sets itself
            yield (*path, name)
