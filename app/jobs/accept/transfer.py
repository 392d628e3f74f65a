"""Transfer: from a model and a data set alone to a complete description of how its network learns other classes."""

from __future__ import annotations

from dataclasses import dataclass

from app.api.choices import Choice
from app.api.requests.training_jobs import TrainFrom, TrainingJobRequest
from app.errors import Invalid
from app.jobs.accept import rules
from app.jobs.accept.architecture import Resolved, read_architecture
from app.jobs.accept.choices import COSINE, Open, dataset_loss
from app.jobs.accept.references import shape_of
from app.store.records import DatasetRecord, ModelRecord
from engine.errors import EngineError, GraphError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.recipe.config import EarlyStopping
from engine.recipe.optimizers import Adam
from engine.recipe.schedules import Cosine
from engine.training.head import all_but, head_inputs, head_nodes, nodes_from, with_new_head
from engine.training.loop import TrainingConfig

TRUNK_FACTOR = 0.1
"""What the learning rate of weights is multiplied by that were trained before, where they go on learning."""
MOST_PATTERNS = 1000
"""As many as `freeze` takes."""
_PATIENCE = 5
_VARIANTS = 4
_SMALL = 0.4
"""Share of the size that a model was trained on below which pictures are small for it."""
_MOST_NAMES = 12
_SOME_CLASSES = 2
"""Of which a network is built whose classes are not known yet."""


@dataclass(frozen=True)
class Wish:
    """Which network a job trains, and how."""

    resolved: Resolved
    config: TrainingConfig
    train: str | dict[str, str] | None = None
    """What of a model's network is trained, as the caller writes it; None where the network is no model's."""
    head_epochs: int = 0
    """Epochs in which the head learns alone, before the rest does with it."""
    head_freeze: tuple[str, ...] = ()
    """What is frozen in those."""
    variants: int = 0
    """How many of each picture there are where the head learns from augmented ones."""
    warnings: tuple[str, ...] = ()
    chosen: tuple[Choice, ...] = ()
    """What was left open, and is chosen."""


def transferred(request: TrainingJobRequest, model: ModelRecord, dataset: DatasetRecord) -> Wish:
    """Return what a transfer job trains, and how; what the caller leaves open is chosen.

    Raises:
        Invalid: the network has no head, does not take pictures of this size, or has no such node.
        Damaged: the model's architecture cannot be read.
    """
    shape = shape_of(dataset)
    source = read_architecture(model)
    architecture, network, head = _network(source, model, shape, len(dataset.classes))
    learning = _learning(request, network) | head
    pictures = dataset.splits["train"]
    left = Open(request)
    config = request.config()
    config["batch_size"] = left.choose(
        "batch_size", *rules.batch_size(pictures, rules.HEAD_BATCHES_PER_EPOCH, rules.HEAD_BATCHES)
    )
    rate = rules.head_rate(head_inputs(network))
    reason = (
        f"each score is made of {head_inputs(network)} numbers, whose weights Adam moves by about the rate"
    )
    config["optimizer"] = left.choose("optimizer", Adam(learning_rate=rate), reason)
    config["schedule"] = left.choose("schedule", Cosine(), COSINE)
    config["loss"] = left.choose("loss", *dataset_loss(dataset))
    head_epochs, reason = _head_epochs(request, pictures, config["batch_size"])
    if learning <= head:
        config["epochs"] = left.choose("epochs", head_epochs, reason)
        head_epochs = 0
    else:
        if request.head_epochs is None:
            left.note("head_epochs", head_epochs, reason)
        more, reason = rules.epochs(pictures, config["batch_size"], rules.TRUNK_STEPS, rules.TRUNK_EPOCHS)
        reason = f"after those of the head {more} more: {reason}"
        config["epochs"] = left.choose("epochs", head_epochs + more, reason)
        reason = "by dev loss, which is steadier than accuracy where pictures are few"
        config["early_stopping"] = left.choose("early_stopping", EarlyStopping(patience=_PATIENCE), reason)
    frozen = all_but(network, learning)
    if len(frozen) > MOST_PATTERNS:
        hint = "write its `architecture`, and say what is not trained with patterns in `freeze`"
        detail = f"the trunk has more than {MOST_PATTERNS} layers and blocks"
        raise Invalid.at("initial_weights", detail, hint)
    config["freeze"] = (*frozen, *(pattern for pattern in request.freeze if pattern not in frozen))
    trunk = all_but(network, {node.name for node in network.nodes} - (learning - head))
    factors = dict.fromkeys(trunk, TRUNK_FACTOR)
    if factors:
        reason = "what was learned before changes slowly"
        config["learning_rate_factors"] = left.choose("learning_rate_factors", factors, reason)
    resolved = Resolved(architecture, dataset.name, ("initial_weights",), {"model": model.id})
    warnings = _warnings(source, shape)
    head_freeze = all_but(network, head)
    variants = _VARIANTS if request.variants is None else request.variants
    return Wish(
        resolved=resolved,
        config=TrainingConfig(**config),
        train=_train(request),
        head_epochs=head_epochs,
        head_freeze=head_freeze,
        variants=variants if request.augmentations and request.train != "all" else 0,
        warnings=warnings,
        chosen=left.chosen,
    )


def check_transfer(request: TrainingJobRequest, model: ModelRecord, shape: tuple[int, int, int]) -> None:
    """Check of a transfer job what does not depend on how many pictures and classes there are.

    Args:
        request: what the caller asks for.
        model: whose network is to learn.
        shape: [height, width, channels] of the pictures.

    Raises:
        Invalid, Damaged: as `transferred` does.
    """
    _, network, _ = _network(read_architecture(model), model, shape, _SOME_CLASSES)
    _learning(request, network)
    _head_epochs(request, pictures=1, batch_size=1)


def _head_epochs(request: TrainingJobRequest, pictures: int, batch_size: int) -> tuple[int, str]:
    """Return in how many epochs the head learns alone, and why; in a quarter of those that are given, if they are.

    Raises:
        Invalid: more than the head learns, or nothing but the head, and it is said how long it learns alone.
    """
    asked = request.head_epochs
    if asked is None:
        if "epochs" in request.model_fields_set:
            return request.epochs // 4, "a quarter of all"
        return rules.epochs(pictures, batch_size, rules.HEAD_STEPS, rules.HEAD_EPOCHS)
    if (request.train or "head") == "head":
        hint = 'leave it out, or let more learn: "train": "all"'
        raise Invalid.at("head_epochs", "the head alone is trained, in all epochs", hint)
    if "epochs" in request.model_fields_set and asked >= request.epochs:
        detail = f"of {request.epochs} epochs it leaves none in which more than the head learns"
        raise Invalid.at("head_epochs", detail, f"use fewer than {request.epochs}")
    return asked, ""


def _train(request: TrainingJobRequest) -> str | dict[str, str]:
    asked = request.train or "head"
    return {"from": asked.node} if isinstance(asked, TrainFrom) else asked


def _network(
    source: Architecture, model: ModelRecord, shape: tuple[int, int, int], classes: int
) -> tuple[Architecture, Network, frozenset[str]]:
    """Return a model's architecture with a new head, its network, and the names of the nodes of that head.

    Raises:
        Invalid: it has no head, or is nothing else; or it does not take pictures of this shape.
    """
    architecture = _with_new_head(source, model, shape, classes)
    network = Network.build(architecture)
    head = head_nodes(network)
    if not any(node.weights and node.name not in head for node in network.nodes):
        detail = f"all weights of model {model.id!r} are in its head, which is made anew: nothing would be left of it"
        raise Invalid.at("initial_weights", detail, "name a model of more layers, or give an `architecture`")
    return architecture, network, head


def _with_new_head(
    source: Architecture, model: ModelRecord, shape: tuple[int, int, int], classes: int
) -> Architecture:
    try:
        return with_new_head(source, classes, shape)
    except GraphError as error:
        raise Invalid.at("initial_weights", error.detail, error.hint) from None
    except EngineError as error:
        height, width, channels = source.input_shape
        given, wanted = ("x".join(map(str, size)) for size in (shape, source.input_shape))
        detail = (
            f"its pictures are {given}, which the network of model {model.id!r} does not take: {error.detail}"
        )
        hint = f"make the data set of {wanted} pictures: image_size [{height}, {width}], channels {channels}"
        raise Invalid.at("dataset", detail, hint) from None


def _learning(request: TrainingJobRequest, network: Network) -> frozenset[str]:
    """Return the names of the nodes that are trained beside the head."""
    if isinstance(request.train, TrainFrom):
        try:
            return nodes_from(network, request.train.node)
        except GraphError:
            tops = list(dict.fromkeys(node.name.partition("/")[0] for node in network.nodes))
            listed = ", ".join(tops[-_MOST_NAMES:])
            detail = f"there is no node or block {request.train.node[:100]!r} in this network"
            raise Invalid.at(("train", "from"), detail, f"the last ones are {listed}") from None
    return frozenset(node.name for node in network.nodes) if request.train == "all" else frozenset()


def _warnings(source: Architecture, shape: tuple[int, int, int]) -> tuple[str, ...]:
    height, width, _ = source.input_shape
    if shape[0] >= _SMALL * height and shape[1] >= _SMALL * width:
        return ()
    return (
        f"the pictures are {shape[0]}x{shape[1]}, and the model learned on {height}x{width}: in pictures this much "
        "smaller it finds less; a data set with a larger image_size will do better",
    )
