"""MLflow: the verdict enforced where models are promoted. Imported only when MLflow or a verb asks for it."""
