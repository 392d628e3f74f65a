"""From a request to one training step, checked before anything is allocated, and the step itself."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.api.pictures import MAX_SIDE, PictureSpec
from app.api.requests.training_steps import TrainingStepRequest
from app.datasets.records import class_names, options
from app.datasets.storage import StoredDataset, open_dataset
from app.errors import Invalid
from app.files.artifacts import Artifacts
from app.jobs.accept.architecture import Resolved, read_architecture, resolve
from app.jobs.accept.references import find_dataset, find_model, shape_of
from app.models.prediction import picture_spec
from app.models.predictors import Predictors
from app.operations.limits import ARITHMETIC, MEMORY, exceeded
from app.pictures.bounds import Bounds
from app.settings import Settings
from app.store import Store
from app.store.records import DatasetRecord, ModelRecord
from app.text import nearest
from app.training.pictures import Pictures, read_images, read_inputs, read_stored
from app.training.targets import read_targets
from engine.arrays import elements
from engine.errors import EngineError, ShapeError
from engine.graph.network import Network
from engine.inputs.batch import Batch
from engine.inputs.preprocessing import ChannelStatistics, Preprocessing
from engine.model.model_file import Model
from engine.recipe.targets import Target
from engine.training.anatomy import Anatomy, GradientCheck, check_gradients, check_work, dissect, step_work
from engine.training.loop import (
    TrainingConfig,
    check_config,
    check_fit,
    first_state,
    preparation,
    train_statistics,
)
from engine.training.normalised import check_batches, check_layers
from engine.training.transfer import freeze

MOST_NUMBERS = 100_000
"""Of scores and of weights that are shown, all together."""
_QUICK = 3_000_000_000
"""Operations that the check of gradients may take unless somebody asks for a number of entries."""
_ENTRIES = 20
_MOST_STATISTICS = 256 << 20
"""Numbers of a train split whose mean and deviation are taken: a second or two."""


@dataclass(frozen=True)
class Task:
    """A step that fits, and is within the limits.

    Attributes:
        network: as it is trained.
        config: how.
        classes: names of the outputs.
        target: what pictures come with.
        entries: of how many numbers the gradient is checked.
    """

    network: Network
    config: TrainingConfig
    classes: tuple[str, ...]
    target: Target
    entries: int


@dataclass(frozen=True)
class Step:
    """A step that was taken."""

    task: Task
    batch: Batch
    preprocessing: Preprocessing | None
    """None where numbers were sent."""
    anatomy: Anatomy
    check: GradientCheck


@dataclass(frozen=True)
class _Named:
    """What a request names, looked up."""

    dataset: DatasetRecord | None
    model: ModelRecord | None
    resolved: Resolved
    form: str
    """The field that gives the pictures."""
    count: int


def take_step(
    request: TrainingStepRequest,
    store: Store,
    artifacts: Artifacts,
    predictors: Predictors,
    settings: Settings,
    bounds: Bounds,
) -> Iterator[Step | None]:
    """Take the step that a request describes; nothing of it is kept.

    Yields None after each part of the work, so that it can be dropped there, and at last the step.

    Raises:
        Invalid, Conflict, TooLarge: as their place and hint say.
        EngineError: the network cannot be built or does not fit; or the loss is not finite.
    """
    named = _look_up(request, store, settings)
    task = _prepare(request, named, settings)
    stored = None if named.dataset is None else open_dataset(store, artifacts, named.dataset.id)
    model = None if named.model is None else predictors.get(named.model).model
    pictures = _read(request, named, task, stored, bounds)
    yield None
    targets, one_class = read_targets(
        request.targets, pictures.answers, task.classes, task.target, named.count
    )
    preprocessing = _preprocessing(request, named, task, pictures, stored, model)
    batch = Batch(pictures.images, targets, pictures.samples, epoch=1, one_class=one_class)
    try:
        state = first_state(task.network, task.config, preprocessing, model)
    except ShapeError as error:
        raise Invalid.at(("weights", "model"), error.detail, error.hint) from None
    prepared = preparation(task.config, preprocessing)
    network = freeze(task.network, task.config.freeze)
    before = {name: array.copy() for name, array in state.weights.items()} if task.entries else {}
    anatomy = dissect(network, task.config, state, batch, prepared)
    yield None
    seed = request.numeric_check.seed if request.numeric_check else 0
    shown = None if named.form == "inputs" else preprocessing
    if not task.entries:
        yield Step(task, batch, shown, anatomy, GradientCheck(0, 0, None))
        return
    for check in check_gradients(network, task.config, before, batch, prepared, task.entries, seed):
        yield None if check is None else Step(task, batch, shown, anatomy, check)


def _look_up(request: TrainingStepRequest, store: Store, settings: Settings) -> _Named:
    given = {name: getattr(request, name) for name in ("images", "inputs", "indices")}
    forms = [name for name, value in given.items() if value is not None]
    if len(forms) != 1:
        detail = f"{' and '.join(forms)} are both given" if forms else "there are no pictures to train on"
        hint = "send `images`, `inputs`, or `dataset` with `indices`"
        raise Invalid.at(forms[-1] if forms else "images", detail, hint)
    form = forms[0]
    count = len(given[form])
    if count > settings.max_predict_images:
        raise Invalid.at(form, f"{count} pictures", f"send at most {settings.max_predict_images}")
    if form == "indices" and request.dataset is None:
        raise Invalid.at("dataset", "this key is required", "name the data set that `indices` are counted in")
    if request.split is not None and form != "indices":
        raise Invalid.at("split", "there are no indices to count in it", "leave it out")
    if request.preprocessing is not None and form == "inputs":
        detail = "`inputs` are what the first layer receives"
        raise Invalid.at("preprocessing", detail, "leave it out, or send `images`")
    dataset = None if request.dataset is None else find_dataset(request.dataset, store)
    reference = request.weights.model
    model = None if reference is None else find_model(reference, store, "weights", "model")
    if request.architecture is not None:
        resolved = resolve(
            request.architecture,
            ("architecture",),
            store,
            input_shape=None if dataset is None else shape_of(dataset),
            classes=None if dataset is None else len(dataset.classes),
        )
    elif model is not None:
        architecture = read_architecture(model)
        resolved = Resolved(architecture, model.name, ("weights", "model"), {"model": model.id})
    else:
        hint = 'add "architecture", or a model in "weights"'
        raise Invalid.at("architecture", "this key is required", hint)
    return _Named(dataset, model, resolved, form, count)


def _prepare(request: TrainingStepRequest, named: _Named, settings: Settings) -> Task:
    config = TrainingConfig(
        epochs=1,
        batch_size=named.count,
        seed=request.weights.seed,
        optimizer=request.optimizer,
        loss=request.loss,
        clip=request.clip,
        freeze=request.freeze,
    )
    dataset, form = named.dataset, named.form
    try:
        network = Network.build(named.resolved.architecture, settings.max_parameters)
        trained = network.without_final(config.loss.link)
        classes, target = _classes(request, named, trained)
        fitting = (network.input_shape if dataset is None else shape_of(dataset), len(classes), target)
        check_fit(network, config, *fitting)
        check_layers(network)
    except EngineError as error:
        raise named.resolved.fault(error) from None
    check_config(network, config, *fitting)
    try:
        check_batches(network, config, named.count)
    except ShapeError as error:
        raise Invalid.at(form, error.detail, "send more pictures, or use group_norm or layer_norm") from None
    _check_shown(request.show, trained, named)
    return Task(trained, config, classes, target, _entries(request, trained, config, named, settings))


def _classes(request: TrainingStepRequest, named: _Named, trained: Network) -> tuple[tuple[str, ...], Target]:
    """Return the names of the outputs and what pictures come with: of the data set, of the model, or as it is sent."""
    if named.dataset is not None:
        names = tuple(class_names(named.dataset))
        return names, options(named.dataset).target
    if named.model is not None:
        return tuple(named.model.classes), named.model.target
    target: Target = "class"
    if request.targets and isinstance(request.targets[0], list):
        target = next((kind for kind in request.loss.targets if kind != "class"), "class")
    return tuple(map(str, range(elements(trained.output_shape)))), target


def _check_shown(names: Sequence[str], network: Network, named: _Named) -> None:
    specs = network.weight_specs
    for number, name in enumerate(names):
        if name not in specs:
            near = ", ".join(nearest(name, list(specs))[:8])
            hint = f"choose from {near}" if near else "leave it out: the network has no weights"
            raise Invalid.at(("show", number), f"there is no weight {name[:100]!r}", hint)
    scores = 3 * named.count * elements(network.output_shape)
    shown = 4 * sum(elements(specs[name].shape) for name in set(names))
    if scores + shown > MOST_NUMBERS:
        place = "show" if scores <= MOST_NUMBERS else named.form
        count = scores + shown
        detail = f"{count:,} numbers of scores and weights, and at most {MOST_NUMBERS:,} are written"
        raise Invalid.at(place, detail, "show fewer weights, or send fewer pictures", code="too-many-numbers")


def _entries(
    request: TrainingStepRequest, network: Network, config: TrainingConfig, named: _Named, settings: Settings
) -> int:
    """Return of how many numbers the gradient is checked; refuse what takes too much."""
    step = step_work(network, config, named.count)
    asked = request.numeric_check
    if asked is None:

        def too_many(entries: int) -> bool:
            check = check_work(network, named.count, entries)
            return (
                check.operations > min(_QUICK, settings.max_operation_steps - step.operations)
                or step.numbers + check.numbers > settings.max_operation_bytes
            )

        entries = bisect_left(range(1, _ENTRIES + 1), True, key=too_many)
    else:
        entries = asked.entries
    check = check_work(network, named.count, entries)
    for needed, own, limit, what in (
        (check.numbers, step.numbers, settings.max_operation_bytes, MEMORY),
        (check.operations, step.operations, settings.max_operation_steps, ARITHMETIC),
    ):
        if needed + own > limit:
            place: tuple[str, ...] = (named.form,)
            most = _most_pictures(network, config, named.count, settings)
            hint = (
                f"send at most {most}" if most else "use a smaller network; an operator can raise the limit"
            )
            if own <= limit:
                place, hint = ("numeric_check", "entries"), "check fewer entries, or send fewer pictures"
            raise exceeded(place, what, needed + own, limit, hint)
    return entries


def _most_pictures(network: Network, config: TrainingConfig, count: int, settings: Settings) -> int:
    """Return how many pictures, fewer than `count`, a step can be taken on within the limits; 0 for none."""

    def too_many(pictures: int) -> bool:
        work = step_work(network, config, pictures)
        return work.numbers > settings.max_operation_bytes or work.operations > settings.max_operation_steps

    return bisect_left(range(1, count), True, key=too_many)


def _read(
    request: TrainingStepRequest, named: _Named, task: Task, stored: StoredDataset | None, bounds: Bounds
) -> Pictures:
    shape = task.network.input_shape
    if request.indices is not None and stored is not None:
        return read_stored(stored, request.split, request.indices)
    if request.images is not None:
        return read_images(request.images, _picture_spec(named, shape), bounds)
    return read_inputs(request.inputs or (), shape)


def _picture_spec(named: _Named, shape: tuple[int, ...]) -> PictureSpec:
    """Return how pictures are fitted: as those of the data set, of the model, or plainly to the network's input."""
    if named.dataset is not None:
        return options(named.dataset).picture
    if named.model is not None:
        spec = picture_spec(named.model)
        if spec.image_shape == shape:
            return spec
    if shape[2] not in (1, 3) or max(shape[:2]) > MAX_SIDE:
        detail = f"a picture cannot be fitted to an input of {list(shape)}"
        raise Invalid.at("images", detail, "send numbers as `inputs`")
    return PictureSpec(image_shape=shape)


def _preprocessing(
    request: TrainingStepRequest,
    named: _Named,
    task: Task,
    pictures: Pictures,
    stored: StoredDataset | None,
    model: Model | None,
) -> Preprocessing:
    channels = task.network.input_shape[2]
    given = request.preprocessing
    if given is not None:
        if {len(given.mean), len(given.deviation)} != {channels}:
            detail = f"pictures have {channels} channels"
            raise Invalid.at("preprocessing", detail, f"give {channels} means and {channels} deviations")
        return given
    if named.form == "inputs":
        # numbers 0..255 are scaled to 0..1, and this undoes it
        return Preprocessing(mean=(0.0,) * channels, deviation=(1 / 255,) * channels)
    if model is not None and len(model.preprocessing.mean) == channels:
        return model.preprocessing
    if stored is None:
        statistics = ChannelStatistics(channels)
        statistics.add(pictures.images)
        return statistics.preprocessing()
    train = stored.split("train")
    size = len(train) * elements(stored.image_shape)
    if size > _MOST_STATISTICS:
        detail = (
            f"the train split has {size:,} numbers, too many to take their mean and deviation for one step"
        )
        raise Invalid.at("preprocessing", detail, "give them, or a model in `weights`, which has them")
    if not len(train):
        train = stored.split()
    return train_statistics(train, channels)
