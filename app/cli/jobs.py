"""The commands about training jobs: `convserve jobs ...`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.api.training_jobs import TrainingJob
from app.cli.options import LOCAL, ApiKey, Url
from app.cli.terminal import follow, percent
from app.client import Client, ConvserveError

jobs = typer.Typer(name="jobs", help="Training jobs: look, follow, stop.", no_args_is_help=True)

Job = Annotated[str, typer.Argument(metavar="JOB", help="The id of a training job.", show_default=False)]


@jobs.command("list")
def list_jobs(
    status: Annotated[
        str | None, typer.Option(help="Only those that are queued, running, succeeded, failed ...")
    ] = None,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """List the training jobs, newest first."""
    table = Table("id", "name", "status", "done", "dev accuracy", "model", box=box.SIMPLE)
    with Client(url, api_key=api_key) as client:
        for job in client.training_jobs.list(status=status):
            table.add_row(
                job.id,
                escape(job.name),
                job.status,
                percent(job.progress.fraction),
                percent(job.metrics.dev_accuracy if job.metrics else None),
                job.model_id or "",
            )
    Console().print(table)


@jobs.command("show")
def show_job(job: Job, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Show what is known about a job, as JSON."""
    with Client(url, api_key=api_key) as client:
        Console(soft_wrap=True).print_json(client.training_jobs.get(job).model_dump_json())


@jobs.command("watch")
def watch_job(job: Job, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Show how a job goes, until it has finished. Ctrl-C ends the watching, not the training."""
    with Client(url, api_key=api_key) as client:
        watch_to_the_end(Console(), client, job)


@jobs.command("log")
def show_log(job: Job, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Show what the processes of a job have printed."""
    with Client(url, api_key=api_key) as client:
        print(client.training_jobs.log(job), end="")  # noqa: T201 - as it is, not as a terminal would have it


@jobs.command("cancel")
def cancel_job(job: Job, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Ask a job to stop."""
    with Client(url, api_key=api_key) as client:
        stopped = client.training_jobs.cancel(job)
    Console().print(f"job {stopped.id} is {stopped.status}", soft_wrap=True, highlight=False)


@jobs.command("delete")
def delete_job(job: Job, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Delete a job that does not run, with its log; its model stays."""
    with Client(url, api_key=api_key) as client:
        client.training_jobs.delete(job)
    Console().print(f"job {job} is deleted", soft_wrap=True, highlight=False, markup=False)


def watch_to_the_end(console: Console, client: Client, job_id: str) -> None:
    """Follow a job, and say what became of it.

    Raises:
        ConvserveError: it did not succeed.
    """
    try:
        job = follow(console, client, job_id)
    except KeyboardInterrupt:
        console.print(f"The job goes on; convserve jobs cancel {job_id} would stop it.", soft_wrap=True)
        raise typer.Exit(130) from None
    _report(console, client, job)


def _report(console: Console, client: Client, job: TrainingJob) -> None:
    if job.status != "succeeded" or job.model_id is None:
        reason = f": {job.error.message}" if job.error else ""
        raise ConvserveError(
            f"the job has {job.status}{reason}" if job.status == "failed" else f"the job was {job.status}",
            hint=f"convserve jobs log {job.id} shows its log",
        )
    model = client.models.get(job.model_id)
    accuracy, loss = model.metrics.get("test_accuracy"), model.metrics.get("test_loss")
    if accuracy is None and loss is not None:
        console.print(f"test loss: {loss:.4f}", highlight=False)
    else:
        console.print(f"test accuracy: {percent(accuracy)}", highlight=False)
    console.print(
        f"model {model.id}; try: convserve predict {model.id} PICTURE...", soft_wrap=True, highlight=False
    )
