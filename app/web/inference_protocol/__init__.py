"""The Open Inference Protocol (V2): tensors in bodies, in and out, and what it says about models."""
