"""What a release would have installed beside it: requirement files, environments, lock files, without a network."""
