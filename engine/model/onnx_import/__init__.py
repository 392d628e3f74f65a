"""Networks that come as ONNX files, made of our layers."""
