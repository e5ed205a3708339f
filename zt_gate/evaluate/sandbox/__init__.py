"""A process in which a model may be loaded: confined by the kernel, watched by its parent, believed by nobody."""
