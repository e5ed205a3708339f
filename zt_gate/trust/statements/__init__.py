"""The statements that the gate writes and reads: in-toto, VSA, tickets, bills of materials."""
