"""Write what an image is made of as CycloneDX: run while the image is built, with its base image around it.

The libraries are listed by cyclonedx-py; Debian's packages and the files of the page that others wrote are added.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

DEBIAN = Path("/var/lib/dpkg/status")
VENDORED = "app/page/vendor/README.md"
_VENDORED_ROW = re.compile(
    r"^\| `(?P<file>[^`]+)` \| (?P<name>\S+) (?P<version>[\d.]+), .*\| `(?P<sha256>\w{64})` \|$"
)


def main(environment: Path, target: Path) -> None:
    """Write the bill of materials of an environment and of the system around it.

    Args:
        environment: a virtual environment.
        target: the file to write, in JSON.

    Raises:
        ValueError: it is not what the schema of CycloneDX asks for.
    """
    python = environment / "bin" / "python"
    command = ["environment", "--output-reproducible", "--output-format", "JSON", str(python)]
    cyclonedx = Path(sys.executable).with_name("cyclonedx-py")
    listed = subprocess.run([str(cyclonedx), *command], check=True, capture_output=True, text=True)  # noqa: S603
    bill: dict[str, Any] = json.loads(listed.stdout)
    (readme,) = environment.glob(f"lib/python3*/site-packages/{VENDORED}")
    bill["components"] += [*vendored(readme.read_text(encoding="utf-8")), *debian()]
    fault = JsonStrictValidator(SchemaVersion.from_version(bill["specVersion"])).validate_str(
        json.dumps(bill)
    )
    if fault is not None:
        raise ValueError(f"the bill of materials is not valid: {fault}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(bill, indent=1), encoding="utf-8")


def vendored(readme: str) -> Iterator[dict[str, Any]]:
    """Yield the files that the page brings along, as the table in their README lists them."""
    for row in filter(None, map(_VENDORED_ROW.match, readme.splitlines())):
        yield {
            "type": "file",
            "bom-ref": f"app/page/vendor/{row['file']}",
            "name": f"app/page/vendor/{row['file']}",
            "version": row["version"],
            "hashes": [{"alg": "SHA-256", "content": row["sha256"]}],
            "pedigree": {
                "ancestors": [
                    {
                        "type": "library",
                        "name": row["name"],
                        "version": row["version"],
                        "purl": f"pkg:npm/{row['name'].lower()}@{row['version']}",
                    }
                ]
            },
        }


def debian() -> Iterator[dict[str, Any]]:
    """Yield the packages of Debian that are installed; none where the base image is no Debian."""
    if not DEBIAN.exists():
        return
    for paragraph in DEBIAN.read_text(encoding="utf-8").split("\n\n"):
        said = dict(re.findall(r"^([\w-]+): (.*)$", paragraph, re.MULTILINE))
        if said.get("Status", "").endswith(" installed"):
            name, version, kind = said["Package"], said["Version"], said["Architecture"]
            purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B').replace(':', '%3A')}?arch={kind}"
            yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
