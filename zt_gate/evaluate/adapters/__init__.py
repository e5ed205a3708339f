"""Models of many kinds behind one interface."""
