"""Predictions: what computes them, what waits for them, and which models are in memory."""

from typing import Annotated, Literal

from pydantic import Field

from app.files.memory import available_memory
from app.settings.fields import DIVIDED, MIB, AnyCase, Group, Seconds


class Serving(Group):
    """Predictions and models."""

    models_bytes: Annotated[int, DIVIDED] = Field(
        default_factory=lambda: available_memory() // 4,
        ge=1,
        description="Memory that loaded models may take, with what they need to compute; those used longest ago are "
        "let go first, and one larger model is held alone. After the start the models with an alias are loaded into "
        "it, the one used last first. By default a quarter of what the machine or the container has.",
    )
    compute_bytes: Annotated[int, DIVIDED] = Field(
        default_factory=lambda: available_memory() // 8,
        ge=1,
        description="Memory that what is computed for requests may take together, beside loaded models: decoding "
        "pictures, looking at archives and into networks, and operations. Each reserves what it needs, by the size "
        "that a picture declares or by its estimate, before it begins; what needs more than there is waits until it is "
        "alone. By default an eighth of "
        "what the machine or the container has.",
    )
    inference: Annotated[Literal["auto", "numpy", "onnxruntime"], AnyCase] = Field(
        "numpy",
        description="What computes predictions: numpy; onnxruntime, which needs the extra of that name and is quicker "
        "for large networks; or auto, which tries both when a model is loaded, and takes the quicker one if their "
        "outputs agree. Evaluations and batch predictions are computed by numpy.",
    )
    split_models: Annotated[int, DIVIDED] = Field(
        0,
        ge=0,
        description="How many loaded models have a second process that computes half of every single picture: "
        "sooner answers, on two cores. Each gets one when it is loaded, if it gains by it; the one used longest ago "
        "loses its own.",
    )
    max_queue: Annotated[int, DIVIDED] = Field(
        1024,
        ge=1,
        description="Most pictures that wait for predictions or are computed, and most other calls that wait to be "
        "computed; requests beyond get 503.",
    )
    max_queue_bytes: Annotated[int, DIVIDED] = Field(
        256 * MIB,
        ge=1,
        description="Most bytes that the bodies of requests hold together that wait in memory until they are answered: "
        "of predictions, of all that looks into models with pictures, of operations, and long JSON; they count as they "
        "arrive, and JSON also with what it becomes in memory. Requests beyond get 503, but for one that comes when "
        "there is no other.",
    )
    predict_seconds: Seconds = Field(
        30.0, description="Longest time that a prediction waits and is computed; then its request gets 503."
    )
    batch_size: int = Field(
        32,
        ge=1,
        le=256,
        description="Most pictures of requests for one model that are computed as one batch; those of several "
        "requests are fewer where they would take a core more than 50 ms.",
    )
    batch_wait_ms: float = Field(
        0.0,
        ge=0,
        le=1000,
        allow_inf_nan=False,
        description="Milliseconds that a prediction waits for others to share its batch, when nothing else runs; "
        "those that wait for a core share one anyhow.",
    )
    builtin_models: bool = Field(
        True,
        description="Whether the server has the models that come with it and were trained on the pictures of others: "
        "mobilenet-v2-imagenet, whose terms of use may be those of ImageNet. False also removes it at the next start.",
    )
