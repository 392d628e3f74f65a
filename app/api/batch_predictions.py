"""Bodies of batch predictions."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from app.api.common import Body, Number
from app.api.jobs import JobBody, shared
from app.store.records import JobRecord
from app.web.bodies.files import FileDocument

EXAMPLE_ARCHIVE = (
    "UEsDBBQAAAAAAAAAIVwt+vUJ0wAAANMAAAAJAAAAdGhyZWUucG5niVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAmklE"
    "QVR4nM2RSw7DMAhEn6vcK+RkISczORld+B/aZaXOzvPMgAD+TGl5icAJh4V/6l3yZLkCdXct1jYigcsMOGN3VW0J+nEgwCdzm4HIvhQM"
    "qLHX1mvC+KPMJ+XmvuYvV0rpAGnT1lgDimXXaN2gdWcfSUtsk0WYS+5dNrkql62puwcm7gKq7rkXzuvLhgC3EaTfDt1pPdtv9QbtGlXu"
    "n99R5wAAAABJRU5ErkJgglBLAwQUAAAAAAAAACFcYeC/3QoAAAAKAAAACQAAAG5vdGVzLnR4dG5vIHBpY3R1cmVQSwECFAMUAAAAAAAA"
    "ACFcLfr1CdMAAADTAAAACQAAAAAAAAAAAAAAgAEAAAAAdGhyZWUucG5nUEsBAhQDFAAAAAAAAAAhXGHgv90KAAAACgAAAAkAAAAAAAAA"
    "AAAAAIAB+gAAAG5vdGVzLnR4dFBLBQYAAAAAAgACAG4AAAArAQAAAAA="
)
"""A picture of a three and a file that is no picture in a zip archive, in base64."""


class BatchPredictionCreate(FileDocument):
    """An archive of pictures, and who is to look at them."""

    model: Annotated[
        str,
        Field(
            description="The id of a model, or name and version (`digits@2`), or name and alias "
            "(`digits@production`).",
            examples=["model_example"],
        ),
    ]
    top_k: Annotated[
        int,
        Field(
            strict=True, ge=1, le=1000, description="How many classes to name for each picture, if there are."
        ),
    ] = 3


class BatchProgress(Body):
    """How far it is."""

    images: int = 0
    """Files that have been looked at."""
    failed: int = 0
    """Those among them that no picture could be read from."""
    of: int
    """Files in the archive."""
    fraction: Number = 0.0


class BatchPrediction(JobBody):
    """A batch prediction: what was asked for, and what became of it."""

    model_id: str
    top_k: int
    filename: str
    """The name that the archive was uploaded under; empty when it had none."""
    progress: BatchProgress

    @classmethod
    def of(cls, record: JobRecord) -> Self:
        """Show a record."""
        request = record.request
        shown = {name: value for name, value in record.progress.items() if name in BatchProgress.model_fields}
        return cls(
            **shared(record),
            model_id=request["model"],
            top_k=request["top_k"],
            filename=request["filename"],
            progress=BatchProgress(**{"of": request["images"]} | shown),
        )
