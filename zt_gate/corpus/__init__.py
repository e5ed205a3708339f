"""Hostile constructs that prove the scanner: every published class of bypass, made at run time and inert."""
