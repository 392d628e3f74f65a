"""The `convserve` command."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from app.cli import corrections  # noqa: F401 - adds its commands to `data`
from app.cli.architectures import architectures, compare, diagram, summary
from app.cli.batches import batches
from app.cli.care import backup, check, restore, upgrade
from app.cli.catalog import catalog
from app.cli.data import data
from app.cli.evaluations import evaluate, evaluations
from app.cli.explanations import explain
from app.cli.insides import activations, filters
from app.cli.jobs import jobs
from app.cli.keys import keys
from app.cli.migrate import migrate_artifacts, migrate_store
from app.cli.models import models, predict
from app.cli.operations import filter_pictures, operations
from app.cli.options import CommandError, check_platform
from app.cli.output import print_error, print_refusal, say
from app.cli.teach import teach
from app.cli.train import train
from app.cli.tune import tune

cli = typer.Typer(
    name="convserve",
    help="Train and serve convolutional networks over HTTP.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # importing what draws boxes around help takes longer than everything else
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from app import version

        say(f"convserve {version()}")
        raise typer.Exit


@cli.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; what goes wrong is said in a few lines, without a stack trace."""
    try:
        cli()
    except CommandError as error:
        print_error(error.detail, error.hint)
        sys.exit(1)
    except Exception as error:
        from app.client import ConvserveError

        if not isinstance(error, ConvserveError):
            raise
        print_refusal(error)
        sys.exit(1)


@cli.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True}, add_help_option=False
)
def serve(context: typer.Context) -> None:
    """Serve until stopped by Ctrl-C or SIGTERM."""
    from app.cli.serve import main as run_server

    run_server(context.args)


@cli.command()
def demo(
    epochs: Annotated[int | None, typer.Option(min=1, help="How often to go through the digits.")] = None,
) -> None:
    """Start a service, train on digits, predict, and stop it.

    It succeeds when all of that happened and at least 97 % of the test digits were recognised.
    """
    check_platform()
    from app.cli.demo import EPOCHS, DemoError, run

    # Whoever ends this ends the service that it has started, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        run(epochs or EPOCHS)
    except DemoError as error:
        say(f"Failed: {error}")
        raise typer.Exit(1) from error


cli.command()(backup)
cli.command()(restore)
cli.command()(check)
cli.command()(upgrade)
cli.command()(tune)
cli.command()(migrate_store)
cli.command()(migrate_artifacts)
cli.command()(teach)
cli.command()(train)
cli.command()(predict)
cli.command()(explain)
cli.command()(evaluate)
cli.command()(summary)
cli.command()(diagram)
cli.command()(compare)
cli.command("filter")(filter_pictures)
cli.command()(operations)
cli.command()(activations)
cli.command()(filters)
for group in (jobs, models, data, architectures, evaluations, batches, keys, catalog):
    cli.add_typer(group)


if __name__ == "__main__":
    main()
