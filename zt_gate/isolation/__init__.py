"""Hostile work in processes that may crash, hang or flood: limited, watched, killed with their process group, reaped.

`fork` runs a function in a fork of this process, `child_process` a module in a fresh interpreter (`serve` is its
child side). Both use `limits` in the child and `supervise` in the parent.
"""
