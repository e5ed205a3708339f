"""Formats that hold numbers and next to no program: tensors, tables, trees."""
