"""The demonstration: shapes, training and predictions, over HTTP, against a service of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

from app.api.models import Model
from app.cli.architectures import print_summary
from app.cli.launch import LaunchError, ServerProcess
from app.cli.models import print_predictions
from app.cli.output import percent, say
from app.cli.progress import follow
from app.client import Client, ConvserveError

PRESET = "lenet-5"
PARAMETERS = 61_706
DATASET = "digits"
EPOCHS = 18
PICTURES = 10
ENOUGH = 0.97


class DemoError(Exception):
    """The demonstration did not show what it should; the message says where it stopped."""


def run(epochs: int = EPOCHS) -> None:
    """Train, predict, and show it.

    Args:
        epochs: how often to go through the training pictures.

    Raises:
        DemoError: some of it did not happen.
    """
    with tempfile.TemporaryDirectory(prefix="convserve-demo-") as directory:
        folder = Path(directory)
        try:
            with ServerProcess(folder / "data", folder / "service.log") as url:
                say(f"The service is at {url}, with a fresh data directory.\n")
                with Client(url) as client:
                    _show_shapes(client)
                    model = _train(client, epochs)
                    _predict(client, model)
        except (ConvserveError, LaunchError) as error:
            raise DemoError(str(error)) from error
    say("The service has stopped.")


def _show_shapes(client: Client) -> None:
    preset = next((entry for entry in client.catalog.presets() if entry.name == PRESET), None)
    if preset is None:
        raise DemoError(f"the service has no preset {PRESET}")
    summary = client.architectures.summary(preset.architecture)
    say(preset.title)
    print_summary(summary)
    say()
    if summary.totals.parameters != PARAMETERS:
        raise DemoError(f"expected {PARAMETERS:,} parameters, found {summary.totals.parameters:,}")


def _train(client: Client, epochs: int) -> Model:
    dataset = client.datasets.get(DATASET)
    splits = ", ".join(f"{count:,} {name}" for name, count in dataset.splits)
    say(f"Training on {dataset.name} ({splits}):")
    job = client.training_jobs.create(
        {"preset": PRESET},
        DATASET,
        epochs=epochs,
        batch_size=32,
        optimizer={"type": "sgd", "learning_rate": 0.03, "nesterov": True, "weight_decay": 0.0005},
        schedule={"type": "cosine"},
        augmentations=[{"type": "random_crop", "padding": 1}, {"type": "rotation", "degrees": 6}],
    )
    done = follow(client, job.id)
    if done.status != "succeeded" or done.model_id is None:
        reason = f": {done.error.message}" if done.error else ""
        raise DemoError(f"the training job has {done.status}{reason}\n{client.training_jobs.log(job.id)}")
    model = client.models.get(done.model_id)
    accuracy = model.metrics.get("test_accuracy")
    say(f"test accuracy: {percent(accuracy)}\n")
    if accuracy is None or accuracy < ENOUGH:
        raise DemoError(f"the test accuracy is below {percent(ENOUGH)}")
    return model


def _predict(client: Client, model: Model) -> None:
    digits = [client.datasets.picture(DATASET, number, split="test") for number in range(PICTURES)]
    uploads = [(f"digit-{digit.number}.png", digit.content) for digit in digits]
    predictions = client.models.predict(model.id, uploads, top_k=1)
    if len(predictions) != PICTURES:
        raise DemoError(f"{PICTURES} pictures were sent, {len(predictions)} predictions came back")
    say(f"{PICTURES} test digits, fetched as PNG files and sent for prediction:")
    print_predictions(predictions, [digit.label for digit in digits])
    say()
