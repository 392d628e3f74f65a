"""A runtime of MLServer around ONNX Runtime; `benchmarks/http/sides.py` writes the settings that name it.

`POST /v2/models/network/infer` takes a picture in base64 by the Open Inference Protocol and answers with the labels and
probabilities of the best three.
"""

from __future__ import annotations

import io

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from PIL import Image


class Classifier(MLModel):
    """Decodes and predicts on the event loop: a network that is cheap is served fastest so."""

    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri, options)
        _, self.channels, self.height, self.width = self.session.get_inputs()[0].shape
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        (data,) = Base64Codec.decode_input(payload.inputs[0])
        image = Image.open(io.BytesIO(data)).convert("L" if self.channels == 1 else "RGB")
        image = image.resize((self.width, self.height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image, np.float32).reshape(1, self.height, self.width, self.channels)
        name = self.session.get_inputs()[0].name
        p = self.session.run(None, {name: pixels.transpose(0, 3, 1, 2) / 255})[0][0]
        best = np.argsort(-p)[:3]
        outputs = [
            StringCodec.encode_output("labels", [str(i) for i in best], use_bytes=False),
            NumpyCodec.encode_output("probabilities", p[best]),
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
