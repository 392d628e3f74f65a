"""Stock clients of the Open Inference Protocol, unchanged, each in an environment of its own: `make interop`."""
