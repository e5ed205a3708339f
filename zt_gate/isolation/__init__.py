"""Hostile work in processes that may crash, hang or flood: limited, watched, killed with all they started, reaped.

`fork` runs a function in a fork of this process, `child_process` a module in a fresh interpreter (`serve` is its side
of the line). What both have in common is `limits`, the side of the child, and `supervise`, the side of the parent.
"""
