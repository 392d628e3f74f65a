"""Networks as graphs of layers: their specification, shapes, costs and plain execution."""
