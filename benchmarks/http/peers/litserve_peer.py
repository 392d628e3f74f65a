"""LitServe with ONNX Runtime, `python -P litserve_peer.py PORT MODEL.onnx`: one worker, batches of up to eight.

`POST /predict` takes JSON with a picture in base64 (`{"image": "..."}`), since LitServe reads JSON or forms, and
answers with three labels. What waits when the worker is free is its next batch (`batch_timeout` 0, the default).
"""

from __future__ import annotations

import base64
import io
import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime
from PIL import Image

BATCH = 8


class Classifier(litserve.LitAPI):
    """Decodes, predicts and names the labels in the worker."""

    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(sys.argv[2], options)
        _, self.channels, self.height, self.width = self.session.get_inputs()[0].shape
        self.name = self.session.get_inputs()[0].name

    # LitServe reads the annotation: without one it passes on the JSON
    def decode_request(self, request):  # type: ignore[no-untyped-def]
        image = Image.open(io.BytesIO(base64.b64decode(request["image"])))
        image = image.convert("L" if self.channels == 1 else "RGB")
        image = image.resize((self.width, self.height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image, np.float32).reshape(self.height, self.width, self.channels)
        return pixels.transpose(2, 0, 1) / 255

    def predict(self, x: Any) -> Any:
        return self.session.run(None, {self.name: x})[0]

    def encode_response(self, output: Any) -> dict[str, Any]:
        best = np.argsort(-output)[:3]
        return {"top": [{"label": str(i), "probability": float(output[i])} for i in best]}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(max_batch_size=BATCH), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
