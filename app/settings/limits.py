"""What one request may send and cost."""

from pydantic import Field

from app.settings.fields import GIB, MIB, Group


class Limits(Group):
    """Limits of one request."""

    max_body_bytes: int = Field(MIB, ge=1, description="Largest JSON request body, in bytes.")
    max_predict_bytes: int = Field(
        64 * MIB, ge=1, description="Largest request body of one prediction, in bytes."
    )
    max_predict_images: int = Field(256, ge=1, description="Most pictures in one prediction.")
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
    max_explanation_multiply_adds: int = Field(
        200_000_000_000,
        ge=1,
        description="Most multiply-adds of one explanation, by the estimate before it begins; a pass forward and one "
        "back take those of one prediction each. The default is about a minute of one core.",
    )
