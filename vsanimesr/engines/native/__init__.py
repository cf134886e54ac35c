"""The network on this package's own kernels."""
