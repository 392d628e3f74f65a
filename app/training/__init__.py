"""One training step, taken apart: what a request asks for, checked, and the step."""
