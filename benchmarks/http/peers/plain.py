"""The simplest peer of the service: FastAPI and ONNX Runtime, `python -P plain.py PORT MODEL.onnx`.

`POST /predict` takes one picture and answers with three labels. `POST /infer` takes the numbers (n, C, H, W) of float32
as they lie in memory, and answers with probabilities in the same way; `POST /v2/models/network/infer` does so with a
description in JSON before the numbers, by the Open Inference Protocol. Needs fastapi, onnxruntime, pillow, uvicorn with
uvloop and httptools, and nothing of ours.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, Request, Response
from PIL import Image


def main() -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(sys.argv[2], options)
    _, channels, height, width = session.get_inputs()[0].shape
    name, mode = session.get_inputs()[0].name, "L" if channels == 1 else "RGB"
    service = FastAPI()

    @service.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @service.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        image = Image.open(io.BytesIO(await request.body())).convert(mode)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        x = np.asarray(image, np.float32).reshape(1, height, width, channels).transpose(0, 3, 1, 2) / 255
        p = session.run(None, {name: x})[0][0]
        return {"top": [{"label": str(i), "probability": float(p[i])} for i in np.argsort(-p)[:3]]}

    @service.post("/infer")
    async def infer(request: Request) -> Response:
        x = np.frombuffer(await request.body(), np.float32).reshape(-1, channels, height, width)
        return Response(session.run(None, {name: x})[0].tobytes(), media_type="application/octet-stream")

    @service.post("/v2/models/network/infer")
    async def infer_described(request: Request) -> Response:
        body, size = await request.body(), int(request.headers["inference-header-content-length"])
        (given,) = json.loads(body[:size])["inputs"]
        x = np.frombuffer(body[size:], np.float32).reshape(given["shape"])
        p = session.run(None, {name: x})[0]
        output = {"name": "output", "datatype": "FP32", "shape": p.shape}
        output |= {"parameters": {"binary_data_size": p.nbytes}}
        head = json.dumps({"model_name": "network", "outputs": [output]}).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        return Response(head + p.tobytes(), headers=headers, media_type="application/octet-stream")

    uvicorn.run(service, port=int(sys.argv[1]), log_level="warning")


main()
