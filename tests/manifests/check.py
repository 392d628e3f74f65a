"""Check the manifests against the schemas of Kubernetes, the Prometheus Operator and KubeRay: `make manifests`.

Runs in an environment of its own, with kubernetes-validate and what that brings along.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "docker" / "kubernetes"
FIXTURES = ROOT / "tests" / "fixtures"
SCHEMAS = {
    "ServiceMonitor": FIXTURES / "servicemonitor-v1.json",
    "RayCluster": FIXTURES / "raycluster-v1.json",
}
"""Of kinds that Kubernetes does not know."""
VERSIONS = ("1.29", "1.33", "1.37")
"""The oldest that is still run, one between, and the newest that the library knows."""


def main() -> int:
    """Check all files; return how many faults were found."""
    faults = 0
    for file in sorted(MANIFESTS.rglob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            found = list(faults_of(document, file.parent))
            faults += len(found)
            sys.stdout.write(f"{file.relative_to(MANIFESTS)}: {'; '.join(found) or 'valid'}\n")
    return faults


def faults_of(document: dict[str, Any], folder: Path = MANIFESTS) -> list[str]:
    """Return what the schema of a manifest's kind finds wrong with it."""
    if document["kind"] == "Kustomization":
        named = [*document["resources"]]
        return [f"there is no {name}" for name in named if not (folder / example(name)).exists()]
    if document["kind"] in SCHEMAS:
        schema = json.loads(SCHEMAS[document["kind"]].read_text(encoding="utf-8"))
        found = [
            f"{error.json_path}: {error.message}"
            for error in Draft202012Validator(schema).iter_errors(document)
        ]
        return found or [fault for pod in pods_of(document) for fault in faults_of(pod)]
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{version}: {error.path}: {error.message}")
    return found


def pods_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the templates of pods that a RayCluster has, each as a manifest of its own."""
    if document["kind"] != "RayCluster":
        return []
    spec = document["spec"]
    return [
        {
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": {"name": "of-ray"},
            "template": group["template"],
        }
        for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])
    ]


def example(name: str) -> str:
    """Return the file that shows what a resource looks like where it cannot be in the repository itself."""
    return "secret.example.yaml" if name == "secret.yaml" else name


def prove_that_it_finds_faults() -> None:
    """Raise where a manifest that is wrong passes, for a check that cannot fail says nothing."""
    wrong = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"port": 80}},
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "ServiceMonitor",
            "metadata": {"name": "a"},
            "spec": {"selector": {}, "endpoints": [{"bearer": "a"}]},
        },
    ]
    pod = {"spec": {"containers": [{"name": "ray", "image": "ray", "readonlyRootFilesystem": True}]}}
    for key, value in (("template", pod), ("replicas", 1)):
        group = {"rayStartParams": {}, "template": {"spec": {"containers": [{"name": "ray"}]}}, key: value}
        spec = {"headGroupSpec": group, "workerGroupSpecs": []}
        wrong.append(
            {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "a"}, "spec": spec}
        )
    for document in wrong:
        if not faults_of(document):
            raise AssertionError(f"a wrong {document['kind']} passed")


if __name__ == "__main__":
    prove_that_it_finds_faults()
    sys.exit(min(main(), 1))
