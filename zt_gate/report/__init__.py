"""What people and machines get to see: one report model, one file per format."""
