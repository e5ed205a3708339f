"""Pickle streams: a symbolic machine, what they may import, and the fast roads through data."""
