"""CI files, read to prove one thing: nothing is deployed that the gate has not allowed."""
