"""The commands about training jobs: `convserve jobs ...`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.files import Output, form, save
from app.cli.options import LOCAL, ApiKey, ByName, ByPart, ByStatus, ByTag, Json, Url, connect
from app.cli.output import everything, listing, number, percent, say, say_lines, table
from app.cli.train import watch_to_the_end

if TYPE_CHECKING:
    from app.api.training_reports import TrainingReport

jobs = typer.Typer(
    name="jobs", help="Training jobs: list, show, watch, cancel, delete.", no_args_is_help=True
)

Job = Annotated[str, typer.Argument(metavar="JOB", help="The id of a training job.", show_default=False)]


@jobs.command("list")
def list_jobs(
    status: ByStatus = None,
    name: ByName = None,
    contains: ByPart = None,
    tag: ByTag = None,
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """List the training jobs, newest first."""
    with connect(url, api_key) as client:
        listing(
            client.training_jobs.list(status=status, name=name, contains=contains, tag=tag),
            {
                "id": lambda job: job.id,
                "name": lambda job: job.name,
                "status": lambda job: (
                    job.status if job.queue_position is None else f"{job.status} ({job.queue_position})"
                ),
                "done": lambda job: percent(job.progress.fraction),
                "dev accuracy": lambda job: percent(job.metrics.dev_accuracy if job.metrics else None),
                "model": lambda job: job.model_id or "",
            },
            as_json=json,
            texts=("name",),
            numbers=("done", "dev accuracy"),
        )


@jobs.command("show")
def show_job(job: Job, json: Json = False, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Show everything about a job."""
    with connect(url, api_key) as client:
        everything(client.training_jobs.get(job), as_json=json)


@jobs.command("watch")
def watch_job(job: Job, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Show the progress of a job until it has finished. Ctrl-C ends the watching, not the training."""
    with connect(url, api_key) as client:
        watch_to_the_end(client, job)


@jobs.command("norms")
def show_norms(
    job: Job, output: Output = None, json: Json = False, url: Url = LOCAL, api_key: ApiKey = None
) -> None:
    """Show how long gradients and weights were in the last epoch, and name those that vanish or explode.

    With -o they are drawn over all epochs (.svg or .png).
    """
    accept = None if output is None else form(output, ".svg", ".png", ".json")
    with connect(url, api_key) as client:
        if output is not None and accept is not None:
            save(output, client.training_jobs.norms_file(job, accept=accept))
            return
        norms = client.training_jobs.norms(job)
    if json or not norms.epochs:
        everything(norms, as_json=json)
        return
    say(f"epoch {norms.epochs[-1]}")
    headings = ["gradient", "largest", "weight"]
    rows = [
        [node.name, *(number(each[-1]) for each in (node.gradient, node.largest_gradient, node.weight))]
        for node in norms.nodes
    ]
    table(["node", *headings], rows, numbers=headings)
    for what, nodes in (("vanish", norms.vanishing), ("explode", norms.exploding)):
        if nodes:
            say(f"gradients that {what}: {', '.join(nodes)}")


@jobs.command("report")
def show_report(job: Job, json: Json = False, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Say whether the model of a job is good enough, and what would make it better."""
    with connect(url, api_key) as client:
        report = client.training_jobs.report(job)
    if json:
        everything(report, as_json=True)
    else:
        print_report(report)


def print_report(report: TrainingReport) -> None:
    """Print how each class is recognised, and the report's sentences."""
    headings = ["learned from", "judged by", "recognised"]
    rows = [
        [entry.name, str(entry.train_images), str(entry.images), percent(entry.recall)]
        for entry in report.classes
    ]
    table(["class", *headings], rows, texts=("class",), numbers=headings)
    say("\n".join(report.words))


@jobs.command("log")
def show_log(job: Job, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Print the log of a job."""
    with connect(url, api_key) as client:
        say_lines(client.training_jobs.log(job))


@jobs.command("cancel")
def cancel_job(job: Job, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Ask a job to stop."""
    with connect(url, api_key) as client:
        stopped = client.training_jobs.cancel(job)
    say(f"job {stopped.id} is {stopped.status}")


@jobs.command("delete")
def delete_job(job: Job, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Delete a job that does not run, with its log and checkpoints; its model stays."""
    with connect(url, api_key) as client:
        client.training_jobs.delete(job)
    say(f"job {job} is deleted")
