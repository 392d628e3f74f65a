"""Identifiers that sort by the time they were made: a prefix and a ULID in lower case.

A ULID (https://github.com/ulid/spec) is 48 bits of milliseconds and 80 random bits, written as 26
characters of Crockford's base32.
"""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26

ARCHITECTURE = "arch"
DATASET = "ds"
JOB = "job"
MODEL = "model"
DELIVERY = "msg"
KEY = "key"

PRETRAINED = "mobilenet-v2-imagenet"
"""Id and name of the model of photos that comes with every installation, unless it is to be without."""


def new_id(prefix: str) -> str:
    """Return a fresh identifier such as `job_01jd3k...`."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    digits = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, 32)
        digits.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(digits))}"


def sibling(identifier: str, prefix: str) -> str:
    """Return the identifier of another kind that belongs to this one: `job_x` -> `model_x`.

    A job that is tried again makes the same names again, so that nothing is left behind by the
    attempt before.
    """
    return f"{prefix}_{identifier.partition('_')[2]}"
