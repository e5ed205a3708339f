"""Secrets that came with a release: found by their shape or by the word beside them, and never shown."""
