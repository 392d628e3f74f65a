"""What flows along the edges of an ONNX graph while it is taken apart, and the layers that come of it."""
