"""Container logs, from the Engine over SSH to any number of readers.

`hub` keeps one `upstream` per container and process, which fills one `ring`; each `viewer` reads from that ring
at its own pace. `history` reads pages and whole logs that nobody follows.
"""
