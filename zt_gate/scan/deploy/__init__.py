"""Serving and mesh manifests: what surrounds a model once it is deployed."""
