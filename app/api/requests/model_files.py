"""Bodies of requests that import model files."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.api.common import Name
from app.api.requests.files import FileDocument

EXAMPLE_MODEL = (
    "OAMAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJjb252c2VydmUiOiJ7XCJhcmNoaXRlY3R1cmVcIjp7XCJmb3JtYXRfdmVyc2lvblwi"
    "OjEsXCJpbnB1dF9zaGFwZVwiOlsxLDEsMV0sXCJsYXllcnNcIjpbe1wiaW5wdXRzXCI6bnVsbCxcIm5hbWVcIjpudWxsLFwidHJh"
    "aW5hYmxlXCI6dHJ1ZSxcInR5cGVcIjpcImZsYXR0ZW5cIn0se1wiYWN0aXZhdGlvblwiOm51bGwsXCJiaWFzXCI6dHJ1ZSxcImlu"
    "cHV0c1wiOm51bGwsXCJuYW1lXCI6bnVsbCxcInRyYWluYWJsZVwiOnRydWUsXCJ0eXBlXCI6XCJkZW5zZVwiLFwidW5pdHNcIjoy"
    "LFwid2VpZ2h0X2luaXRpYWxpemVyXCI6XCJoZV9ub3JtYWxcIn1dfSxcImNsYXNzZXNcIjpbXCJkYXJrXCIsXCJsaWdodFwiXSxc"
    "ImZvcm1hdF92ZXJzaW9uXCI6MSxcImtpbmRcIjpcIm1vZGVsXCIsXCJsb3NzXCI6e1wiY2xhc3Nfd2VpZ2h0c1wiOm51bGwsXCJs"
    "YWJlbF9zbW9vdGhpbmdcIjowLjAsXCJ0eXBlXCI6XCJzb2Z0bWF4X2Nyb3NzX2VudHJvcHlcIn0sXCJtZXRhZGF0YVwiOntcIm5h"
    "bWVcIjpcImRhcmsgb3IgbGlnaHRcIixcInBpY3R1cmVcIjp7XCJiYWNrZ3JvdW5kXCI6XCIjZmZmZmZmXCIsXCJmaXRcIjpcInN0"
    "cmV0Y2hcIixcImltYWdlX3NoYXBlXCI6WzEsMSwxXX19LFwicHJlcHJvY2Vzc2luZ1wiOntcImRldmlhdGlvblwiOlswLjVdLFwi"
    "bWVhblwiOlswLjVdfX0ifSwiZGVuc2VfMS9iaWFzIjp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsyXSwiZGF0YV9vZmZzZXRzIjpb"
    "MCw4XX0sImRlbnNlXzEvd2VpZ2h0Ijp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsxLDJdLCJkYXRhX29mZnNldHMiOls4LDE2XX19"
    "ICAgICAgIAAAAAAAAAAAAACAwAAAgEA="
)
"""A network that classifies one pixel as dark or light, as a model file in base64."""


class ModelImport(FileDocument):
    """A model file and what to call the model."""

    name: Annotated[
        Name | None, Field(description="What to call the model; by default as its file says.")
    ] = None
