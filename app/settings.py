"""Everything that an operator can set: one frozen record, read from ``CONVSERVE_*`` when it is made."""

import base64
import binascii
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from app.files.memory import available_memory
from app.hosts import is_loopback

PREFIX = "CONVSERVE_"

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


_STANDARD_PREFIX = "whsec_"

_SECRETS = ("api_key", "webhook_secret")

_DIVIDED = ("cores", "max_queue", "max_queue_bytes", "models_bytes", "split_models")
"""What is set for all serving processes together, and divided among them; see `Settings.part` for what is not set."""

_FAULTS: Mapping[str, str] = {
    "bool_parsing": "write true or false",
    "finite_number": "write a finite number",
    "float_parsing": "write a number",
    "greater_than": "use more than {gt:g}",
    "greater_than_equal": "use {ge:g} or more",
    "int_parsing": "write a whole number",
    "less_than_equal": "use {le:g} or less",
    "literal_error": "use {expected}",
}
"""What would do, by the fault that was found."""


class SettingsError(Exception):
    """A setting cannot be used; the message names the variable and says what would do."""


def available_cores() -> int:
    """Count the processor cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Settings(BaseModel):
    """The settings of a server and of its workers.

    Each field can be given as an environment variable: ``CONVSERVE_`` and its name in capitals.
    An empty variable counts as absent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    data_dir: Path = Field(
        Path("convserve-data"),
        description="Directory that holds the database, data sets, models, logs and checkpoints.",
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address that the server listens on.")
    port: int = Field(
        8000, ge=0, le=65535, description="Port that the server listens on; 0 picks a free one."
    )
    api_key: SecretStr | None = Field(
        None,
        description="Key that every request but /livez and /readyz must carry. "
        "Required when the address is not a loopback one.",
    )
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that answer requests, all on one port. Several of them share what the server has: each "
        "takes its part of CONVSERVE_CORES for predictions, of the memory for models and of the room for what waits. "
        "Models that are in use take their memory once for each process.",
    )
    max_jobs: int = Field(1, ge=1, description="Training jobs that run at the same time; the rest waits.")
    cores: int = Field(
        default_factory=available_cores,
        ge=1,
        description="Processor cores to share among the running jobs; by default all it may use.",
    )
    models_bytes: int = Field(
        default_factory=lambda: available_memory() // 4,
        ge=1,
        description="Memory that loaded models may take, with what they need to compute; those used longest ago are "
        "let go first, and one larger model is held alone. After the start the models with an alias are loaded into "
        "it, the one used last first. By default a quarter of what the machine or the container has.",
    )
    inference: Literal["auto", "numpy", "onnxruntime"] = Field(
        "numpy",
        description="What computes predictions: numpy; onnxruntime, which needs the extra of that name and is quicker "
        "for large networks; or auto, which tries both when a model is loaded, and takes the quicker one if their "
        "outputs agree. Evaluations and batch predictions are computed by numpy.",
    )
    split_models: int = Field(
        0,
        ge=0,
        description="How many loaded models have a second process that computes half of every single picture: "
        "sooner answers, on two cores. Each gets one when it is loaded, if it gains by it; the one used longest ago "
        "loses its own.",
    )
    checkpoint_seconds: Seconds = Field(
        30.0, description="Longest time between two checkpoints of a running training job."
    )
    heartbeat_timeout: Seconds = Field(
        120.0, description="Seconds without a sign of life after which a worker counts as hung and is killed."
    )
    grace_seconds: Seconds = Field(
        20.0,
        description="Seconds that running jobs get for a last checkpoint when the server is told to stop.",
    )
    max_training_bytes: int = Field(
        default_factory=lambda values: available_memory() * 4 // 5 // values.get("max_jobs", 1),
        ge=1,
        description="Most memory that a training job may need, by the estimate when it is submitted; by default four "
        "fifths of what the machine or the container has, divided by CONVSERVE_MAX_JOBS.",
    )
    max_parameters: int = Field(
        150_000_000, ge=1, description="Largest number of parameters that a network may have."
    )
    max_operation_bytes: int = Field(
        GIB, ge=1, description="Most memory that one operation may need, estimated before it is computed."
    )
    max_operation_steps: int = Field(
        2_000_000_000,
        ge=1,
        description="Most multiply-adds, additions and comparisons of one operation, estimated before it is computed.",
    )
    max_body_bytes: int = Field(MIB, ge=1, description="Largest JSON request body, in bytes.")
    max_predict_bytes: int = Field(
        64 * MIB, ge=1, description="Largest request body of one prediction, in bytes."
    )
    max_predict_images: int = Field(256, ge=1, description="Most pictures in one prediction.")
    max_queue: int = Field(
        1024,
        ge=1,
        description="Most pictures that wait for predictions or are computed; requests beyond get 503.",
    )
    max_queue_bytes: int = Field(
        256 * MIB,
        ge=1,
        description="Most bytes that the bodies of requests hold together that wait in memory until they are answered: "
        "of predictions, of all that looks into models with pictures, and of operations. Requests beyond get 503, but "
        "for one that comes when there is no other.",
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
    max_explanation_multiply_adds: int = Field(
        200_000_000_000,
        ge=1,
        description="Most multiply-adds of one explanation, by the estimate before it begins; a pass forward and one "
        "back take those of one prediction each. The default is about a minute of one core.",
    )
    max_upload_bytes: int = Field(2 * GIB, ge=1, description="Largest upload of a data set, in bytes.")
    max_image_pixels: int = Field(
        25_000_000, ge=1, description="Most pixels of one picture, read from its header before it is decoded."
    )
    max_archive_entries: int = Field(200_000, ge=1, description="Most files in one uploaded archive.")
    max_archive_ratio: int = Field(
        100,
        ge=1,
        description="Largest ratio of unpacked to packed size in an uploaded archive that unpacks to more than "
        "CONVSERVE_MAX_UPLOAD_BYTES.",
    )
    max_data_bytes: int | None = Field(
        None,
        ge=1,
        description="Size of the data directory beyond which calls that add to it are refused; by default none.",
    )
    retention_days: Annotated[float, Field(gt=0, le=36500, allow_inf_nan=False)] | None = Field(
        None,
        description="Days after which finished jobs are deleted with their files; models and data sets stay. "
        "By default never.",
    )
    checkpoint_retention_days: Annotated[float, Field(gt=0, le=36500, allow_inf_nan=False)] = Field(
        30.0,
        description="Days after its end for which a training job keeps its last checkpoint, so that another can "
        "continue from it; models stay.",
    )
    max_feature_bytes: int = Field(
        2 * GIB,
        ge=0,
        description="Size of what is kept of frozen networks' features of pictures for later training jobs; those "
        "unused for longest go first. A job whose features alone would be larger computes them in every epoch.",
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="Key that webhooks are signed with: whsec_ and 24 to 64 random bytes in base64. "
        "Without it jobs cannot have webhooks.",
    )
    webhook_private: bool = Field(
        False,
        description="Whether webhooks may go to loopback, private and link-local addresses.",
    )
    dataset_mirror: str | None = Field(
        None,
        description="Directory or URL that data sets are fetched from by name, instead of from where they are "
        "published: a folder for each (mnist, fashion-mnist, cifar-10) with its files and perhaps SHA256SUMS.",
    )
    builtin_models: bool = Field(
        True,
        description="Whether the server has the models that come with it and were trained on the pictures of others: "
        "mobilenet-v2-imagenet, whose terms of use may be those of ImageNet. False also removes it at the next start.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe message that is logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="How log lines look; auto is console on a terminal and JSON anywhere else."
    )

    @field_validator("data_dir", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        # A worker may be started in another working directory.
        return value.expanduser().absolute()

    @field_validator("inference", "log_level", "log_format", mode="before")
    @classmethod
    def _lower_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("cores", mode="before")
    @classmethod
    def _all_cores(cls, value: Any) -> Any:
        return available_cores() if value is None else value

    @field_validator("dataset_mirror", mode="after")
    @classmethod
    def _usable_mirror(cls, value: str | None) -> str | None:
        if value is None or value.startswith(("http://", "https://")):
            return value
        if "://" in value:
            raise ValueError("use a directory, or an address that begins with http:// or https://")
        return str(Path(value).expanduser().absolute())

    @field_validator("api_key", mode="after")
    @classmethod
    def _usable_key(cls, value: SecretStr | None) -> SecretStr | None:
        key = value.get_secret_value().strip() if value else ""
        if not key:
            return None
        # It travels in a header, where nothing else is safe.
        if not all("!" <= character <= "~" for character in key):
            raise ValueError("use printable ASCII characters without spaces")
        return SecretStr(key)

    @field_validator("webhook_secret", mode="after")
    @classmethod
    def _usable_secret(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value().strip() if value else ""
        if not text:
            return None
        try:
            key = base64.b64decode(text.removeprefix(_STANDARD_PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if not 24 <= len(key) <= 64:
            raise ValueError(
                "use whsec_ and 24 to 64 random bytes in base64, as from "
                "python3 -c \"import base64, os; print('whsec_' + base64.b64encode(os.urandom(32)).decode())\""
            )
        return SecretStr(text)

    @property
    def webhook_key(self) -> bytes | None:
        """The bytes that webhooks are signed with."""
        if self.webhook_secret is None:
            return None
        return base64.b64decode(self.webhook_secret.get_secret_value().removeprefix(_STANDARD_PREFIX))

    @property
    def checkpoint_retention(self) -> timedelta:
        """How long the last checkpoint of a finished job is kept."""
        return timedelta(days=self.checkpoint_retention_days)

    @property
    def worker_threads(self) -> int:
        """Cores that each of the concurrently running jobs may use."""
        return max(1, self.cores // self.max_jobs)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the address that the server listens on."""
        return is_loopback(self.host)

    def check_exposure(self) -> None:
        """Refuse to listen where strangers can connect without a key.

        Raises:
            SettingsError: the address is not a loopback one and there is no API key.
        """
        if self.loopback or self.api_key is not None:
            return
        raise SettingsError(
            f"refusing to listen on {self.host} without an API key: anybody who can reach this address could "
            f"train models, read data and fill the disk. Set {PREFIX}API_KEY to a long random value, like "
            f"{PREFIX}API_KEY=\"$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')\", "
            f"or listen on 127.0.0.1."
        )

    def part(self, whole: int) -> int:
        """Return what one serving process has of what is for all of them: an even part, and at least 1 of what is."""
        return max(min(whole, 1), whole // self.workers)

    def share(self) -> Self:
        """Return the settings of one serving process: what is for all of them together is divided."""
        return self.model_copy(update={name: self.part(getattr(self, name)) for name in _DIVIDED})

    def environment(self, *, secrets: bool = False) -> dict[str, str]:
        """Return these settings as variables for a process.

        They are the whole of what a worker should see under ``CONVSERVE_``. API key and webhook secret are not among
        them, unless they are asked for: a worker has no use for them, and what handles other people's files should hold
        no secrets.
        """
        values = self.model_dump(mode="json", exclude=set(_SECRETS), exclude_none=True)
        written = {PREFIX + name.upper(): str(value) for name, value in values.items()}
        held = {name: getattr(self, name) for name in _SECRETS if secrets}
        return written | {
            PREFIX + name.upper(): secret.get_secret_value() for name, secret in held.items() if secret
        }


def load_settings(given_as: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings from the environment; what is passed and not None goes first.

    Args:
        given_as: by what name somebody gave those that are passed, such as `{"port": "--port"}`; errors name that.
        overrides: settings.

    Raises:
        SettingsError: some value cannot be used; one line for each.
    """
    values: dict[str, Any] = {
        name: value for name in Settings.model_fields if (value := os.environ.get(PREFIX + name.upper()))
    }
    values |= {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**values)
    except ValidationError as error:
        lines = []
        # a default that is computed from others says no more than that those are wrong
        faults = [fault for fault in error.errors() if fault["type"] != "default_factory_not_called"]
        for fault in faults:
            name = str(fault["loc"][0]) if fault["loc"] else "?"
            called = (given_as or {}).get(name) if overrides.get(name) is not None else None
            lines.append(f"{called or PREFIX + name.upper()}: {_in_words(name, fault)}")
        raise SettingsError("\n".join(lines)) from None


def _in_words(name: str, fault: Mapping[str, Any]) -> str:
    """Say what is wrong with a value, without the value where it is a secret."""
    template = _FAULTS.get(fault["type"])
    if template is None:
        return str(fault["msg"]).removeprefix("Value error, ")
    text = template.format(**fault.get("ctx", {}))
    secret = Settings.model_fields[name].annotation == SecretStr | None
    return text if secret else f"{text}, not {fault['input']}"
