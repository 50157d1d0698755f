"""Two hosts load many pages by themselves; one is lost in mid-load, and the database restarts: what is promised then.

One stretch of time, in which everything happens, is the fixture of all tests; each test then holds one promise against
what is on record: Dagster's runs, the tables, and what the servers were asked. Minutes stand for hours in it. It is
eight pages, which take some five minutes of two cores; `HOSTS_PAGES=20` takes twenty, and `HOSTS_STRETCH_SECONDS=600`
lets them go on for so long after the repairs.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pytest
from dagster import DagsterRunStatus, RunRecord
from dagster._grpc.client import DagsterGrpcClient

from cachet_dagster_tests.warehouse.postgres import postgres_server

from .cluster import Cluster, Deployment, Host, cluster, until
from .pages import SECRETS, Page, divided, served
from .servers import LIMIT, NEWS, post_news

pytestmark = pytest.mark.deploy

PAGES = int(os.environ.get("HOSTS_PAGES", "8"))
LONGER = float(os.environ.get("HOSTS_STRETCH_SECONDS", "0"))
DATABASE_IS_AWAY = 3.0
"""Seconds between the end of the database server and its start."""

GIVEN_UP = re.compile(r"exceeding maximum runtime|seconds to start")
RATE_LIMITED = ("a_shared", "b_limited")
UNDER_WAY = (DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)


class Printing(Protocol):
    """What has printed something: a host, or a container."""

    @property
    def printed(self) -> str: ...


@dataclass
class Stretch:
    """What happened.

    Attributes:
        hosts: The hosts, whose daemon has stopped and whose runs have ended.
        pages: The pages, whose servers still answer.
        elsewhere: The host that has the lost one's location since.
        lost: Runs that had started on the host that was killed.
        cut: Other runs that were under way then, or on the other host while the database restarted.
        mended: When all was up again, in seconds since the epoch.
        asked: How many requests servers with a rate limit had, and how many of them they rejected.
    """

    hosts: Deployment
    pages: Mapping[str, Page]
    elsewhere: Printing
    lost: Collection[str]
    cut: Collection[str]
    mended: float
    asked: dict[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def records(self) -> Mapping[str, RunRecord]:
        """The runs that ask a Cachet, by id: those of the pages' jobs, and no runs of models."""
        return {
            record.dagster_run.run_id: record
            for record in self.hosts.instance.get_run_records()
            if record.dagster_run.job_name.startswith(page_of(record) or "no page")
        }

    def anew(self, run_id: str) -> RunRecord | None:
        """Return the run that was started because a run was given up."""
        found = (each for each in self.records.values() if each.dagster_run.parent_run_id == run_id)
        return next(found, None)

    def is_loaded(self, page: Page, records: Mapping[str, RunRecord]) -> bool:
        """Return whether all that is loaded of a page was read by runs begun after all was up again."""
        wanted = DagsterRunStatus.SUCCESS if page.is_whole else DagsterRunStatus.FAILURE
        ended = {
            record.dagster_run.job_name
            for record in records.values()
            if page_of(record) == page.name
            and (record.start_time or 0) > self.mended
            and record.dagster_run.status == wanted
        }
        return {f"{page.name}_sync", *([f"{page.name}_all_points"] if page.points else [])} <= ended

    def unsettled(self) -> list[str]:
        """Return what is still waited for."""
        records = self.records
        broken = [records[run_id] for run_id in [*self.lost, *self.cut]]
        given_up = [self.anew(run_id) for run_id in self.lost]
        return [
            *(page.name for page in self.pages.values() if not self.is_loaded(page, records)),
            *(record.dagster_run.run_id for record in broken if not record.dagster_run.is_finished),
            *("started anew" for record in given_up if not (record and record.dagster_run.is_finished)),
        ]

    def said(self, run_id: str) -> str:
        """Return what a run's events say of how it went."""
        lines = []
        for entry in self.hosts.instance.all_logs(run_id):
            event = entry.dagster_event
            user = getattr(event.event_specific_data, "user_failure_data", None) if event else None
            lines += [entry.message, *([user.description] if user else [])]
        return "\n".join(map(str, lines))

    def failed(self, pages: Collection[str]) -> dict[str, str]:
        """Return each failed run of some pages, and what it said."""
        return {
            run_id: self.said(run_id)
            for run_id, record in self.records.items()
            if record.dagster_run.status == DagsterRunStatus.FAILURE and page_of(record) in pages
        }


def page_of(record: RunRecord) -> str:
    return record.dagster_run.tags.get("cachet/page", "")


def written_to(hosts: Deployment, location: str = "") -> list[str]:
    """Return what loads of a location stage their rows in just now."""
    with hosts.postgres.connected("warehouse") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ %s", [f"^{location}.*_staging_"])
        return [name for (name,) in cursor.fetchall()]


def under_way(
    hosts: Deployment, pages: Mapping[str, Page], location: str, *statuses: DagsterRunStatus
) -> set[str]:
    """Return a location's runs of some statuses that ask a Cachet."""
    here = tuple(f"{page.name}_" for page in pages.values() if page.location == location)
    return {run.run_id for run in hosts.runs(*statuses or UNDER_WAY) if run.job_name.startswith(here)}


def is_up(host: Host) -> bool:
    """Return whether a code server has loaded its definitions."""
    port = int(host.command[host.command.index("-p") + 1])
    try:
        return "status_pages" in DagsterGrpcClient(port=port, host="127.0.0.1").list_repositories()
    except Exception:  # noqa: BLE001 - whatever it is, it is not up
        return False


def lose_host(hosts: Cluster) -> None:
    """Kill host b while one of its loads writes."""
    until("a load of b writes", lambda: written_to(hosts, "b"), within=240, every=0.02)
    assert hosts.hosts["b"].kill() >= 3, "the proxy, the code server and a run"


def restart_database(hosts: Deployment, pages: Mapping[str, Page]) -> set[str]:
    """Restart it while a load of host a writes, and return that host's runs that were under way."""
    until("a load of a writes", lambda: written_to(hosts, "a"), within=120, every=0.02)
    before = under_way(hosts, pages, "a")
    hosts.postgres.stop()
    time.sleep(DATABASE_IS_AWAY)
    hosts.postgres.start()
    return before | under_way(hosts, pages, "a")


def move_elsewhere(hosts: Cluster) -> Host:
    """Give the lost host's name, which is an address here, to a new host."""
    host = dataclasses.replace(hosts.hosts["b"], name="c", folder=hosts.folder / "host_c")
    hosts.hosts["b"] = host
    hosts.start("b")
    until("location b is up elsewhere", lambda: is_up(host), within=240)
    return host


def lived_through(hosts: Cluster, pages: Mapping[str, Page]) -> Stretch:
    """Let the pages be loaded, break what can break, mend it, and return when everything was loaded again."""
    hosts.start("a", "b")
    for name in ("a", "b"):
        until(f"location {name} is up", lambda host=hosts.hosts[name]: is_up(host), within=240)
    hosts.start("daemon")
    lose_host(hosts)
    lost = under_way(hosts, pages, "b", DagsterRunStatus.STARTED)
    cut = under_way(hosts, pages, "b") - lost
    cut |= restart_database(hosts, pages)
    elsewhere = move_elsewhere(hosts)
    stretch = Stretch(hosts, pages, elsewhere, lost, cut, time.time())
    post_news(pages["a_sensors"].server.world)
    time.sleep(LONGER)
    settle(stretch)
    hosts.hosts["daemon"].stop()
    until("no run is under way", lambda: not hosts.runs(*UNDER_WAY), within=120)
    for name in RATE_LIMITED:
        server = pages[name].server
        stretch.asked[name] = {"count": server.request_count, "rejected": server.throttle.rejected}
    return stretch


def settle(stretch: Stretch) -> None:
    """Return when everything is loaded again; an AssertionError names what is not."""
    try:
        until("everything is loaded again", lambda: not stretch.unsettled(), within=480, every=1)
    except TimeoutError as late:
        raise AssertionError(f"{late}: {stretch.unsettled()}") from None


@pytest.fixture(scope="module")
def stretch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stretch]:
    with (
        postgres_server(max_connections="200") as postgres,
        served(PAGES) as pages,
        cluster(tmp_path_factory.mktemp("hosts"), postgres, divided(pages), SECRETS) as hosts,
    ):
        yield lived_through(hosts, pages)


def test_each_page_is_loaded_by_its_schedule_or_its_sensors_and_holds_what_its_server_has(stretch):
    by = {
        page.name: {
            kind
            for kind in ("schedule", "sensor")
            for record in stretch.records.values()
            if page_of(record) == page.name and f"dagster/{kind}_name" in record.dagster_run.tags
        }
        for page in stretch.pages.values()
    }

    differences = {
        page.name: page.differences(stretch.hosts) for page in stretch.pages.values() if page.server
    }
    assert {name: lines for name, lines in differences.items() if lines} == {}
    assert len(differences) == len(stretch.pages) - 1
    assert by["a_sensors"] == {"sensor"}
    assert all(kinds for kinds in by.values()), by


def test_what_changes_meanwhile_is_seen_by_a_sensor_and_loaded(stretch):
    rows = stretch.hosts.place("a_sensors").rows("incidents", "id, name")

    changed = [record.dagster_run.tags.get("cachet/changed", "") for record in stretch.records.values()]
    assert rows[-1][1] == NEWS
    assert any(f"incidents {rows[-1][0]}" in tag for tag in changed) or "first look" in changed


def test_no_page_is_loaded_by_two_runs_at_once(stretch):
    of_pool = defaultdict(list)
    for record in stretch.records.values():
        page = stretch.pages[page_of(record)]
        if record.start_time:
            assert record.end_time, record.dagster_run.run_id
            of_pool[page.more.get("pool", page.name)].append((record.start_time, record.end_time))

    of_pool = {pool: sorted(times) for pool, times in of_pool.items()}
    every = sorted(itertools.chain.from_iterable(of_pool.values()))
    assert {pool: overlapping(times) for pool, times in of_pool.items() if overlapping(times)} == {}
    # Each had the chance to: several ran at once, and pages of one server on both hosts.
    assert overlapping(every)
    assert len(of_pool["shared_api"]) >= 2


def overlapping(times: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the spans of a sorted sequence that begin before the one before has ended."""
    return [later for earlier, later in itertools.pairwise(times) if later[0] < earlier[1]]


def test_no_server_is_asked_for_more_than_its_rate_limit_grants(stretch):
    assert [stretch.asked[name]["rejected"] for name in RATE_LIMITED] == [0, 0]
    # What was asked did not fit into one window.
    assert min(stretch.asked[name]["count"] for name in RATE_LIMITED) > LIMIT


def test_a_page_that_fails_says_why_and_the_rest_of_it_is_loaded(stretch):
    part, down = stretch.failed(["b_part"]), stretch.failed(["a_down"])

    reasons = [said for run_id, said in part.items() if run_id not in {*stretch.lost, *stretch.cut}]
    assert reasons
    assert [said for said in reasons if "subscribers: the server fails (500" not in said] == []
    assert down
    assert [said for said in down.values() if "127.0.0.1:9 refuses connections" not in said] == []
    # What of b_part is loaded is compared with its server above.
    assert stretch.hosts.place("b_part").count("incidents") > 0
    assert stretch.hosts.place("a_down").count("incidents") == 0


def test_a_lost_hosts_runs_are_given_up_in_the_time_that_the_settings_promise_and_started_anew_elsewhere(
    stretch,
):
    promised = stretch.hosts.settings["run_monitoring"]
    # A look at all runs takes its time too.
    looks = 6 * promised["poll_interval_seconds"]

    assert stretch.lost
    for run_id in stretch.lost:
        record, anew, said = stretch.records[run_id], stretch.anew(run_id), stretch.said(run_id)
        assert record.dagster_run.status == DagsterRunStatus.FAILURE
        assert f"exceeding maximum runtime of {promised['max_runtime_seconds']} seconds" in said
        assert record.end_time - record.start_time < promised["max_runtime_seconds"] + looks
        assert anew.dagster_run.status == (
            DagsterRunStatus.SUCCESS if stretch.pages[page_of(record)].is_whole else DagsterRunStatus.FAILURE
        )
        assert anew.dagster_run.run_id in stretch.elsewhere.printed


def test_a_restart_of_the_database_is_lived_through_or_ends_a_run_with_its_reason(stretch):
    of_whole = {
        run_id: stretch.said(run_id)
        for run_id in stretch.cut
        if stretch.pages[page_of(stretch.records[run_id])].is_whole
    }

    assert of_whole
    for run_id, said in of_whole.items():
        lived = stretch.records[run_id].dagster_run.status == DagsterRunStatus.SUCCESS
        assert lived or "Each table is whole" in said or GIVEN_UP.search(said), said


def test_nothing_else_fails_and_what_was_broken_off_leaves_nothing_behind(stretch):
    whole = [page.name for page in stretch.pages.values() if page.is_whole]

    assert {
        run_id: said
        for run_id, said in stretch.failed(whole).items()
        if run_id not in {*stretch.lost, *stretch.cut}
    } == {}
    assert written_to(stretch.hosts) == []
