"""Nothing secret is in what Dagster keeps on a server, in what its web server answers, or in any log."""

from __future__ import annotations

import os
from collections import Counter
from urllib.parse import quote

import pytest
from dagster import DagsterRunStatus

from cachet_dagster import StatusPage, page_definitions
from cachet_dagster_tests.searching import holding
from cachet_dagster_tests.status_page.dagster_runs import QUIET
from cachet_dagster_tests.warehouse.postgres import PASSWORD, postgres_server

from .cluster import Cluster, cluster, until
from .pages import SECRETS, Page, divided, served
from .searching import answers, cells

pytestmark = pytest.mark.deploy


def load(page: Page, hosts: Cluster) -> None:
    """Load a page's tables in this process, into the storage that the hosts share."""
    given = {name: value for name, value in page.attributes.items() if value is not None}
    token_variable = given.pop("token_variable")
    checks = given.pop("checks")
    of_page = StatusPage(name=page.name, token_variable=token_variable, checks=checks, values=given)
    job = page_definitions(of_page).get_repository_def().get_job(f"{page.name}_sync")
    job.execute_in_process(instance=hosts.instance, run_config=QUIET, raise_on_error=False)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """Return hosts whose web server shows two pages that were loaded, one from a server that tells the token."""
    with (
        postgres_server(max_connections="200") as postgres,
        served(4) as pages,
        cluster(tmp_path_factory.mktemp("secrets"), postgres, divided(pages), SECRETS) as made,
    ):
        made.start("a", "b")
        os.environ.update(made.environment)
        for name in ("a_two", "b_part"):
            load(pages[name], made)
        made.start("web")
        until("the web server answers", made.web_is_up, within=240)
        until(
            "it knows both locations",
            lambda: made.graphql(LOCATIONS).count(b'"RepositoryLocation"') == 2,
            within=240,
        )
        yield made


LOCATIONS = (
    "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }"
)


def test_no_token_and_no_password_is_in_dagsters_storage_its_answers_the_warehouse_or_any_log(hosts):
    secrets = [secret.partition("|")[2] or secret for secret in SECRETS.values()]
    runs = [run.run_id for run in hosts.runs()]

    answered = [text.decode() for _, text in answers(hosts, runs)]
    stored = [
        (database, table, text)
        for database in ("dagster", "warehouse")
        for table, text in cells(hosts.postgres, database)
    ]

    assert {
        (database, table) for database, table, text in stored for secret in secrets if secret in text
    } == set()
    assert [text[:200] for text in answered for secret in secrets if secret in text] == []
    for secret in [*secrets, quote(PASSWORD, safe="")]:
        assert holding(secret, [host.folder for host in hosts.hosts.values() if host.folder.exists()]) == []
    # What was searched is what there is: pages, tables, and a failure in which the server itself told the token.
    rows = Counter((database, table) for database, table, _ in stored)
    assert rows["dagster", "public.runs"] == len(runs) == 2
    assert len(hosts.runs(DagsterRunStatus.FAILURE)) == 1
    packed = [text for _, table, text in stored if table == "public.snapshots"]
    assert any("a_two_sync" in text for text in packed)
    assert rows["warehouse", "a_two_data.incidents"] > 0
    assert all(name in answered[0] for name in ("a_two_sync", "b_part_sync"))
    assert any("out of memory" in text for text in answered[1:])
