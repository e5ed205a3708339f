"""Text formats, and templates in them."""
