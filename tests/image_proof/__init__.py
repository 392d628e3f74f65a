"""What `make image-proof` does: the image is built without an engine, looked at, and run in a chroot."""
