"""A node of a training job that is not the first: `python -P -m app.jobs.nodes.member JOB NUMBER HOST PORT`.

It opens the data set, goes to the port of the first node, and computes what that one asks for. The token of the attempt
is the first line of its input; where that input ends, whoever has started it is gone, and so is it.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence

from app.processes.parent import killed_with_parent

MODULE = "app.jobs.nodes.member"
_INPUT = 0
_JOIN_SECONDS = 60.0

log = logging.getLogger("worker")


def main(arguments: Sequence[str]) -> int:
    """Be that node, and return the exit status of the process."""
    # whoever has started it ends it: signals for all processes of a job are meant for that one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    killed_with_parent()  # one that is frozen reads no input
    job_id, number, host, port = arguments
    token = _read_token()
    threading.Thread(target=_end_with_input, name="input", daemon=True).start()
    try:
        _work(job_id, int(number), host, int(port), token)
    except Exception as error:
        return _paused(error)
    return 0


def _paused(error: Exception) -> int:
    """Return the status that tells the first node that this passes, of what keeps files from being read or written.

    Raises:
        Exception: it is about something else.
    """
    from app.files.faults import reason  # noqa: PLC0415 - as below
    from app.jobs.exits import PAUSED  # noqa: PLC0415
    from app.jobs.faults import passing_fault  # noqa: PLC0415

    fault = passing_fault(error)
    if fault is None:
        raise error
    log.warning("cannot go on now: %s (%s)", fault.detail, reason(error))
    return PAUSED[fault.state]


def _work(job_id: str, number: int, host: str, port: int, token: bytes) -> None:
    # what the token came with is read before all this is loaded, so that it waits in no pipe
    from app.datasets.storage import open_dataset  # noqa: PLC0415
    from app.datasets.training_data import training_data  # noqa: PLC0415
    from app.files import paths  # noqa: PLC0415
    from app.files.bucket.opening import open_artifacts  # noqa: PLC0415
    from app.jobs.requests import TrainingRequest  # noqa: PLC0415
    from app.log.plain import configure_plain_log  # noqa: PLC0415
    from app.settings import load_settings  # noqa: PLC0415
    from app.store import Store  # noqa: PLC0415
    from engine.environment import pins  # noqa: PLC0415
    from engine.fast.nodes.gate import join  # noqa: PLC0415
    from engine.fast.nodes.member import serve  # noqa: PLC0415

    settings = load_settings()
    configure_plain_log(settings.log_level)
    store = Store(settings.data_dir, settings.database)
    artifacts = open_artifacts(settings)
    try:
        request = TrainingRequest.of(store.jobs.get(job_id))
        dataset = store.datasets.get(request.dataset)
        stored = open_dataset(store, artifacts, dataset.id, request.dataset_images, request.dataset_revision)
        data = training_data(dataset, stored)
    finally:
        store.close()
    folder = artifacts.here(paths.directory(job_id))
    folder.mkdir(parents=True, exist_ok=True)
    gc.freeze()
    channel = join(host, port, token, number, _JOIN_SECONDS)
    log.info("node %d of %d of %s, process %d", number + 1, request.nodes, job_id, os.getpid())
    channel.send({"pins": pins(1)})
    serve(channel, data, folder)


def _read_token() -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        part = os.read(_INPUT, 1)
        if not part:
            sys.exit("its input has no token")
        line += part
    return bytes.fromhex(line.decode())


def _end_with_input() -> None:
    # past the buffer of `sys.stdin`, whose lock nobody may hold when the interpreter ends
    while os.read(_INPUT, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
