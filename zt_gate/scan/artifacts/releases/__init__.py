"""Folders that are read as one program: MLflow models, Hugging Face repositories, skops files."""
