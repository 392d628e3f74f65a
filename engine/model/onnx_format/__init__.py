"""ONNX files, written and read; the only package that knows the library of that name."""
