"""What Kubernetes is given, held against its own schemas, without a cluster and without the chart.

Dagster's chart comes from a registry of charts alone, so that it is not rendered here. A run's Job is the one that
`K8sRunLauncher` itself makes of the values; a Deployment is put together from what the chart passes on as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kubernetes.client
import kubernetes_validate
import pytest
import yaml
from dagster import DagsterRun
from dagster._config import process_config
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.config import dagster_instance_config_schema
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import construct_dagster_k8s_job

from .cluster import DEPLOY

pytestmark = pytest.mark.deploy

VALUES = yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text())
LOCATIONS = {each["name"]: each for each in VALUES["dagster-user-deployments"]["deployments"]}

NOWHERE = """
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "https://127.0.0.1:9"}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
users: [{name: none, user: {}}]
current-context: none
"""


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()


def snake_keys(value: Any) -> Any:
    return {snake(key): snake_keys(each) for key, each in value.items()} if isinstance(value, dict) else value


def valid(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document that the newest Kubernetes takes, unknown fields included; raise where it does not."""
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    return document


def job_of(
    location: str, folder: Path, image: str | None = None, command: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the Job that the launcher starts for a run of a location, or of another image than its own."""
    deployment, config = LOCATIONS[location], VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(NOWHERE)
    launcher = K8sRunLauncher(
        service_account_name="dagster",
        instance_config_map="dagster-instance",
        postgres_password_secret=VALUES["global"]["postgresqlSecretName"],
        dagster_home="/opt/dagster/dagster_home",
        job_namespace="dagster",
        **{**snake_keys(config), "load_incluster_config": False},
        kubeconfig_file=str(kubeconfig),
    )
    # What the chart hands on to a location's runs.
    handed_on = {
        "env": deployment["env"],
        "env_secrets": [secret["name"] for secret in deployment["envSecrets"]],
        "resources": deployment["resources"],
        "volumes": deployment["volumes"],
        "volume_mounts": deployment["volumeMounts"],
    }
    image = image or "{repository}:{tag}".format(**deployment["image"])
    origin = RepositoryPythonOrigin(
        executable_path="python",
        code_pointer=ModuleCodePointer("status_pages.definitions", "defs"),
        container_image=image,
        container_context={"k8s": handed_on},
    )
    run = DagsterRun(job_name="acme_sync", job_code_origin=JobPythonOrigin("acme_sync", origin))
    context = K8sContainerContext.create_for_run(run, launcher, include_run_tags=True)
    job = construct_dagster_k8s_job(
        job_config=context.get_k8s_job_config(job_image=image, run_launcher=launcher),
        args=[*command] or ["dagster", "api", "execute_run"],
        job_name="dagster-run-1",
        pod_name="dagster-run-1",
        component="run_worker",
        user_defined_k8s_config=context.run_k8s_config,
    )
    return kubernetes.client.ApiClient().sanitize_for_serialization(job)


def deployment_of(location: str, image: str | None = None) -> dict[str, Any]:
    """Return a Deployment as the chart's template makes it of a location, or of another image than its own."""
    deployment = LOCATIONS[location]
    port = str(deployment["port"])
    password = {"name": VALUES["global"]["postgresqlSecretName"], "key": "postgresql-password"}
    container = {
        "name": "dagster-user-deployments",
        "image": image or "{repository}:{tag}".format(**deployment["image"]),
        "imagePullPolicy": deployment["image"]["pullPolicy"],
        "args": ["dagster", "api", "grpc", "-h", "0.0.0.0", "-p", port, *deployment["dagsterApiGrpcArgs"]],
        "env": [{"name": "DAGSTER_PG_PASSWORD", "valueFrom": {"secretKeyRef": password}}, *deployment["env"]],
        "envFrom": [{"secretRef": secret} for secret in deployment["envSecrets"]],
        "resources": deployment["resources"],
        "securityContext": deployment["securityContext"],
        "volumeMounts": deployment["volumeMounts"],
        "readinessProbe": {"exec": {"command": ["dagster", "api", "grpc-health-check", "-p", port]}},
    }
    labels = {"app": location}
    pod = {"containers": [container], "volumes": deployment["volumes"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": location},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


@pytest.mark.parametrize("location", LOCATIONS)
def test_kubernetes_takes_a_locations_server_and_its_runs_in_one_image_with_one_part_of_the_pages(
    location, tmp_path
):
    server = valid(deployment_of(location))["spec"]["template"]["spec"]["containers"][0]
    (run,) = valid({"apiVersion": "batch/v1", "kind": "Job", **job_of(location, tmp_path)})["spec"][
        "template"
    ]["spec"]["containers"]

    part = {"name": "STATUS_PAGES", "value": location}
    assert server["image"] == run["image"]
    assert part in server["env"]
    assert part in run["env"]
    assert {source["secretRef"]["name"] for source in run["envFrom"]} == {
        "status-pages-warehouse",
        "status-pages-tokens",
    }
    assert run["resources"] == LOCATIONS[location]["resources"]
    assert run["securityContext"] == LOCATIONS[location]["securityContext"]


def test_a_document_with_a_field_that_kubernetes_does_not_know_would_be_noticed():
    wrong = deployment_of("a")
    wrong["spec"]["template"]["spec"]["containers"][0]["securtyContext"] = {}

    with pytest.raises(kubernetes_validate.ValidationError, match="securtyContext"):
        valid(wrong)


def test_each_location_has_a_folder_of_pages_and_a_server_on_each_engine():
    folders = {path.name for path in (DEPLOY / "pages/status_pages/defs").iterdir() if path.is_dir()}
    folders.discard("__pycache__")
    workspaces = [
        {entry["grpc_server"]["location_name"] for entry in yaml.safe_load(path.read_text())["load_from"]}
        for path in (DEPLOY / "hosts/workspace.yaml", DEPLOY / "compose/workspace.yaml")
    ]
    compose = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())["services"]
    divided = {name for name, each in compose.items() if "STATUS_PAGES" in (each.get("environment") or {})}

    assert set(LOCATIONS) == folders == divided
    assert workspaces == [folders, folders]


def test_dagster_takes_the_instances_settings_and_both_engines_keep_a_page_to_one_run_at_a_time(monkeypatch):
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql+psycopg2://postgres.internal/dagster")
    hosts = yaml.safe_load((DEPLOY / "hosts/dagster.yaml").read_text())
    daemon = VALUES["dagsterDaemon"]
    chart = {
        "run_monitoring": snake_keys(daemon["runMonitoring"]),
        "run_retries": snake_keys(daemon["runRetries"]),
        "sensors": snake_keys(daemon["sensors"]),
        "schedules": snake_keys(daemon["schedules"]),
        "concurrency": {
            name: snake_keys(each) for name, each in VALUES["concurrency"].items() if name != "enabled"
        },
    }

    for settings in (hosts, chart):
        judged = process_config(dagster_instance_config_schema(), settings)
        assert judged.success, judged.errors
        assert settings["concurrency"]["pools"] == {"default_limit": 1, "granularity": "run"}
        assert settings["run_monitoring"]["enabled"]
        assert settings["run_retries"]["retry_on_asset_or_op_failure"] is False


def test_where_each_run_is_a_container_only_the_launcher_is_other_and_bounds_a_run():
    hosts, containers = (
        yaml.safe_load((DEPLOY / name).read_text())
        for name in ("hosts/dagster.yaml", "compose/run-containers/dagster.yaml")
    )
    bounds = containers["run_launcher"]["config"]["container_kwargs"]

    assert {name: value for name, value in hosts.items() if containers[name] != value} == {
        "run_launcher": hosts["run_launcher"]
    }
    assert {"mem_limit", "nano_cpus", "read_only", "cap_drop"} <= set(bounds)


def test_web_server_daemon_locations_and_runs_have_a_security_context():
    launcher = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    contexts = [each["securityContext"] for each in (
        *LOCATIONS.values(), launcher, VALUES["dagsterWebserver"], VALUES["dagsterDaemon"],
    )]  # fmt: skip

    for context in contexts:
        assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 1000)
        assert (context["allowPrivilegeEscalation"], context["capabilities"]) == (False, {"drop": ["ALL"]})


def test_secrets_are_references_and_no_file_holds_one():
    said = [
        line.split("#", 1)[0]
        for path in sorted(DEPLOY.rglob("*"))
        if path.is_file() and path.suffix in (".yaml", ".sql", "") and "__pycache__" not in path.parts
        for line in path.read_text().splitlines()
    ]
    assigned = [line for line in said if re.search(r"(?i)(password|token|credentials)\b.*[:=]\s*\S", line)]

    assert len(said) > 200
    for line in assigned:
        assert re.search(r"\$\{POSTGRES_PASSWORD:\?\}|token_variable: \"[A-Z_]+\"|: false$", line), (
            f"what is given here may be a secret: {line}"
        )
