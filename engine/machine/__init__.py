"""What this machine computes how quickly: measured once, and asked when kernels are chosen."""
