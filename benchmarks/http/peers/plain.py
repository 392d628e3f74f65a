"""The simplest peer of the service: FastAPI and ONNX Runtime, `python -P plain.py PORT MODEL.onnx`.

`POST /predict` takes one picture and answers with three labels. Needs fastapi, onnxruntime, pillow, uvicorn with uvloop
and httptools, and nothing of ours.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, Request
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

    uvicorn.run(service, port=int(sys.argv[1]), log_level="warning")


main()
