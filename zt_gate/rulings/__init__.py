"""Pure functions from raw numbers to a ruling; runner and gate call the same code."""
