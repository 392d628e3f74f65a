"""The commands about batch predictions: `convserve batches ...`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.models import Reference, models
from app.cli.options import LOCAL, ApiKey, ByStatus, CommandError, Json, Url, Webhook, connect
from app.cli.output import everything, listing, say, say_lines

if TYPE_CHECKING:
    from app.client import Client

batches = typer.Typer(
    name="batches",
    help="Batch predictions: list, show, result, cancel, delete.",
    no_args_is_help=True,
)

Identifier = Annotated[
    str, typer.Argument(metavar="BATCH", help="The id of a batch prediction.", show_default=False)
]
Table = Annotated[Path, typer.Argument(help="The CSV file to write.", show_default=False)]


@models.command("predict-batch")
def predict_batch(
    model: Reference,
    archive: Annotated[
        Path,
        typer.Argument(help="A zip archive of pictures.", exists=True, dir_okay=False, show_default=False),
    ],
    table: Table,
    top: Annotated[int, typer.Option(min=1, help="How many classes to name for each.")] = 3,
    webhook: Webhook = None,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Predict every picture of an archive, and write the predictions into a table.

    Ctrl-C ends the waiting, not the work.
    """
    from app.cli.progress import display

    with connect(url, api_key) as client:
        batch = client.batch_predictions.create(model, archive, top_k=top, webhook=webhook)
        say(f"batch prediction {batch.id}")
        with display("predicting") as shown:
            for now in client.batch_predictions.watch(batch.id):
                batch = now
                shown.update(f"{batch.progress.images} of {batch.progress.of} files", batch.progress.fraction)
        if batch.status != "succeeded":
            reason = f": {batch.error.message}" if batch.error else ""
            raise CommandError(f"the batch prediction has {batch.status}{reason}")
        _write(client, batch.id, table)
    failed = f", {batch.progress.failed} of which are no picture" if batch.progress.failed else ""
    say(f"{table}: {batch.progress.of} files{failed}")


@batches.command("list")
def list_batches(
    status: ByStatus = None, json: Json = False, url: Url = LOCAL, api_key: ApiKey = None
) -> None:
    """List the batch predictions, newest first."""
    with connect(url, api_key) as client:
        listing(
            client.batch_predictions.list(status=status),
            {
                "id": lambda batch: batch.id,
                "model": lambda batch: batch.model_id,
                "archive": lambda batch: batch.filename,
                "status": lambda batch: batch.status,
                "files": lambda batch: f"{batch.progress.images} of {batch.progress.of}",
            },
            as_json=json,
            texts=("archive",),
            numbers=("files",),
        )


@batches.command("show")
def show_batch(batch: Identifier, json: Json = False, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Show everything about a batch prediction."""
    with connect(url, api_key) as client:
        everything(client.batch_predictions.get(batch), as_json=json)


@batches.command("result")
def write_result(batch: Identifier, table: Table, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Write the predictions of a batch prediction into a table."""
    with connect(url, api_key) as client:
        _write(client, batch, table)
    say(f"{table}: {table.stat().st_size} bytes")


@batches.command("log")
def show_log(batch: Identifier, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Print the log of a batch prediction."""
    with connect(url, api_key) as client:
        say_lines(client.batch_predictions.log(batch))


@batches.command("cancel")
def cancel_batch(batch: Identifier, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Ask a batch prediction to stop."""
    with connect(url, api_key) as client:
        stopped = client.batch_predictions.cancel(batch)
    say(f"batch prediction {stopped.id} is {stopped.status}")


@batches.command("delete")
def delete_batch(batch: Identifier, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Delete a batch prediction that does not run, with its table."""
    with connect(url, api_key) as client:
        client.batch_predictions.delete(batch)
    say(f"batch prediction {batch} is deleted")


def _write(client: Client, batch: str, table: Path) -> None:
    content = client.batch_predictions.result(batch)
    try:
        table.write_bytes(content)
    except OSError as error:
        raise CommandError(f"cannot write {table}: {error.strerror}") from error
