"""The command `convserve teach`: from a folder of pictures to a model that is served."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.class_folders import ClassFolders, read_folder
from app.cli.options import ApiKey, CommandError, check_platform, connect
from app.cli.output import say

if TYPE_CHECKING:
    from app.api.choices import Choice
    from app.client import Client
    from app.settings import Settings

_PREFIX = "CONVSERVE_"
_MOST_CLASSES = 8


def teach(
    folder: Annotated[
        Path,
        typer.Argument(
            help="A folder with a folder for each class, and its pictures in that.",
            exists=True,
            file_okay=False,
            show_default=False,
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="What to call data set and model; by default like the folder.")
    ] = None,
    serve: Annotated[
        bool, typer.Option(help="Go on serving afterwards, if this has started the service.")
    ] = True,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            envvar="CONVSERVE_URL",
            help="Where the service is; by default the one of the data directory, started if it does not run.",
        ),
    ] = None,
    api_key: ApiKey = None,
) -> None:
    """Teach a model the classes in a folder of class folders, and serve it.

    The pictures become a data set, a pretrained network learns its classes, and what it makes of pictures that it has
    never seen is shown, with the line that sends it pictures of yours.
    """
    folders = read_folder(folder)
    name = name or folder.resolve().name or "pictures"
    _introduce(folder, folders)
    if url is not None:
        with connect(url, api_key) as client:
            _teach(client, folders, name, url, api_key)
        return
    with _own_service() as (running, started, settings):
        key = api_key or (settings.api_key.get_secret_value() if settings.api_key else None)
        again = f"convserve serve --data-dir {shlex.quote(str(settings.data_dir))}"
        try:
            with connect(running, key) as client:
                _teach(client, folders, name, running, key, stays=serve or not started)
        except typer.Exit:
            if started:
                say(f"The service stops, and the job waits for the next start: {again}")
            raise
        if not started:
            return
        if serve:
            say(f"\nServing at {running} until Ctrl-C; later: {again}")
            _wait_for_interrupt()
        else:
            say(f"\nTo serve it: {again}")


def _introduce(folder: Path, folders: ClassFolders) -> None:
    listed = [f"{name} {count}" for name, count in folders.classes.most_common(_MOST_CLASSES)]
    if (more := len(folders.classes) - len(listed)) > 0:
        listed.append(f"and {more} more")
    say(
        f"{len(folders.pictures)} pictures of {len(folders.classes)} classes in {folder}: {', '.join(listed)}"
    )
    if folders.others:
        say(f"  {folders.others} other files are left out")


def _teach(
    client: Client, folders: ClassFolders, name: str, url: str, api_key: str | None, *, stays: bool = True
) -> None:
    """Take the pictures to a model, and say how to use it; `stays`: the service goes on when this has ended."""
    from app.cli.data import finish
    from app.cli.jobs import print_report
    from app.cli.train import watch_to_the_end

    with tempfile.TemporaryDirectory(prefix="convserve-teach-") as directory:
        archive = Path(directory) / "pictures.zip"
        folders.pack(archive)
        say(f"Sending {archive.stat().st_size / 1e6:,.1f} MB ...")
        dataset = client.datasets.upload(archive, name=name, channels=3, defaults="auto")
    _say_choices(dataset.chosen)
    # Asked for at once: whoever leaves now finds a model later.
    job = client.training_jobs.create(None, dataset.id, name=name)
    say(f"training job {job.id}")
    finish(client, dataset)
    job = next(now for now in client.training_jobs.watch(job.id) if now.waiting_for is None)
    _say_choices(job.chosen)
    for warning in job.warnings:
        say(f"Warning: {warning}")
    model = watch_to_the_end(client, job.id)
    say()
    print_report(client.training_jobs.report(job.id))
    say("\nIt is served. Send it a picture:" if stays else "\nWhen it is served, send it a picture:")
    key = ' -H "Authorization: Bearer $CONVSERVE_API_KEY"' if api_key else ""
    say(f"  curl{key} -F files=@picture.jpg {url.rstrip('/')}/v1/models/{model}/predict")


def _say_choices(choices: list[Choice]) -> None:
    for choice in choices:
        say(f"  {choice.field}: {_in_short(choice.value)} ({choice.reason})")


def _in_short(value: object) -> str:
    """Write what was chosen; of parts with hyperparameters, their types."""
    if isinstance(value, dict):
        return str(value.get("type") or value.get("preset") or json.dumps(value))
    if isinstance(value, list):
        return ", ".join(map(_in_short, value)) or "none"
    return str(value)


@contextmanager
def _own_service() -> Iterator[tuple[str, bool, Settings]]:
    """Yield the address of the service of the data directory, and whether it was started for this.

    Raises:
        CommandError: it cannot be started.
    """
    check_platform()
    from app.cli.launch import LaunchError, ServerProcess
    from app.settings import SettingsError, load_settings

    try:
        settings = load_settings()
    except SettingsError as error:
        raise CommandError(str(error)) from error
    # Whoever ends this ends the service that it has started, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    running = _running(settings)
    if running is not None:
        say(f"Using the service at {running}.")
        yield running, False, settings
        return
    variables = {
        name.removeprefix(_PREFIX): value for name, value in os.environ.items() if name.startswith(_PREFIX)
    }
    with tempfile.TemporaryDirectory(prefix="convserve-teach-") as directory:
        process = ServerProcess(
            settings.data_dir, Path(directory) / "service.log", variables, port=_free(settings.port)
        )
        try:
            with process as url:
                say(f"Started the service at {url}, with the data directory {settings.data_dir}.")
                yield url, True, settings
        except LaunchError as error:
            raise CommandError(str(error)) from error


def _running(settings: Settings) -> str | None:
    """Return the address of the service that has the data directory, if there is one."""
    from app.client import ConvserveError
    from app.files.locks import is_locked
    from app.processes.listener import ADDRESS_FILE
    from app.processes.member import LOCK_FILE

    key = None if settings.api_key is None else settings.api_key.get_secret_value()
    try:
        if not is_locked(settings.data_dir / LOCK_FILE):  # the file of one that was killed stays
            return None
        url = str(json.loads((settings.data_dir / ADDRESS_FILE).read_bytes())["url"])
        with connect(url, key) as client:
            return url if client.ready() else None
    except (OSError, ValueError, KeyError, ConvserveError):
        return None


def _free(port: int) -> int:
    """Return the port, or 0 where something else listens on it."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


def _wait_for_interrupt() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        say("The service stops.")
