"""Computation graphs, and the encodings that they are written in."""
