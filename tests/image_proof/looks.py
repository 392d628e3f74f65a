"""Look at the files of an image: how large it is, and what should not be in it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MB = 1_000_000
ENVIRONMENT = "opt/convserve"
BILL = "opt/convserve/share/sbom.cdx.json"
MOST_UNPACKED = 330 * MB
MOST_COMPRESSED = 120 * MB
BUILDERS = ("gcc", "cc", "make", "git", "curl", "wget")


def sizes(root: Path, base: Path) -> dict[str, int]:
    """Return bytes of the whole image and of its base, as files and as they travel (gzip)."""
    return {
        "unpacked": unpacked(root),
        "compressed": compressed(root),
        "base unpacked": unpacked(base),
        "base compressed": compressed(base),
    }


def unpacked(root: Path) -> int:
    """Sum the sizes of all files below a folder."""
    return sum(status.st_size for _, status in files(root) if stat.S_ISREG(status.st_mode))


def compressed(root: Path) -> int:
    """Return how many bytes the files take as a compressed layer."""
    with (
        subprocess.Popen(["tar", "-C", str(root), "-cf", "-", "."], stdout=subprocess.PIPE) as tar,
        subprocess.Popen(["gzip", "-6"], stdin=tar.stdout, stdout=subprocess.PIPE) as gzip,
    ):
        assert gzip.stdout is not None
        return sum(len(block) for block in iter(lambda: gzip.stdout.read(1 << 20), b""))  # type: ignore[union-attr]


def files(root: Path) -> Iterator[tuple[Path, Any]]:
    """Yield what lies below a folder, with its status; links are not followed, and nothing that is mounted there."""
    device = root.lstat().st_dev
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = [name for name in folders if (here / name).lstat().st_dev == device]
        for name in names:
            yield (here / name).relative_to(root), (here / name).lstat()


def faults(root: Path, python: tuple[str, ...]) -> list[str]:
    """Return what is wrong with the files of an image.

    Args:
        root: where the image is mounted.
        python: how to run the image's Python.
    """
    found = []
    for path, status in files(root):
        if stat.S_ISREG(status.st_mode):
            if status.st_mode & (stat.S_ISUID | stat.S_ISGID):
                found.append(f"/{path} gives rights")
            if status.st_mode & stat.S_IWOTH:
                found.append(f"/{path} can be written by all")
    found += [
        f"{name} is in it"
        for name in BUILDERS
        for place in ("usr/bin", "bin")
        if (root / place / name).exists()
    ]
    if (root / "root/.cache").exists():
        found.append("pip left a cache")
    return found + bill_faults(root, python)


def bill_faults(root: Path, python: tuple[str, ...]) -> list[str]:
    """Compare the bill of materials with what is really installed."""
    bill = json.loads((root / BILL).read_text(encoding="utf-8"))
    said = {
        (component["name"].lower().replace("_", "-"), component["version"])
        for component in bill["components"]
        if component["type"] == "library" and not component.get("purl", "").startswith("pkg:deb/")
    }
    code = (
        "import importlib.metadata as m, json;"
        "print(json.dumps([[d.name.lower().replace('_', '-'), d.version] for d in m.distributions()]))"
    )
    told = subprocess.run([*python, "-c", code], check=True, capture_output=True, text=True)
    real = {(name, version) for name, version in json.loads(told.stdout)}
    debian = [
        component for component in bill["components"] if component.get("purl", "").startswith("pkg:deb/")
    ]
    packages = (
        (root / "var/lib/dpkg/status").read_text(encoding="utf-8").count("Status: install ok installed")
    )
    licences = [
        name
        for name, _ in real
        if not any(
            (root / ENVIRONMENT).glob(
                f"lib/python3*/site-packages/{name.replace('-', '[-_]')}-*.dist-info/**/*LICEN*"
            )
        )
    ]
    found = [f"the bill and the environment differ: {said ^ real}"] if said != real else []
    if len(debian) != packages:
        found.append(f"the bill has {len(debian)} packages of Debian, the image {packages}")
    if bill["bomFormat"] != "CycloneDX":
        found.append("the bill is no CycloneDX")
    return found + [f"{name} comes without its licence" for name in licences]
