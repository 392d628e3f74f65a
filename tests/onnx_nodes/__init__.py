"""The node tests of the onnx package, by imported networks: `python -m tests.onnx_nodes` writes their table."""
