"""Run an image's commands as a container would: its files read only, its user, no capabilities, a bound of memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

USER = "10001"
GROUPS = Path("/sys/fs/cgroup")


class Rooms:
    """A chroot into the image's files. It mounts, so it belongs into a mount namespace of its own."""

    def __init__(self, root: Path, data: Path, environment: Sequence[str]) -> None:
        self.root = root
        self.environment = dict(word.partition("=")[::2] for word in environment)
        data.mkdir(parents=True, exist_ok=True)
        os.chown(data, int(USER), int(USER))
        mount("--bind", str(root), str(root))
        mount("-t", "proc", "proc", str(root / "proc"))
        mount("--rbind", "/dev", str(root / "dev"))
        if GROUPS.exists():
            mount("--rbind", str(GROUPS), str(root / "sys/fs/cgroup")) if self._has_groups() else None
        mount("-t", "tmpfs", "-o", "size=256m,mode=1777", "tmpfs", str(root / "tmp"))
        mount("--bind", str(data), str(root / "data"))
        mount("-o", "remount,bind,ro", str(root))

    def _has_groups(self) -> bool:
        mount("-t", "sysfs", "sysfs", str(self.root / "sys"))
        return (self.root / "sys/fs/cgroup").is_dir()

    def command(self, *words: str, **settings: str) -> list[str]:
        """Return what runs a command of the image in it."""
        given = [f"{name}={value}" for name, value in (self.environment | settings).items()]
        drop = ["--reuid", USER, "--regid", USER, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
        inside = ["setpriv", *drop, "--no-new-privs", "env", "-i", "-C", "/data", *given, *words]
        return ["chroot", str(self.root), *inside]

    def run(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*words, **settings), capture_output=True, text=True, check=False, timeout=600
        )


def mount(*words: str) -> None:
    """Mount, or say why not."""
    subprocess.run(["mount", *words], check=True)


class MemoryGroup:
    """A control group with a bound of memory, of version 1 or 2."""

    def __init__(self, limit: int) -> None:
        old = GROUPS / "memory"
        self.place = (old if old.is_dir() else GROUPS) / f"convserve-proof-{os.getpid()}"
        self.place.mkdir()
        name = "memory.limit_in_bytes" if old.is_dir() else "memory.max"
        (self.place / name).write_text(str(limit))

    def enter(self) -> None:
        """Put the process that calls this into the group."""
        (self.place / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self) -> None:
        """Remove the group, when nobody is in it any more."""
        self.place.rmdir()
