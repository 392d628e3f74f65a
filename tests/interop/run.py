"""Run the clients against a server, and write what came of it: `make interop`."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from app.cli.launch import ServerProcess

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "interop.md"
CLIENTS = {
    "triton": ("tritonclient", "tritonclient[http]"),
    "triton_asyncio": ("tritonclient", "tritonclient[http], asyncio"),
    "kserve_rest": ("kserve", "kserve, InferenceRESTClient"),
    "openapi": ("open-inference-openapi", "open-inference-openapi"),
}
"""Scripts; the package that each tests, in an environment of that name; and what to call it."""

KEY = "a-long-random-key"
MODEL = "lenet-5-digits"
PICTURES = 5
SECONDS = 100
"""The longest that one client may take."""


def main(environments: str) -> int:
    """Run all clients; return how many checks failed.

    Args:
        environments: the folder with an environment for each package.
    """
    found: dict[str, dict[str, str | None]] = {}
    names: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with ServerProcess(place / "data", place / "log", {"API_KEY": KEY}) as url:
            given = place / "given.json"
            given.write_text(json.dumps(what_is_given(url)), encoding="utf-8")
            for script, (package, title) in CLIENTS.items():
                python = Path(environments) / package / "bin" / "python"
                found[script] = run(python, script, given)
                names[script] = f"{title} {installed(python, package)}"
                failed = {check: fault for check, fault in found[script].items() if fault}
                sys.stdout.write(
                    f"{names[script]}: {len(found[script]) - len(failed)} of {len(found[script])}\n"
                )
                for check, fault in failed.items():
                    sys.stdout.write(f"  {check}: {fault}\n")
        with ServerProcess(place / "other", place / "other-log", {}) as url:
            python = Path(environments) / "tritonclient" / "bin" / "python"
            found["triton"]["examples/three_clients.py"] = fault = example(python, url)
            if fault:
                sys.stdout.write(f"examples/three_clients.py: {fault}\n")
    PAGE.write_text(page(found, names), encoding="utf-8")
    return sum(fault is not None for checks in found.values() for fault in checks.values())


def what_is_given(url: str) -> dict[str, Any]:
    """Ask the server by its own protocol for what the clients should find."""
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as http:
        files = [http.get(f"/v1/datasets/digits/images/{number}").content for number in range(PICTURES)]
        kinds = {"Content-Type": "image/png", "Accept": "application/json"}
        seen = [
            http.post(f"/v1/models/{MODEL}/preprocess", content=file, headers=kinds).json() for file in files
        ]
        texts = [base64.b64encode(file).decode() for file in files]
        answer = http.post(f"/v1/models/{MODEL}/predict?top_k=10", json={"images": texts}).json()
    expected = [[0.0] * 10 for _ in files]
    for row, entry in zip(expected, answer["data"], strict=True):
        for top in entry["top"]:
            row[top["class_index"]] = top["probability"]
    return {
        "address": url.removeprefix("http://"),
        "key": KEY,
        "pictures": texts,
        "pixels": [entry["pixels"] for entry in seen],
        "numbers": [entry["input"] for entry in seen],
        "expected": expected,
    }


def run(python: Path, script: str, given: Path) -> dict[str, str | None]:
    """Return the checks of a client, each with what is wrong or None."""
    command = [python, ROOT / "tests" / "interop" / "clients" / f"{script}.py", given]
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    try:
        # without the caller's: only what is installed there is tested
        environment.pop("PYTHONPATH", None)
        ended = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, env=environment, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return {"it ends": f"not within {SECONDS} s"}
    checks = {line["check"]: line["fault"] for line in map(json.loads, ended.stdout.splitlines())}
    return checks if ended.returncode == 0 else checks | {"it runs": f"it ended with {ended.returncode}"}


def example(python: Path, url: str) -> str | None:
    """Run the example that asks by several clients where all of them are; return what is wrong, None if nothing is."""
    command = [python, "-m", "examples.three_clients", url]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    # the name of each client, and what it sees
    seen = {line[:13].strip(): line[13:] for line in ended.stdout.splitlines()}
    said = set(seen.values())
    if ended.returncode or len(seen) != 3 or len(said) != 1 or "sees a" not in said.pop():
        return (ended.stdout + ended.stderr)[-500:]
    return None


def installed(python: Path, package: str) -> str:
    """Return the version of a package in another environment."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def page(found: dict[str, dict[str, str | None]], names: dict[str, str]) -> str:
    """Write the page: a row for each check, a column for each client."""
    checks = list(dict.fromkeys(check for of_client in found.values() for check in of_client))
    lines = [
        "# Stock clients",
        "",
        "Clients of [the Open Inference Protocol](inference-protocol.md) as they are published, each in an environment",
        f"of its own, ask convserve {version('convserve')} for digits, with its key as a bearer token. Their answers",
        "are those of `/v1/models/{name}/predict` to 1e-5. `make interop` writes this page anew. An empty cell is",
        "what a client has no call for, or is not asked for.",
        "",
        f"| | {' | '.join(names.values())} |",
        f"|---|{'---|' * len(names)}",
    ]
    for check in checks:
        cells = [cell(of_client.get(check, "")) for of_client in found.values()]
        lines.append(f"| {check} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(fault: str | None) -> str:
    """Write a fault, None for none, into a cell."""
    return "passed" if fault is None else fault.replace("|", "/").replace("\n", " ")[:200]


if __name__ == "__main__":
    sys.exit(min(main(*sys.argv[1:]), 1))
