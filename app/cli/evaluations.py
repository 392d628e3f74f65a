"""The commands about evaluations: `convserve evaluations ...` and `convserve evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.models import Reference
from app.cli.options import LOCAL, ApiKey, ByStatus, CommandError, Detach, Json, Url, Webhook, connect
from app.cli.output import everything, listing, percent, say, say_lines, table

if TYPE_CHECKING:
    from app.api.evaluations import EvaluationReport, FinishedEvaluation
    from app.client import Client

evaluations = typer.Typer(
    name="evaluations", help="Evaluations: list, show, compare, cancel, delete.", no_args_is_help=True
)

Identifier = Annotated[
    str, typer.Argument(metavar="EVALUATION", help="The id of an evaluation.", show_default=False)
]


@evaluations.command("list")
def list_evaluations(
    status: ByStatus = None, json: Json = False, url: Url = LOCAL, api_key: ApiKey = None
) -> None:
    """List the evaluations, newest first."""
    with connect(url, api_key) as client:
        listing(
            client.evaluations.list(status=status),
            {
                "id": lambda entry: entry.id,
                "model": lambda entry: entry.model_id,
                "data set": lambda entry: entry.dataset,
                "split": lambda entry: entry.split,
                "status": lambda entry: entry.status,
                "accuracy": lambda entry: percent(entry.metrics.accuracy if entry.metrics else None),
            },
            as_json=json,
            numbers=("accuracy",),
        )


@evaluations.command("show")
def show_evaluation(
    evaluation: Identifier, json: Json = False, url: Url = LOCAL, api_key: ApiKey = None
) -> None:
    """Show everything about an evaluation, with its report."""
    with connect(url, api_key) as client:
        everything(client.evaluations.get(evaluation), as_json=json)


@evaluations.command("compare")
def compare_evaluations(
    first: Identifier, second: Identifier, json: Json = False, url: Url = LOCAL, api_key: ApiKey = None
) -> None:
    """Say which of two models is better on the same pictures, and whether that may be chance."""
    with connect(url, api_key) as client:
        comparison = client.evaluations.compare(first, second)
    if json:
        everything(comparison, as_json=True)
    else:
        say("\n".join(comparison.words))


@evaluations.command("log")
def show_log(evaluation: Identifier, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Print the log of an evaluation."""
    with connect(url, api_key) as client:
        say_lines(client.evaluations.log(evaluation))


@evaluations.command("cancel")
def cancel_evaluation(evaluation: Identifier, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Ask an evaluation to stop."""
    with connect(url, api_key) as client:
        stopped = client.evaluations.cancel(evaluation)
    say(f"evaluation {stopped.id} is {stopped.status}")


@evaluations.command("delete")
def delete_evaluation(evaluation: Identifier, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Delete an evaluation that does not run, with its report."""
    with connect(url, api_key) as client:
        client.evaluations.delete(evaluation)
    say(f"evaluation {evaluation} is deleted")


def evaluate(
    model: Reference,
    dataset: Annotated[str, typer.Option(help="The id of a data set.")] = "digits",
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    webhook: Webhook = None,
    detach: Detach = False,
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Evaluate a model on a data set, and say what to try next."""
    with connect(url, api_key) as client:
        if detach:
            begun = client.evaluations.create(model, dataset, split=split, webhook=webhook)
            if json:
                everything(begun, as_json=True)
            else:
                say(f"evaluation {begun.id} is {begun.status}")
            return
        if json:
            job_id = client.evaluations.create(model, dataset, split=split, webhook=webhook).id
            everything(client.evaluations.wait(job_id), as_json=True)
            return
        evaluate_and_print(client, model, dataset, split, webhook)


def evaluate_and_print(
    client: Client, model: str, dataset: str, split: str, webhook: str | None = None
) -> None:
    """Evaluate a model with progress, and print what was found.

    Raises:
        CommandError: the evaluation did not succeed.
    """
    from app.cli.progress import display

    job_id = client.evaluations.create(model, dataset, split=split, webhook=webhook).id
    with display("evaluating") as shown:
        for job in client.evaluations.watch(job_id):
            shown.update(_progress(job), job.progress.fraction)
    if job.report is None:
        reason = f": {job.error.message}" if job.error else ""
        raise CommandError(f"the evaluation has {job.status}{reason}")
    if job.report.values:
        _print_values(job.report)
    else:
        _print_classes(job.report)
    if job.report.accuracy is not None:
        say(f"accuracy: {percent(job.report.accuracy)} of {job.report.images} pictures")
    if job.report.diagnosis is not None:
        say(job.report.diagnosis.advice)
    for warning in job.warnings:
        say(f"Warning: {warning}")


def _progress(job: FinishedEvaluation) -> str:
    done = job.progress
    return f"evaluation {job.id} is {job.status}" if not done.of else f"{done.images} of {done.of} pictures"


def _print_classes(report: EvaluationReport) -> None:
    table(
        ("class", "pictures", "precision", "recall", "F1"),
        [
            (
                entry.name,
                str(entry.images),
                percent(entry.precision),
                percent(entry.recall),
                percent(entry.f1),
            )
            for entry in report.classes
        ],
        texts=("class",),
        numbers=("pictures", "precision", "recall", "F1"),
    )


def _print_values(report: EvaluationReport) -> None:
    table(
        ("value", "mean error", "root mean squared error", "R²"),
        [
            (
                entry.name,
                f"{entry.mean_absolute_error:.4g}",
                f"{entry.root_mean_squared_error:.4g}",
                "–" if entry.r2 is None else f"{entry.r2:.3f}",
            )
            for entry in report.values
        ],
        texts=("value",),
        numbers=("mean error", "root mean squared error", "R²"),
    )
