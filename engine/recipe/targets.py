"""What a network can learn to say of a picture."""

from __future__ import annotations

from typing import Literal

Target = Literal["class", "labels", "values"]
"""What is known of each picture: one of K classes, any of K labels, or K numbers."""

THRESHOLD = 0.5
"""How probable a label has to be to count as predicted, unless something else is asked for."""

NOUN: dict[Target, str] = {"class": "class", "labels": "label", "values": "value"}
NOUNS: dict[Target, str] = {"class": "classes", "labels": "labels", "values": "values"}
