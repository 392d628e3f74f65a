"""One way for a prediction: from bytes to an answer, without any word of HTTP."""
