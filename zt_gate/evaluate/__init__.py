"""The producer's side: load a model in a sandbox, attack it, and state what was measured.

Nothing in here is ever imported by the process that decides. It runs elsewhere, on a runner that nobody trusts, and
speaks to the gate through signed statements.
"""
