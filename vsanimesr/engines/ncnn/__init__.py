"""The network on ncnn."""
