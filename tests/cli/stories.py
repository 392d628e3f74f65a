"""What a client is told to do, by subject: each method of it at least once."""

import io
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnx
import pytest
from PIL import Image

from app.client import ConvserveError
from tests.cli.awaited import DOCUMENT, everything, refused

OPERATION = "/v1/operations/"
TINY = {
    "input_shape": [28, 28, 1],
    "layers": [{"type": "max_pool2d", "pool_size": 4}, {"type": "flatten"}, {"type": "dense", "units": 10}],
}


def archive(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, shade in (("dark", 10), ("light", 240)):
            for number in range(6):
                picture = io.BytesIO()
                Image.new("L", (28, 28), shade + number).save(picture, "PNG")
                packed.writestr(f"{name}/{number}.png", picture.getvalue())
    return path


async def operations(client: Any, folder: Path) -> None:
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


async def data_sets(client: Any, folder: Path) -> None:
    dataset = await client.datasets.upload(archive(folder / "shades.zip"), image_size=(8, 8), channels=1)
    *_, dataset = await everything(client.datasets.watch(dataset.id, interval=0.05))
    assert dataset == await client.datasets.wait(dataset.id) == await client.datasets.get(dataset.id)
    assert (dataset.status, dataset.name, dataset.images) == ("ready", "shades", 12)
    assert dataset.id.replace("ds_", "job_") in await client.datasets.log(dataset.id)
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


async def training(client: Any) -> str:
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


async def models(client: Any, model: str, folder: Path) -> None:
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
