"""Bodies of requests about training jobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from app.api.common import Name
from app.api.requests.architectures import ArchitectureChoice
from app.api.requests.webhooks import Announced
from engine.recipe.config import TrainingConfig
from engine.spec import NonNegativeInt, Spec


class TrainFrom(Spec):
    """Train the part of a network that begins somewhere."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    node: Annotated[str, Field(alias="from", min_length=1, max_length=256, examples=["inverted_residual_15"])]
    """The node, or block, with which it begins."""


def _form(value: Any) -> str:
    return "<from>" if isinstance(value, dict | TrainFrom) else "<word>"


Learning = Annotated[
    Annotated[Literal["head", "all"], Tag("<word>")] | Annotated[TrainFrom, Tag("<from>")],
    Discriminator(_form),
]
"""What of a network is trained."""


class TrainingJobRequest(TrainingConfig):
    """What to train, on what, and how."""

    name: Name | None = None
    """What the model will be called; if not given, like the data set."""
    description: Annotated[str, Field(max_length=2000)] | None = None
    """A text for people; the model gets it."""
    tags: Annotated[tuple[Name, ...], Field(max_length=32)] = ()
    """Words to find it by; the model gets them."""
    architecture: ArchitectureChoice | None = None
    """The network: `{"preset": name}`, the id or name of a stored architecture, or one written out. Without it, and
    without `initial_weights`, network and everything else that is not given are chosen to fit the data."""
    defaults: Literal["fixed", "auto"] = "fixed"
    """What becomes of that which is not given beside an `architecture`: the defaults of this schema, or, with `auto`,
    what fits the data. Without an architecture it is always what fits."""
    dataset: Annotated[str, Field(max_length=100, examples=["digits"])] | None = None
    """The id of a data set, or its name; of several of one name the newest. While it is still being filled the job
    waits, and what depends on its pictures is chosen and checked when it is ready."""
    continue_from: Annotated[str, Field(max_length=200)] | None = None
    """The id of a finished job, its name (the newest job), or the model that it has made (`digits@2`,
    `digits@production`), to continue from its last checkpoint for `epochs` more. Weights, state of the
    optimizer and count of epochs are those of the checkpoint; architecture, data set and whatever is not given are that
    job's."""
    initial_weights: Annotated[str, Field(max_length=200)] | None = None
    """The id of a model, its name (the newest version), name and version (`digits@2`), or name and alias
    (`digits@production`): its weights are the first ones, wherever names and shapes agree (fine-tuning). Without an
    `architecture` the network is the model's own with a new head for the classes of the data set (transfer)."""
    train: Learning | None = None
    """In a transfer, what is trained: the `head` alone, which is what happens if nothing else is asked for; the head
    and then `all`; or the head and then everything from a node on: `{"from": node}`."""
    head_epochs: NonNegativeInt | None = None
    """In a transfer that trains more than the head: in how many of the `epochs`, the first ones, the head learns alone,
    from pictures that are not augmented."""
    variants: Annotated[int, Field(strict=True, ge=0, le=64)] | None = None
    """In a transfer that trains the head, or what comes after a node, on augmented pictures: how many variants of each
    picture pass through the frozen layers, itself and others, of which each epoch sees the next; by default 4. 0 for
    new ones in every epoch, which takes as long as if nothing were frozen. Mixed pictures are new in every epoch
    anyhow."""
    nodes: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1
    """On how many nodes each batch is computed, in parts: machines of the cluster, or processes of one machine, with as
    many cores each as the service gives them. The result is that of as many shares on one machine, byte for byte."""

    webhook: Announced = None
    """Where its end is announced."""

    def config(self) -> dict[str, Any]:
        """Return the fields of the engine's configuration."""
        return {name: getattr(self, name) for name in TrainingConfig.model_fields}
