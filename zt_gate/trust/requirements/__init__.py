"""One file per requirement of a stage: how verified statements meet it."""
