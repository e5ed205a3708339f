"""One strict reader per notation: what two programs could read differently is refused, and every cost is bounded."""
