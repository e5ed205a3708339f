"""Python files and notebooks of a release: read as syntax trees, never imported and never executed."""
