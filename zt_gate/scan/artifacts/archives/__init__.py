"""Archives and compressed streams: what holds other files."""
