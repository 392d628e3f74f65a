"""Every method of both clients, in one story that is told to each of them."""

import asyncio
import io
import json
import re
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from inspect import getattr_static, iscoroutine
from pathlib import Path
from typing import Any

import httpx
import onnx
import pytest
from PIL import Image

from app.client import AsyncClient, Client, ConvserveError
from app.client.resource import Resource, stream

DOCUMENT = json.loads(
    (Path(__file__).resolve().parents[2] / "docs" / "openapi.json").read_text(encoding="utf-8")
)["paths"]
OPERATION = "/v1/operations/"
OWN = ("ready", "system", "events")
TINY = {
    "input_shape": [28, 28, 1],
    "layers": [{"type": "max_pool2d", "pool_size": 4}, {"type": "flatten"}, {"type": "dense", "units": 10}],
}


def resources(client: Any) -> dict[str, Any]:
    return {name: part for name, part in vars(client).items() if isinstance(part, Resource)}


def methods(client: Any) -> set[tuple[str, str]]:
    """Return all that can be called, with the resource that it belongs to."""
    parts = {name: [each for each in dir(part) if each[0] != "_"] for name, part in resources(client).items()}
    return {(name, each) for name, found in {**parts, "": OWN}.items() for each in found}


class Told:
    """A client whose methods are all awaited or gone through by `async for`, and that remembers which were used."""

    def __init__(self, client: Any) -> None:
        self.used: set[tuple[str, str]] = set()
        self._client = client
        for name, part in resources(client).items():
            setattr(self, name, _Part(name, part, self.used))

    def __getattr__(self, name: str) -> Any:
        return _Part("", self._client, self.used).__getattr__(name)


class _Part:
    def __init__(self, name: str, part: Any, used: set[tuple[str, str]]) -> None:
        self._name, self._part, self._used = name, part, used

    def __getattr__(self, attribute: str) -> Callable[..., Any]:
        method = getattr(self._part, attribute)
        self._used.add((self._name, attribute))

        async def each(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            made = method(*arguments, **named)
            if isinstance(made, AsyncIterator):
                async for entry in made:
                    yield entry
            else:
                for entry in made:
                    yield entry

        async def value(*arguments: Any, **named: Any) -> Any:
            made = method(*arguments, **named)
            return await made if iscoroutine(made) else made

        return each if isinstance(getattr_static(self._part, attribute), stream) else value


async def everything(entries: AsyncIterator[Any]) -> list[Any]:
    return [entry async for entry in entries]


async def refused(call: Awaitable[Any]) -> ConvserveError:
    with pytest.raises(ConvserveError) as caught:
        await call
    return caught.value


def archive(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, shade in (("dark", 10), ("light", 240)):
            for number in range(6):
                picture = io.BytesIO()
                Image.new("L", (28, 28), shade + number).save(picture, "PNG")
                packed.writestr(f"{name}/{number}.png", picture.getvalue())
    return path


def documented() -> set[tuple[str, str]]:
    """Return the method and the path of all that the service offers but `/livez`, which is for supervisors."""
    verbs = {"get", "put", "post", "patch", "delete"}
    return {(verb.upper(), path) for path, item in DOCUMENT.items() for verb in verbs & set(item)} - {
        ("GET", "/livez")
    }


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """What either client asks for, by the method and the path in the OpenAPI document."""
    asked: set[tuple[str, str]] = set()
    # A path without names to put in comes first: /v1/datasets/downloads is no data set.
    patterns = {
        path: re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))
        for path in sorted(DOCUMENT, key=lambda path: path.count("{"))
    }

    def note(request: httpx.Request) -> None:
        path = next(path for path, pattern in patterns.items() if pattern.fullmatch(request.url.path))
        asked.add((request.method, path))

    send, send_async = httpx.Client.send, httpx.AsyncClient.send

    def sending(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        note(request)
        return send(client, request, **options)

    async def sending_async(
        client: httpx.AsyncClient, request: httpx.Request, **options: Any
    ) -> httpx.Response:
        note(request)
        return await send_async(client, request, **options)

    monkeypatch.setattr(httpx.Client, "send", sending)
    monkeypatch.setattr(httpx.AsyncClient, "send", sending_async)
    return asked


async def story(client: Any, folder: Path) -> None:
    assert await client.ready()
    assert (await client.system()).needs_key is False
    for path in DOCUMENT:
        if path.startswith("/v1/catalog/"):
            assert await getattr(client.catalog, path.rsplit("/", 1)[1])()

    stored = await client.architectures.create("tiny", TINY)
    assert stored == await client.architectures.get(stored.id)
    assert stored.id in {entry.id for entry in await everything(client.architectures.list())}
    small = await client.architectures.summary(TINY)
    assert small.totals.parameters == 500
    large = await client.architectures.summary(TINY, batch_size=1000)
    assert large.totals.training_bytes > small.totals.training_bytes
    compared = await client.architectures.compare(stored.id, {"preset": "lenet-5"})
    assert compared.differences.parameters.values == (500, 61_706)
    drawn = await client.architectures.diagram(stored.id)
    assert drawn == await client.architectures.diagram(TINY)
    assert b"dense_1" in drawn
    assert (await client.architectures.diagram(TINY, folded=False, accept="image/png")).startswith(b"\x89PNG")
    await client.architectures.delete(stored.id)
    assert (await refused(client.architectures.get(stored.id))).status == 404

    await _operations(client, folder)
    await _data(client, folder)
    model = await _training(client)
    await _models(client, model, folder)
    evaluation = await client.evaluations.create(model, "digits", split="dev")
    *_, watched = await everything(client.evaluations.watch(evaluation.id, interval=0.05))
    evaluation = await client.evaluations.wait(evaluation.id, interval=0.05)
    assert watched == evaluation
    assert evaluation.report == (await client.evaluations.get(evaluation.id)).report
    assert evaluation.id in await client.evaluations.log(evaluation.id)
    assert evaluation.metrics.accuracy == evaluation.report.accuracy
    assert evaluation.id in {entry.id for entry in await everything(client.evaluations.list())}
    assert b"<svg" in await client.evaluations.confusion_matrix(evaluation.id)
    counts = await client.evaluations.confusion_counts(evaluation.id)
    assert sum(map(sum, counts.matrix)) == evaluation.report.images
    assert (await client.evaluations.mistakes(evaluation.id)).startswith(b"\x89PNG")
    assert list(await client.evaluations.worst(evaluation.id)) == evaluation.report.mistakes
    wrong = await everything(client.evaluations.predictions(evaluation.id, wrong=True))
    assert {entry.number for entry in evaluation.report.mistakes} <= {entry.number for entry in wrong}
    assert (await client.evaluations.compare(evaluation.id, evaluation.id)).p_value == 1
    assert (await refused(client.evaluations.cancel(evaluation.id))).status == 409
    await client.evaluations.delete(evaluation.id)

    batch = await client.batch_predictions.create(model, archive(folder / "batch.zip"), top_k=1)
    *_, batch = await everything(client.batch_predictions.watch(batch.id, interval=0.05))
    assert (
        batch == await client.batch_predictions.wait(batch.id) == await client.batch_predictions.get(batch.id)
    )
    assert batch.id in await client.batch_predictions.log(batch.id)
    assert (batch.status, batch.progress.images, batch.filename) == ("succeeded", 12, "batch.zip")
    assert batch.id in {entry.id for entry in await everything(client.batch_predictions.list())}
    assert (await client.batch_predictions.result(batch.id)).count(b"\r\n") == 13
    assert (await refused(client.batch_predictions.cancel(batch.id))).status == 409
    await client.batch_predictions.delete(batch.id)
    await client.models.delete(model)


async def _operations(client: Any, folder: Path) -> None:
    for path, item in DOCUMENT.items():
        if path.startswith(OPERATION):
            body = item["post"]["requestBody"]["content"]["application/json"]
            for example in body["examples"].values():
                operation, given = path.removeprefix(OPERATION), dict(example["value"])
                if operation == "augment":
                    answer = await client.operations.augment(None, given.pop("augmentation"), **given)
                else:
                    answer = await client.operations.run(operation, **given)
                assert answer.output_shape
    edges = [[10, 10, 0, 0]] * 3
    answer = await client.operations.convolve(edges, "vertical_edge", trace=True)
    assert (answer.output, answer.trace[1].expression.split()[-1]) == ([[30, 30]], "30")
    same = await client.operations.run(
        "conv2d", edges, layer={"filters": 1, "kernel_size": 3}, weights={"weight": [[1, 0, -1]] * 3}
    )
    assert same.output == answer.output
    picture = folder / "photo.png"
    Image.linear_gradient("L").rotate(90).resize((20, 20)).save(picture)
    from_file = await client.operations.convolve(picture, "sobel_y", stride=2, padding="same")
    assert from_file.output_shape == [10, 10]
    assert from_file == await client.operations.convolve(
        ("photo.png", picture.read_bytes()), "sobel_y", stride=2, padding="same"
    )
    drawn = await client.operations.file("convolve", picture, kernel="sobel_y", range_="stretch")
    with Image.open(io.BytesIO(drawn)) as opened:
        assert opened.size == (18, 18)
    flip = {"type": "horizontal_flip", "probability": 1.0}
    flipped = await client.operations.augment(picture, [flip], seed=3)
    with Image.open(picture) as opened:
        assert flipped.outputs[0][0][:3] == [opened.getpixel((19 - x, 0)) for x in range(3)]
    figure = await client.operations.file("max_pool2d", edges, accept="image/svg+xml", layer={"pool_size": 2})
    assert b"<svg" in figure
    wrong = await refused(client.operations.run("max_pool2d", edges, layer={"pool_size": 9}))
    assert (wrong.status, wrong.pointer) == (422, "/layer/pool_size")


async def _data(client: Any, folder: Path) -> None:
    dataset = await client.datasets.upload(archive(folder / "shades.zip"), image_size=(8, 8), channels=1)
    *_, dataset = await everything(client.datasets.watch(dataset.id, interval=0.05))
    assert dataset == await client.datasets.wait(dataset.id) == await client.datasets.get(dataset.id)
    assert (dataset.status, dataset.name, dataset.images) == ("ready", "shades", 12)
    more = folder / "more.png"
    Image.new("L", (8, 8), 99).save(more)
    addition = await client.datasets.append(dataset.id, [more], label="dark")
    addition = await client.datasets.wait_addition(addition, interval=0.05)
    assert addition.report.added == 1
    assert addition == await client.datasets.addition(dataset.id, addition.id)
    (listed,) = await everything(client.datasets.additions(dataset.id))
    assert (listed.id, listed.report.added) == (addition.id, 1)
    assert len((await client.datasets.statistics(dataset.id)).classes) == 2
    assert (await client.datasets.samples(dataset.id, per_class=2)).startswith(b"\x89PNG")
    assert [row.name for row in await client.datasets.sample_pictures(dataset.id)] == ["dark", "light"]
    sheet = await client.datasets.preview(dataset.id, [{"type": "rotation", "degrees": 15}], images=2)
    assert sheet.startswith(b"\x89PNG")
    assert (await client.datasets.picture(dataset.id, 12, size=4)).label == "dark"
    corrected = await client.datasets.correct(dataset.id, [{"number": 12, "label": "light"}])
    assert [corrected] == await everything(client.datasets.corrections(dataset.id))
    same = await client.datasets.correct_picture(dataset.id, 12, label="light")
    assert (same.revision, same.pictures) == (1, [])
    details = await client.datasets.picture_details(dataset.id, 12)
    assert (details.label, details.uploaded_label, details.name) == ("light", "dark", "more.png")
    assert details in await everything(client.datasets.pictures(dataset.id, label="light"))
    assert dataset.id in {entry.id for entry in await everything(client.datasets.list())}
    assert (await refused(client.datasets.cancel(dataset.id))).status == 409
    await client.datasets.delete(dataset.id)
    assert "mnist" in {entry.name for entry in await client.datasets.downloads()}
    # The mirror of the tests is empty: what is refused or fails there has been asked for all the same.
    with suppress(ConvserveError):
        fetched = await client.datasets.download("mnist")
        assert (await client.datasets.wait(fetched.id)).status == "failed"


async def _training(client: Any) -> str:
    """Train a model and return its id."""
    job = await client.training_jobs.create(TINY, "digits", epochs=2, batch_size=256, name="trained")
    events = await everything(client.training_jobs.events(job.id))
    lasting = [event for event in events if event.kind != "progress"]
    assert [event.id for event in lasting] == list(range(1, len(lasting) + 1))
    assert events[-1].kind == "end"
    assert await everything(client.training_jobs.events(job.id, after=lasting[-2].id)) == [lasting[-1]]
    assert await everything(client.training_jobs.events(job.id, after=lasting[-1].id)) == []
    assert (await everything(client.events(jobs=[job.id])))[-1].data["job_id"] == job.id
    *_, job = await everything(client.training_jobs.watch(job.id, interval=0.05))
    assert job.status == events[-1].data["status"] == "succeeded"
    assert [entry.epoch for entry in await client.training_jobs.metrics(job.id)] == [1, 2]
    assert (await client.training_jobs.curves(job.id, accept="image/png")).startswith(b"\x89PNG")
    norms = await client.training_jobs.norms(job.id)
    assert (norms.epochs, [node.name for node in norms.nodes]) == ([1, 2], ["dense_1"])
    assert b"dense_1" in await client.training_jobs.norms_file(job.id)
    report = await client.training_jobs.report(job.id)
    assert report.words
    assert sum(entry.images for entry in report.classes) == report.held_out_images
    assert job.id in await client.training_jobs.log(job.id)
    assert job.id in {entry.id for entry in await everything(client.training_jobs.list(status="succeeded"))}
    assert (await refused(client.training_jobs.cancel(job.id))).status == 409
    onward = await client.training_jobs.create(continue_from=job.id, epochs=1)
    *_, onward = await everything(client.training_jobs.watch(onward.id, interval=0.05))
    assert onward.status == "succeeded"
    for entry in (job, onward):
        await client.training_jobs.delete(entry.id)
    assert (await refused(client.training_jobs.get(job.id))).status == 404
    await client.models.delete(onward.model_id)
    step = await client.training_steps.take(
        TINY, dataset="digits", indices=[0, 1], optimizer=None, show=["dense_1/bias"]
    )
    assert (len(step.pictures), step.weights["dense_1/bias"].shape) == (2, [10])
    assert step.loss_after < step.loss
    return str(job.model_id)


async def _models(client: Any, model: str, folder: Path) -> None:
    assert (await client.models.get(model)).name == "trained"
    assert (await client.models.change(model, description="tells digits apart")).description is not None
    file = folder / "trained.safetensors"
    await client.models.export(model, file)
    await client.models.export_onnx(model, folder / "trained.onnx", preprocessing="inside")
    assert onnx.load(folder / "trained.onnx").graph.input[0].name == "pixels"
    again = await client.models.import_file(file, name="imported")
    assert (await client.models.set_alias("imported", "production", again.id)).model_id == again.id
    assert [entry.alias for entry in await client.models.aliases("imported")] == ["production"]
    assert (await client.models.alias("imported", "production")).model_id == again.id
    picture = await client.datasets.picture("digits", 3, split="test")
    (seen,) = await client.models.predict("imported@production", [("three.png", picture.content)], top_k=2)
    assert (seen.filename, len(seen.top)) == ("three.png", 2)
    assert (await client.models.preprocess(model, ("three.png", picture.content))).startswith(b"\x89PNG")
    await _inside(client, model, ("three.png", picture.content))
    await client.models.delete_alias("imported", "production")
    await client.models.delete(again.id)
    assert again.id not in {entry.id for entry in await everything(client.models.list())}


async def _inside(client: Any, model: str, picture: tuple[str, bytes]) -> None:
    png, npz = b"\x89PNG", b"PK"
    found = await client.models.explain(model, picture, "occlusion", class_="3", window=7)
    assert (found.class_, found.options["window"], len(found.map)) == ("3", 7, 28)
    assert (await client.models.explanation_file(model, picture, "gradient")).startswith(png)
    arrays = await client.models.explanation_file(model, picture, "gradient", accept="application/x-npz")
    assert arrays.startswith(npz)

    (way,) = (await client.models.account(model, [picture])).data
    assert [node.name for node in way.nodes] == ["input", "max_pool2d_1", "flatten_1", "dense_1"]
    assert (await client.models.account_file(model, picture)).startswith(png)
    pooled = await client.models.activations(model, [picture, picture], "max_pool2d_1")
    assert (pooled.shape, len(pooled.data)) == ([7, 7, 1], 2)
    for accept, begin in (("image/png", png), ("application/x-npz", npz)):
        file = await client.models.activations_file(
            model, [picture], "max_pool2d_1", scale="shared", accept=accept
        )
        assert file.startswith(begin)
    (listed,) = await client.models.filters(model)
    filters = await client.models.node_filters(model, "dense_1")
    assert (listed.node, listed.shape, listed.norm) == (filters.node, filters.shape, filters.norm)
    assert (await client.models.filters_file(model, "dense_1")).startswith(png)
    vectors = await client.models.embedding(model, [picture])
    assert (vectors.node, vectors.dimensions) == ("flatten_1", 49)
    scores = await client.models.embedding(model, [picture], node="dense_1")
    assert (await client.models.embedding_file(model, [picture])).startswith(npz)
    (traced,) = (await client.models.trace(model, picture, "dense_1", [(3,)])).data
    assert traced.trace.output == pytest.approx(scores.data[0].embedding[3], rel=1e-4)
    (pool,) = (await client.models.trace(model, picture, "max_pool2d_1", [(3, 4, 0)], on_the_way=True)).data
    assert pool.trace.output == pytest.approx(pooled.data[0].numbers[3][4][0], rel=1e-4)
    back = await client.models.trace_gradients(model, picture, "dense_1", [(1,), (2,)], "score", class_="1")
    assert [each.gradient for each in back.data] == [1, 0]


def test_the_story_told_to_the_client_that_blocks(
    server: str, tmp_path: Path, made: set[tuple[str, str]]
) -> None:
    with Client(server) as client:
        told = Told(client)
        asyncio.run(story(told, tmp_path))
        assert told.used == methods(client)
    assert made == documented(), "the client has no method for some calls of the service"


def test_the_story_told_to_the_client_that_is_awaited(
    server: str, tmp_path: Path, made: set[tuple[str, str]]
) -> None:
    async def run() -> None:
        async with AsyncClient(server) as client:
            told = Told(client)
            await story(told, tmp_path)
            assert told.used == methods(client)

    asyncio.run(run())
    assert made == documented()


def test_both_have_the_same_to_offer() -> None:
    with Client("http://127.0.0.1:1") as blocking:
        awaited = AsyncClient("http://127.0.0.1:1")
        assert methods(blocking) == methods(awaited)
        assert {type(part) for part in resources(blocking).values()} == {
            type(part) for part in resources(awaited).values()
        }
        for name, attribute in methods(blocking) - {("", own) for own in OWN}:
            shown = getattr(resources(blocking)[name], attribute)
            assert shown.__doc__, (name, attribute)
            assert shown.__doc__ == getattr(resources(awaited)[name], attribute).__doc__
        asyncio.run(awaited.close())
