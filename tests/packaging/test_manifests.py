"""What the files for Docker and Kubernetes say must be what the service does; `make manifests` has their schemas."""

import re
from pathlib import Path

from app.settings import PREFIX, Settings
from app.web.middleware.gate import OPEN_PATHS

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8")
DEPLOYMENT = (ROOT / "docker" / "kubernetes" / "deployment.yaml").read_text(encoding="utf-8")


def one(pattern: str, text: str) -> str:
    (found,) = set(re.findall(pattern, text))
    return str(found)


def test_jobs_have_time_for_their_last_checkpoint() -> None:
    grace = Settings.model_fields["grace_seconds"].default
    assert int(one(r"terminationGracePeriodSeconds: (\d+)", DEPLOYMENT)) >= grace + 10
    assert int(one(r"stop_grace_period: (\d+)s", COMPOSE)) >= grace + 10


def test_probes_ask_what_is_open_to_all() -> None:
    probes = re.findall(r"(\w+)Probe:\n\s+httpGet: \{path: (\S+), port: http\}", DEPLOYMENT)
    assert dict(probes) == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
    assert {path for _, path in probes} <= OPEN_PATHS


def test_the_user_is_that_of_the_image() -> None:
    user, group = one(r"(?m)^USER (\S+)$", DOCKERFILE).split(":")
    assert one(r"runAsUser: (\d+)", DEPLOYMENT) == user
    assert one(r"runAsGroup: (\d+)", DEPLOYMENT) == group
    assert one(r"fsGroup: (\d+)", DEPLOYMENT) == group


def test_ports_and_the_data_directory_are_those_of_the_image() -> None:
    assert one(r"containerPort: (\d+)", DEPLOYMENT) == one(r"CONVSERVE_PORT=(\d+)", DOCKERFILE)
    data = one(r"CONVSERVE_DATA_DIR=(\S+)", DOCKERFILE)
    assert data in re.findall(r"mountPath: ([^\s,}]+)", DEPLOYMENT)


def test_all_variables_are_settings() -> None:
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    for text in (DOCKERFILE, DEPLOYMENT):
        assert set(re.findall(r"(?:name: |\s)(CONVSERVE_\w+)(?:=|$)", text, re.MULTILINE)) <= settings
    given = re.findall(r"^\s+(CONVSERVE_\w+):", COMPOSE, re.MULTILINE)
    assert given
    assert set(given) <= settings


def test_the_root_cannot_be_written() -> None:
    assert "readOnlyRootFilesystem: true" in DEPLOYMENT
    assert "drop: [ALL]" in DEPLOYMENT
    assert "read_only: true" in COMPOSE
    assert "cap_drop: [ALL]" in COMPOSE


def test_a_backup_is_of_the_volume_of_the_server_on_its_node() -> None:
    backup = (ROOT / "docker" / "kubernetes" / "backup.yaml").read_text(encoding="utf-8")
    volume = (ROOT / "docker" / "kubernetes" / "volume.yaml").read_text(encoding="utf-8")
    claim = one(r"claimName: (\S+)", DEPLOYMENT)
    assert one(r"(?m)^  name: (\S+)$", volume) == claim
    mounted = dict(re.findall(r"- name: (\w+)\n\s+persistentVolumeClaim:\n\s+claimName: (\S+)", backup))
    assert mounted["data"] == claim
    assert re.findall(r"(?m)^  name: (\S+)$", backup)[1] == mounted["backups"]
    label = one(r"matchLabels:\n\s+(app\S+: \S+)", DEPLOYMENT)
    assert one(r"matchLabels:\n\s+(\S+: \S+)", backup) == label
    for line in ("runAsUser", "runAsGroup", "fsGroup"):
        assert one(rf"{line}: (\d+)", backup) == one(rf"{line}: (\d+)", DEPLOYMENT)
