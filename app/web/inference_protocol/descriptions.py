"""What the Open Inference Protocol says about the server and its models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app import version
from app.serving.statistics import Counts
from app.store.records import ModelRecord
from app.web.inference_protocol.tensors_in import INPUT, INPUT_NCHW
from app.web.inference_protocol.tensors_out import OUTPUT

EXTENSIONS = ["binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"]
PLATFORM = "convserve"


def server() -> dict[str, Any]:
    """Describe the server."""
    return {"name": "convserve", "version": version(), "extensions": EXTENSIONS}


def model(record: ModelRecord, name: str, versions: Iterable[int]) -> dict[str, Any]:
    """Describe a model: its versions, its input and its output, each with the number of pictures left open.

    The input is described once, in the form that the network computes with; `config` lists the others.
    """
    return {
        "name": name,
        "versions": [str(number) for number in sorted(versions)],
        "platform": PLATFORM,
        "inputs": [{"name": INPUT, "datatype": "FP32", "shape": [-1, *record.input_shape]}],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, len(record.classes)]}],
    }


def config(record: ModelRecord, name: str, most: int) -> dict[str, Any]:
    """Describe a model as NVIDIA's Triton does, of whose inputs one is sent; at most so many pictures at a time."""
    height, width, channels = record.input_shape
    forms = [
        (INPUT, "TYPE_FP32", "FORMAT_NHWC", [height, width, channels]),
        (INPUT_NCHW, "TYPE_FP32", "FORMAT_NCHW", [channels, height, width]),
    ]
    return {
        "name": name,
        "platform": PLATFORM,
        "backend": "convserve",
        "version_policy": {"all": {}},
        "max_batch_size": most,
        "input": [
            {"name": form, "data_type": kind, "format": order, "dims": dims, "optional": True}
            for form, kind, order, dims in forms
        ],
        "output": [{"name": OUTPUT, "data_type": "TYPE_FP32", "dims": [len(record.classes)]}],
        "parameters": {"labels": {"string_value": "\n".join(record.classes)}},
    }


def index_entry(record: ModelRecord) -> dict[str, Any]:
    """Describe a model in the index. Each can be asked: one that is not in memory is loaded by the first request."""
    return {"name": record.name, "version": str(record.version), "state": "READY", "reason": ""}


def statistics(record: ModelRecord, counts: Counts) -> dict[str, Any]:
    """Describe what a model has done for callers of this protocol since this process started."""

    def entry(count: int, seconds: float) -> dict[str, int]:
        return {"count": count, "ns": round(1e9 * seconds)}

    nothing = entry(0, 0.0)
    return {
        "name": record.name,
        "version": str(record.version),
        "last_inference": round(1000 * counts.last),
        "inference_count": counts.pictures,
        "execution_count": counts.requests,
        "inference_stats": {
            "success": entry(counts.requests, counts.seconds),
            "fail": entry(counts.failures, counts.failed_seconds),
            # it is not taken apart: these keys are here for clients that read them
            "queue": nothing,
            "compute_input": nothing,
            "compute_infer": nothing,
            "compute_output": nothing,
            "cache_hit": nothing,
            "cache_miss": nothing,
        },
        "batch_stats": [],
        "memory_usage": [],
    }
