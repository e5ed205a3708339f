"""Other people's scanners, run in a child process as second opinions that may only raise risk."""
