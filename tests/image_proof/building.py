"""Build the image by buildah, on a Debian that debootstrap makes: a stand-in for the published base image."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "build" / "image-proof"
BASE = PLACE / "base"
STAND_IN = "localhost/convserve-stand-in"
NAME = "localhost/convserve"
NODES = "localhost/convserve-nodes"

SUITE = "bookworm"
PACKAGES = "ca-certificates,python3,python3-venv,python3-pip"
UNUSED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/cache/apt",
    "var/lib/apt/lists",
)
"""What slim images leave out."""
CERTIFICATES = Path("/etc/ssl/certs")


def buildah(*arguments: str) -> str:
    """Run buildah on images of its own, and return what it prints."""
    places = ["--root", str(PLACE / "storage"), "--runroot", str(PLACE / "run")]
    done = subprocess.run(
        ["buildah", *places, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"buildah {arguments[0]}: {done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout.strip()


def make_base() -> None:
    """Make the stand-in: Debian with Python and pip, called `python` as in the published images of Python."""
    if not (BASE / "usr/bin/python").exists():
        shutil.rmtree(BASE, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(BASE)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for name in UNUSED:
            shutil.rmtree(BASE / name, ignore_errors=True)
        (BASE / "usr/bin/python").symlink_to("python3")
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, str(BASE), "/")
    buildah("commit", "--quiet", container, STAND_IN)
    buildah("rm", container)


def build(name: str = NAME, *options: str) -> dict[str, Any]:
    """Build an image as the Dockerfile says; return its configuration, in Docker's words."""
    places = [word for place in pip_needs() for word in ("--volume", f"{place}:{place}:ro")]
    buildah(
        *("bud", "--isolation", "chroot", "--format", "docker", "--build-arg", f"BASE={STAND_IN}"),
        *(*options, *places, "--tag", name, "."),
    )
    config: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", name))["Docker"]["config"]
    return config


def pip_needs() -> Iterator[Path]:
    """Yield what the pip of this machine is configured by: its files, and the folders that these name."""
    yield CERTIFICATES
    told = subprocess.run(
        ["python3", "-m", "pip", "config", "debug"], capture_output=True, text=True, check=True
    )
    for line in told.stdout.splitlines():
        file, _, exists = line.strip().partition(", exists: ")
        if exists == "True" and file.startswith("/etc/"):
            yield Path(file)
            for word in Path(file).read_text(encoding="utf-8").split():
                named = Path(urlsplit(word).path)
                if (
                    named.is_absolute()
                    and named != Path("/")
                    and named.exists()
                    and CERTIFICATES not in named.parents
                ):
                    yield named


def mounted(name: str = NAME) -> Path:
    """Return the root of an image's files."""
    return Path(buildah("mount", buildah("from", name)))


def clean() -> None:
    """Let go of what was mounted; the base stays for the next time."""
    buildah("umount", "--all")
    buildah("rm", "--all")
    buildah("rmi", "--all", "--force")
