"""The arithmetic of convolutional neural networks, in Python and NumPy and nothing else.

Three levels, each a reader of the one before: `ops` are pure functions on arrays, `layers` add
hyperparameters, a shape rule and weights, `network` puts layers into a graph. `training` and
`inference` run graphs. Nothing here knows of HTTP, of a database or of files of pictures.
"""
