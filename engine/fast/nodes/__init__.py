"""A batch over several machines: the first one runs the training loop, the others compute gradients for it."""
