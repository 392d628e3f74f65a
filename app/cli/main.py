"""The `convserve` command."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from app.api.architectures import Summary
from app.cli.data import data
from app.cli.jobs import jobs, watch_to_the_end
from app.cli.models import evaluate, models
from app.cli.options import LOCAL, ApiKey, Url
from app.cli.terminal import prediction_table, print_error, summary_table
from app.client import Client, ConvserveError
from app.jobs.processes import THREADS_VARIABLES
from app.settings import SettingsError, load_settings

cli = typer.Typer(
    name="convserve",
    help="Train and serve small convolutional networks over HTTP.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ArchitectureArgument = Annotated[
    str,
    typer.Argument(
        metavar="ARCHITECTURE",
        help="The name of a preset, the id of a stored architecture, or a JSON file.",
        show_default=False,
    ),
]


cli.add_typer(data)
cli.add_typer(models)
cli.add_typer(jobs)
cli.command()(evaluate)


def main() -> None:
    """Run the command; what goes wrong is said in a few lines, without a stack trace."""
    console = Console(stderr=True)
    try:
        cli()
    except ConvserveError as error:
        print_error(console, error)
        sys.exit(1)
    except SettingsError as error:
        console.print(Text.assemble(("Error: ", "bold red"), str(error)), soft_wrap=True)
        sys.exit(1)


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one.", show_default="8000")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where everything is kept.", show_default="convserve-data")
    ] = None,
) -> None:
    """Serve until told to stop.

    Every setting can be given as a variable CONVSERVE_...; what is given here goes first.
    """
    _check_platform()
    settings = load_settings(host=host, port=port, data_dir=data_dir)
    # predictions are split over the cores; BLAS keeps to the one it is called on
    for name in THREADS_VARIABLES:
        os.environ.setdefault(name, "1")
    # the client's commands need none of it
    from app.main import create_app  # noqa: PLC0415
    from app.web.server import serve as serve_until_stopped  # noqa: PLC0415

    console = Console(stderr=True)

    def announce(url: str) -> None:
        console.print(f"convserve is at {url} (its calls: {url}/docs). Ctrl-C stops it.", soft_wrap=True)

    serve_until_stopped(create_app(settings), settings, announce)


def _check_platform() -> None:
    if os.name == "nt":
        raise ConvserveError(
            "the service itself runs on Linux and macOS only",
            hint="run it in WSL 2 or in a container; the other commands work here, with its address in --url",
        )


@cli.command()
def demo(
    epochs: Annotated[int | None, typer.Option(min=1, help="How often to go through the digits.")] = None,
) -> None:
    """Start a service of its own, train on digits over HTTP, predict, and stop it.

    It succeeds when all of that happened and at least 97 % of the test digits were recognised.
    """
    _check_platform()
    from app.cli.demo import EPOCHS, DemoError, run  # noqa: PLC0415 - needed by this command alone

    console = Console()
    # Whoever ends this ends the service that it has started, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        run(console, epochs or EPOCHS)
    except DemoError as error:
        console.print(Text.assemble(("Failed: ", "bold red"), str(error)), soft_wrap=True)
        raise typer.Exit(1) from error


@cli.command()
def train(
    architecture: ArchitectureArgument,
    dataset: Annotated[str, typer.Option(help="The id of a data set.")] = "digits",
    name: Annotated[str | None, typer.Option(help="What to call the model.")] = None,
    epochs: Annotated[int | None, typer.Option(help="How often to go through the data.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures in one step.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same run.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="Such as adam or sgd.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The optimizer's step size.")] = None,
    schedule: Annotated[str | None, typer.Option(help="Such as constant or cosine.")] = None,
    loss: Annotated[
        str | None, typer.Option(help="Such as binary_cross_entropy for data sets of labels.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")] = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Train a network and show how it goes.

    What is not given is left to the service. Ctrl-C ends the watching, not the training.
    """
    console = Console()
    rule: dict[str, Any] | None = None
    if optimizer is not None or learning_rate is not None:
        rule = {"type": optimizer or "adam"}
        if learning_rate is not None:
            rule["learning_rate"] = learning_rate
    with Client(url, api_key=api_key) as client:
        job = client.training_jobs.create(
            _trainable(architecture),
            dataset,
            name=name,
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
            optimizer=rule,
            schedule=None if schedule is None else {"type": schedule},
            loss=None if loss is None else {"type": loss},
        )
        console.print(f"training job {job.id}", highlight=False)
        if detach:
            return
        watch_to_the_end(console, client, job.id)


@cli.command()
def predict(
    model: Annotated[str, typer.Argument(help="The id of a model, or name@alias.", show_default=False)],
    pictures: Annotated[
        list[Path],
        typer.Argument(help="Picture files.", exists=True, dir_okay=False, readable=True, show_default=False),
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes to show for each.")] = 3,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Send pictures to a model and show what it sees."""
    with Client(url, api_key=api_key) as client:
        Console().print(prediction_table(client.models.predict(model, pictures, top_k=top)))


@cli.command()
def summary(
    architecture: ArchitectureArgument,
    formulas: Annotated[bool, typer.Option("--formulas", help="Show how each height follows.")] = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Show the shapes, parameters and costs of an architecture, layer by layer."""
    with Client(url, api_key=api_key) as client:
        Console().print(summary_table(_summary(client, architecture), formulas=formulas))


def _summary(client: Client, argument: str) -> Summary:
    known = _trainable(argument)
    if isinstance(known, str):
        return client.architectures.summary(client.architectures.get(known).specification())
    if "preset" not in known:
        return client.architectures.summary(known)
    presets = {preset.name: preset.architecture for preset in client.catalog.presets()}
    chosen = presets.get(argument)
    if chosen is None:
        raise ConvserveError(
            f"there is no preset {argument!r}",
            hint=f"there are {', '.join(sorted(presets))}; a stored architecture has an id like arch_..., "
            "and a file is named by its path",
        )
    return client.architectures.summary(chosen)


def _trainable(argument: str) -> str | dict[str, Any]:
    """Turn an argument into what a training job takes as its architecture."""
    if argument.startswith("arch_"):
        return argument
    path = Path(argument)
    if path.suffix != ".json" and not path.is_file():
        return {"preset": argument}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConvserveError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConvserveError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConvserveError(
            f"{path} holds no architecture", hint='it should be {"input_shape": [...], "layers": [...]}'
        )
    return content


if __name__ == "__main__":
    main()
