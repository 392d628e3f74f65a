"""What was measured of the machines that have used a data directory: a file for each, named by what has to be alike.

Measured once and kept, so that all processes that use the directory choose alike. Neither a file that cannot be read
nor a disk that cannot be written stops anything: what was measured is used all the same.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from pydantic import ValidationError

from app.files import paths
from app.files.artifacts import LocalArtifacts
from app.files.faults import reason
from engine.environment import products_use_avx512
from engine.fast.layout.gemm import Tuning
from engine.machine.machine import Identity, Machine

log = logging.getLogger(__name__)

_LONGEST = 100
_MOST_BYTES = 1 << 20


def known_tuning(root: Path) -> Tuning:
    """Return what follows from the figures that are kept of this machine, or what is known without them.

    Takes milliseconds: it is part of the first prediction.

    Args:
        root: the data directory.
    """
    machine = kept(root)
    return Tuning.measure() if machine is None else Tuning.of(machine)


def measured_tuning(root: Path) -> Tuning:
    """Return the same for a job; where nothing is known of the library that computes products, the machine is measured.

    Args:
        root: the data directory.
    """
    machine = kept(root)
    if machine is None and products_use_avx512() is not None:
        return Tuning.measure()
    return Tuning.of(machine or measure_and_keep(root))


def kept(root: Path) -> Machine | None:
    """Return the figures that a data directory has of this machine; None where there are none that can be used."""
    here = Identity.here()
    path = root / name_of(here)
    try:
        with path.open("rb") as file:
            machine = Machine.model_validate_json(file.read(_MOST_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("what was measured of this machine cannot be read, and does not count: %s", reason(error))
        return None
    except ValidationError:
        log.warning("%s is not what was measured of a machine, and does not count", path.name)
        return None
    if machine.identity != here:
        log.warning("%s was measured of another machine, and does not count", path.name)
        return None
    return machine


def measure_and_keep(root: Path) -> Machine:
    """Measure this machine, which takes about a second, and keep the figures if they can be written."""
    from engine.machine.measure import measure  # noqa: PLC0415 - few processes ever do

    machine = measure()
    try:
        LocalArtifacts(root).write(name_of(machine.identity), machine.model_dump_json(indent=1).encode())
    except OSError as error:
        log.warning("what was measured of this machine is used and cannot be kept: %s", reason(error))
    return machine


def name_of(identity: Identity) -> str:
    """Return the name of the file with the figures of a machine."""
    said = f"{identity.processor} {identity.kernels} numpy {identity.numpy}"
    return f"{paths.MACHINES}/{re.sub(r'[^A-Za-z0-9.]+', '-', said).strip('-.')[-_LONGEST:].strip('-.')}.json"
