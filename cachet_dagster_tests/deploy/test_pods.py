"""What Kubernetes is given, played as pods by podman: a code server, and a run, under their own security contexts.

Podman plays Deployments and Pods. The pod of a run's Job is played; a readiness probe is not watched by
podman, so its command is run in the pod. There is no API server, so nothing is started by `K8sRunLauncher` itself.
"""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace

import pytest
import yaml
from dagster import DagsterInstance, DagsterRunStatus
from dagster._grpc.types import ExecuteRunArgs

from .compose import PASSWORD, PROJECT, compose
from .images import PAGES, PAGES_IMAGE
from .pages import SECRETS
from .test_kubernetes import VALUES, deployment_of, job_of

pytestmark = pytest.mark.containers

NETWORK = f"{PROJECT}_default"
LAUNCH = """
mutation { launchRun(executionParams: {
  selector: {repositoryLocationName: "a", repositoryName: "__repository__", jobName: "a_two_sync"}, mode: "default"
}) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""


@pytest.fixture(scope="module")
def played(images, tmp_path_factory):
    """Return a pod of location a and one of a run of it, played beside the databases and the Cachets of Compose."""
    folder = tmp_path_factory.mktemp("pods")
    with compose(images, images.folder / "pods") as services:
        services.start("web")
        services.wait_for_web()
        secrets = {
            VALUES["global"]["postgresqlSecretName"]: {"postgresql-password": PASSWORD},
            "status-pages-warehouse": {
                "DESTINATION__POSTGRES__CREDENTIALS": f"postgresql://postgres:{PASSWORD}@postgres/warehouse"
            },
            "status-pages-tokens": SECRETS,
        }
        for name, values in secrets.items():
            encoded = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
            (folder / "secret.json").write_text(json.dumps(encoded))
            images.podman("secret", "create", name, folder / "secret.json")
        server = deployment_of("a", image=PAGES_IMAGE)
        play(images, folder, server)
        pod = "a-pod-0-dagster-user-deployments"
        probe = server["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["exec"]["command"]
        images.until(pod, "the probe succeeds", lambda: not images.podman("exec", pod, *probe, check=False) and
                     images.is_healthy(pod))  # fmt: skip
        launched = json.loads(services.graphql(LAUNCH))
        run_id = launched["data"]["launchRun"]["run"]["runId"]
        run = services.instance.get_run_by_id(run_id)
        (folder / "dagster.yaml").write_text(yaml.safe_dump(chart_storage()))
        with DagsterInstance.from_config(str(folder)) as chart:
            command = ExecuteRunArgs(run.job_code_origin, run_id, chart.get_ref()).get_command_args()
        job = job_of("a", folder, image=PAGES_IMAGE, command=command)
        pod_of_run = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "run"},
            "spec": job["spec"]["template"]["spec"],
        }
        play(images, folder, pod_of_run)
        images.podman("wait", "run-dagster", within=600)
        yield SimpleNamespace(services=services, server=pod, run_id=run_id)
        images.podman("pod", "rm", "--all", "--force")
        images.podman("secret", "rm", "--all")


def play(images, folder, document) -> None:
    path = folder / f"{document['metadata']['name']}.yaml"
    path.write_text(yaml.safe_dump(document))
    images.podman("kube", "play", "--network", NETWORK, path)


def chart_storage() -> dict:
    """Return Dagster's storage as the chart's instance has it: the password is a variable of the pod."""
    return {"storage": {"postgres": {"postgres_db": {
        "username": "postgres", "password": {"env": "DAGSTER_PG_PASSWORD"}, "hostname": "postgres",
        "db_name": "dagster", "port": 5432, "scheme": VALUES["postgresql"]["postgresqlScheme"],
    }}}}  # fmt: skip


def test_a_code_servers_pod_starts_under_its_own_security_context(played, images):
    status = images.podman("exec", played.server, "python", "-c", "print(open('/proc/self/status').read())")
    described = images.container(played.server)

    assert images.podman("exec", played.server, "id", "-u") == "1000"
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert described["HostConfig"]["ReadonlyRootfs"]
    assert described["HostConfig"]["Memory"] == 2**30


def test_a_runs_pod_loads_a_page_cell_by_cell_under_its_own_security_context(played, images):
    described = images.container("run-dagster")
    run = played.services.instance.get_run_by_id(played.run_id)

    assert described["HostConfig"]["ReadonlyRootfs"]
    assert described["Config"]["User"] == "1000"
    assert (described["State"]["ExitCode"], run.status) == (0, DagsterRunStatus.SUCCESS), images.printed(
        "run-dagster"
    )
    page = PAGES["a_two"]
    assert [line for line in page.differences(played.services) if not line.startswith("metric_points")] == []
