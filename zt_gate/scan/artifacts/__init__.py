"""Model files, archives and the text around them, examined by content and without the libraries that load them."""

from zt_gate.scan.artifacts.check import ArtifactCheck

__all__ = ["ArtifactCheck"]
