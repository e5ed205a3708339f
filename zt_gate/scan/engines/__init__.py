"""Other people's scanners, run in a child process as second opinions that may only raise risk."""

ENGINES = ("modelscan", "picklescan", "fickling", "modelaudit", "unpickler")
"""Second opinions, by check id: other people's scanners, and CPython's own unpickler."""
