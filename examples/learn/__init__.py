"""Convolutional networks from the first filter on, a script for each section, by calls to the service.

`python -m examples.learn.padding` starts a service, makes the calls of one section and prints what was answered;
with an address at the end it asks that service. `make docs` makes the pages in docs/learn of the same calls: the
prose is in the `.md.in` file beside each script.
"""
