"""The commands about models: `convserve models ...` and `convserve predict`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import LOCAL, ApiKey, ByName, ByPart, ByTag, CommandError, Json, Url, connect, read_json
from app.cli.output import everything, listing, percent, say, table

if TYPE_CHECKING:
    from app.api.models import Candidate, Prediction

models = typer.Typer(
    name="models", help="Models: list, show, export, onnx, import, alias, delete.", no_args_is_help=True
)

Reference = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="The id of a model, or name@version, or name@alias.", show_default=False
    ),
]


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Say how large a file is that is written meanwhile, or why it cannot be."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"cannot write {file}: {error.strerror}") from error
    say(f"{file}: {file.stat().st_size} bytes")


@models.command("list")
def list_models(
    name: ByName = None,
    contains: ByPart = None,
    tag: ByTag = None,
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """List the models, newest first."""
    with connect(url, api_key) as client:
        listing(
            client.models.list(name=name, contains=contains, tag=tag),
            {
                "id": lambda model: model.id,
                "name": lambda model: model.name,
                "version": lambda model: str(model.version),
                "test accuracy": lambda model: percent(model.metrics.get("test_accuracy")),
                "tags": lambda model: ", ".join(model.tags),
            },
            as_json=json,
            texts=("name", "tags"),
            numbers=("version", "test accuracy"),
        )


@models.command("show")
def show_model(model: Reference, json: Json = False, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Show everything about a model."""
    with connect(url, api_key) as client:
        everything(client.models.get(model), as_json=json)


@models.command("change")
def change_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The id of a model.", show_default=False)],
    name: Annotated[
        str | None, typer.Option(help="Another name, of which it becomes the next version.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="A text for people.")] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="A word to find it by, in place of those it has; can be repeated."),
    ] = None,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Change the name, the description or the tags of a model."""
    changes = {"name": name, "description": description, "tags": tag or None}
    with connect(url, api_key) as client:
        changed = client.models.change(
            model, **{key: value for key, value in changes.items() if value is not None}
        )
    say(f"model {changed.id}: {changed.name}, version {changed.version}")


@models.command("export")
def export_model(
    model: Reference,
    file: Annotated[Path, typer.Argument(help="Where to write it.", show_default=False)],
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Write a model into one safetensors file."""
    with connect(url, api_key) as client, _writing(file):
        client.models.export(model, file)


@models.command("onnx")
def export_onnx(
    model: Reference,
    file: Annotated[Path, typer.Argument(help="Where to write it.", show_default=False)],
    inside: Annotated[
        bool,
        typer.Option("--preprocessing-inside", help="Let the graph take pictures as bytes and prepare them."),
    ] = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Write a model into one ONNX file, for other runtimes."""
    with connect(url, api_key) as client, _writing(file):
        client.models.export_onnx(model, file, preprocessing="inside" if inside else "outside")


@models.command("import")
def import_model(
    file: Annotated[
        Path, typer.Argument(help="A model file.", exists=True, dir_okay=False, show_default=False)
    ],
    name: Annotated[str | None, typer.Option(help="What to call it; by default as the file says.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Of weights of torchvision or timm: the preset, such as resnet-18.")
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            help="With --preset or ONNX: a file with the name of a class in each line.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option(
            help="Where an ONNX file leaves it open, [height,width,channels] of pictures: [224,224,3]."
        ),
    ] = None,
    preprocessing: Annotated[
        str | None,
        typer.Option(help='With --preset or ONNX, as JSON: {"mean": [0.5], "deviation": [0.2]}.'),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Of an ONNX file: what its output is, class, labels or values.")
    ] = None,
    external_data: Annotated[
        Path | None,
        typer.Option(help="The second file of an ONNX file, with its tensors.", exists=True, dir_okay=False),
    ] = None,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Import a model file, an ONNX file, or weights of torchvision or timm."""
    names = None if classes is None else classes.read_text(encoding="utf-8").splitlines()
    with connect(url, api_key) as client:
        model = client.models.import_file(
            file,
            name=name,
            preset=preset,
            classes=names,
            input_shape=_document("--input-shape", input_shape, "[224,224,3]"),
            preprocessing=_document("--preprocessing", preprocessing, '{"mean": [0.5], "deviation": [0.2]}'),
            target=target,
            external_data=external_data,
        )
    say(f"model {model.id}: {model.name}, version {model.version}")
    for field in model.import_.assumed:
        say(f"the file does not say its {field}, which is as by default; import it with --{field} to say it")


def _document(option: str, text: str | None, example: str) -> Any:
    """Read what an option has to say in JSON.

    Raises:
        CommandError: it is no JSON.
    """
    found = None if text is None else read_json(option, text)
    if text is not None and found is None:
        raise CommandError(
            f"{option}: {text!r} is neither a list nor an object of JSON", f"write it like {example}"
        )
    return found


@models.command("alias")
def alias_model(
    model: Reference,
    alias: Annotated[str, typer.Argument(help="Such as production.", show_default=False)],
    force: Annotated[
        bool, typer.Option("--force", help="Also where its classes or input are others than before.")
    ] = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Make NAME@ALIAS stand for a model."""
    with connect(url, api_key) as client:
        found = client.models.get(model)
        client.models.set_alias(found.name, alias, found.id, force=force)
    say(f"{found.name}@{alias} is {found.id}")


@models.command("aliases")
def list_aliases(
    name: Annotated[str, typer.Argument(help="The name of models.", show_default=False)],
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """List the aliases of a name."""
    with connect(url, api_key) as client:
        listing(
            client.models.aliases(name),
            {"alias": lambda alias: f"{alias.name}@{alias.alias}", "model": lambda alias: alias.model_id},
            as_json=json,
        )


@models.command("delete-alias")
def delete_alias(
    name: Annotated[str, typer.Argument(help="The name of models.", show_default=False)],
    alias: Annotated[str, typer.Argument(help="Such as production.", show_default=False)],
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Delete an alias; the model stays."""
    with connect(url, api_key) as client:
        client.models.delete_alias(name, alias)
    say(f"{name}@{alias} is deleted")


@models.command("delete")
def delete_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The id of a model.", show_default=False)],
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Delete a model and its file; one that an alias stands for is kept."""
    with connect(url, api_key) as client:
        client.models.delete(model)
    say(f"model {model} is deleted")


def predict(
    model: Reference,
    pictures: Annotated[
        list[Path],
        typer.Argument(help="Picture files.", exists=True, dir_okay=False, readable=True, show_default=False),
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes to show for each.")] = 3,
    threshold: Annotated[
        float | None, typer.Option(help="How probable a label has to be; for models of labels only.")
    ] = None,
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Send pictures to a model and show its predictions."""
    with connect(url, api_key) as client:
        predictions = client.models.predict(model, pictures, top_k=top, threshold=threshold)
    if json:
        listing(predictions, {}, as_json=True)
    else:
        print_predictions(predictions)


def print_predictions(predictions: Sequence[Prediction], truth: Sequence[str | None] | None = None) -> None:
    """Print what a model predicts for each picture, on request beside the true label."""
    others = any(len(prediction.top) > 1 for prediction in predictions)
    headings = [
        "picture",
        *([] if truth is None else ["true label"]),
        "predicted",
        "probability",
        *(["then"] if others else []),
    ]
    rows = []
    for row, prediction in enumerate(predictions):
        answered = 1 if prediction.labels is None else len(prediction.labels)
        rows.append(
            [
                prediction.filename or str(row + 1),
                *([] if truth is None else [truth[row] or "–"]),
                _answer(prediction),
                percent(prediction.probability) if prediction.label is not None else "",
                *([_candidates(prediction.top[answered:])] if others else []),
            ]
        )
    table(headings, rows, texts=("then",), numbers=("probability",))


def _answer(prediction: Prediction) -> str:
    if prediction.values is not None:
        return "  ".join(
            f"{value.name} {'–' if value.value is None else f'{value.value:.4g}'}"
            for value in prediction.values
        )
    if prediction.labels is not None:
        return _candidates(prediction.labels) or "no label"
    return prediction.label or "–"


def _candidates(candidates: Sequence[Candidate]) -> str:
    return "  ".join(f"{candidate.label} {percent(candidate.probability)}" for candidate in candidates)
