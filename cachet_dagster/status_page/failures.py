"""How an op of a page fails: in the sentence that a person has to read, once what was loaded is recorded."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from dagster import Failure

from cachet_dagster.source.errors import CachetError

from .page import StatusPage
from .run_context import RunContext, open_run


@contextlib.contextmanager
def connected(page: StatusPage, log: Callable[[str], None]) -> Iterator[RunContext]:
    """Connect, and turn an error that a person has to know into a failure whose message is just that."""
    try:
        with open_run(page, log) as connection:
            yield connection
    except CachetError as error:
        told = error.with_setting_names(page.configuration.setting_name)
        raise Failure(str(told), allow_retries=error.retryable) from error


def raise_failures(failures: Sequence[str], *, loaded_any: bool, retryable: bool = False) -> None:
    """Raise what failed, if anything; `retryable` says whether all of it may pass without a person."""
    if failures:
        counted = Counter(failures)
        shown = "\n".join([*counted][:10])
        more = f"\n… and {len(counted) - 10} more" if len(counted) > 10 else ""
        rest = "Everything else is loaded. " if loaded_any else ""
        raise Failure(
            f"{shown}{more}\n{rest}What lies downstream in this run does not run.",
            allow_retries=retryable,
        )
