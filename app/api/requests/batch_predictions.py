"""Bodies of requests about batch predictions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.api.requests.files import FileDocument
from app.api.requests.webhooks import Announced

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
    """An archive of pictures, and the model that predicts them."""

    model: Annotated[
        str,
        Field(
            description="The id of a model, its name (the newest version), name and version (`digits@2`), or name and "
            "alias (`digits@production`).",
            examples=["model_example"],
        ),
    ]
    top_k: Annotated[
        int,
        Field(
            strict=True, ge=1, le=1000, description="How many classes to name for each picture, if there are."
        ),
    ] = 3
    webhook: Annotated[
        Announced, Field(description='Where its end is announced: {"url": ...}, or the address alone.')
    ] = None
