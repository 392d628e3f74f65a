"""The command `convserve train`: an option for everything that a training job can be asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.architectures import choice
from app.cli.options import LOCAL, ApiKey, CommandError, Detach, Url, Webhook, connect, read_json
from app.cli.output import percent, say

if TYPE_CHECKING:
    from app.api.training_jobs import TrainingJobEntry
    from app.client import Client

_DATASET = "digits"


def train(
    architecture: Annotated[
        str | None,
        typer.Argument(
            metavar="ARCHITECTURE",
            help="The name of a preset, the id of a stored architecture, or a JSON file. "
            "Not with --continue-from; without it, it is that of --initial-weights, or chosen to fit the data set.",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="The id or name of a data set.", show_default=_DATASET)
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the model.")] = None,
    description: Annotated[str | None, typer.Option(help="A text for people; the model gets it.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A word to find it by; can be repeated.")] = None,
    epochs: Annotated[int | None, typer.Option(help="How often to go through the data.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Pictures that go through the network together.")
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(help="Batches whose gradients are added up for one step.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same run.")] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(help="A name such as adam, or JSON; `convserve catalog optimizers` lists them."),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The optimizer's step size.")] = None,
    learning_rate_factor: Annotated[
        list[str] | None,
        typer.Option(
            help="What the learning rate of some nodes is multiplied by, such as conv2d_*=0.1; can be repeated."
        ),
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="Of the learning rate: a name such as cosine, or JSON.")
    ] = None,
    loss: Annotated[
        str | None, typer.Option(help="A name such as binary_cross_entropy (for labels), or JSON.")
    ] = None,
    augmentation: Annotated[
        list[str] | None,
        typer.Option(
            help="How training pictures are varied: a name such as horizontal_flip, or JSON such as "
            '{"type": "rotation", "degrees": 10}; can be repeated, in order.'
        ),
    ] = None,
    clip: Annotated[
        str | None, typer.Option(help='The largest norm of all gradients, or JSON such as {"value": 0.5}.')
    ] = None,
    weight_average: Annotated[
        str | None, typer.Option(help="Decay of the running average of the weights, such as 0.999, or JSON.")
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(help="Nodes whose weights stay as they are, such as conv2d_*; can be repeated."),
    ] = None,
    early_stopping: Annotated[
        str | None,
        typer.Option(help="Epochs without a better dev loss after which to end, or JSON."),
    ] = None,
    defaults: Annotated[
        str | None,
        typer.Option(help="auto: what is not given beside ARCHITECTURE is chosen to fit the data set."),
    ] = None,
    select: Annotated[
        str | None, typer.Option(help="Which epoch becomes the model: best, accuracy or last.")
    ] = None,
    continue_from: Annotated[
        str | None,
        typer.Option(
            help="A finished job to go on from, for --epochs more: its id or name, or its model, such as digits@2."
        ),
    ] = None,
    initial_weights: Annotated[
        str | None,
        typer.Option(
            help="A model, such as digits or digits@2, whose weights are the first ones; without ARCHITECTURE its "
            "network learns the classes of the data set, with a new head."
        ),
    ] = None,
    train: Annotated[
        str | None,
        typer.Option(
            help="What of that network learns: head, all, or the node or block from which on.",
            show_default="head",
        ),
    ] = None,
    head_epochs: Annotated[
        int | None,
        typer.Option(help="In how many of the epochs, the first ones, the new head learns alone."),
    ] = None,
    variants: Annotated[
        int | None,
        typer.Option(
            help="How many variants of each picture a new head learns from where pictures are augmented; "
            "0 for new ones in every epoch.",
            show_default="4",
        ),
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(help="On how many nodes each batch is computed, in parts.", show_default="1")
    ] = None,
    webhook: Webhook = None,
    detach: Detach = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Train a network and show its progress.

    What is not given is left to the service. JSON can also be read from a file: @file.json. Ctrl-C ends the watching,
    not the training.
    """
    if architecture is None and continue_from is None and initial_weights is None and dataset is None:
        raise CommandError(
            "there is nothing to train",
            "name an architecture, such as lenet-5, a data set with --dataset, a model with --initial-weights, or a "
            "job with --continue-from",
        )
    rule = _part("--optimizer", optimizer)
    if learning_rate is not None:
        rule = (rule or {"type": "adam"}) | {"learning_rate": learning_rate}
    with connect(url, api_key) as client:
        job = client.training_jobs.create(
            None if architecture is None else choice(architecture),
            dataset or (_DATASET if continue_from is None else None),
            name=name,
            description=description,
            tags=tag or None,
            epochs=epochs,
            batch_size=batch_size,
            accumulate=accumulate,
            seed=seed,
            optimizer=rule,
            learning_rate_factors=_factors(learning_rate_factor or ()) or None,
            schedule=_part("--schedule", schedule),
            loss=_part("--loss", loss),
            augmentations=[_part("--augmentation", text) for text in augmentation or ()] or None,
            clip=_number("--clip", clip, "norm"),
            weight_average=_number("--weight-average", weight_average, "decay"),
            freeze=freeze or None,
            early_stopping=_number("--early-stopping", early_stopping, "patience"),
            defaults=defaults,
            select=select,
            continue_from=continue_from,
            initial_weights=initial_weights,
            train={"from": train} if train not in (None, "head", "all") else train,
            head_epochs=head_epochs,
            variants=variants,
            nodes=nodes,
            webhook=None if webhook is None else {"url": webhook},
        )
        say(f"training job {job.id}")
        if detach:
            from app.cli.progress import place

            say(place(job))
            return
        watch_to_the_end(client, job.id)


def watch_to_the_end(client: Client, job_id: str) -> str:
    """Follow a job, say what became of it, and return the id of its model.

    Raises:
        CommandError: it did not succeed.
    """
    from app.cli.progress import follow

    try:
        job = follow(client, job_id)
    except KeyboardInterrupt:
        say(f"The job goes on; convserve jobs cancel {job_id} would stop it.")
        raise typer.Exit(130) from None
    return _report(client, job)


def _report(client: Client, job: TrainingJobEntry) -> str:
    if job.status != "succeeded" or job.model_id is None:
        reason = f": {job.error.message}" if job.error else ""
        raise CommandError(
            f"the job has {job.status}{reason}" if job.status == "failed" else f"the job was {job.status}",
            f"convserve jobs log {job.id} shows its log",
        )
    metrics = client.models.get(job.model_id).metrics
    accuracy, loss = metrics.get("test_accuracy"), metrics.get("test_loss")
    if accuracy is None and loss is not None:
        say(f"test loss: {loss:.4f}")
    else:
        say(f"test accuracy: {percent(accuracy)}")
    say(f"model {job.model_id}; try: convserve predict {job.model_id} PICTURE...")
    return job.model_id


def _part(option: str, text: str | None) -> dict[str, Any] | None:
    """Read an option that names a part, or describes it in JSON."""
    if text is None:
        return None
    found = _json(option, text)
    return {"type": text} if found is None else found


def _factors(texts: Sequence[str]) -> dict[str, float]:
    """Read options of the form NODES=NUMBER."""
    factors = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            factors[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise CommandError(f"--learning-rate-factor: {text!r} is no factor", "write it like conv2d_*=0.1")
    return factors


def _number(option: str, text: str | None, key: str) -> dict[str, Any] | None:
    """Read an option that is one number, or JSON; the number belongs to `key`."""
    if text is None:
        return None
    found = _json(option, text)
    if found is not None:
        return found
    try:
        return {key: json.loads(text)}
    except ValueError:
        raise CommandError(
            f"{option}: {text!r} is neither a number nor a JSON object", f'write it like {{"{key}": ...}}'
        ) from None


def _json(option: str, text: str) -> dict[str, Any] | None:
    """Read a JSON object; None for what is no JSON."""
    found = read_json(option, text)
    if found is not None and not isinstance(found, dict):
        raise CommandError(f"{option}: this is not a JSON object", 'write it like {"type": "..."}')
    return found
