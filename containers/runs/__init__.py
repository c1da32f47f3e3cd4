"""Long acts on hosts, one module a subject: each takes a `Run`, performs it step by step and survives its worker's end.

A run is called again after a crash, with what it had noted (`Run.journal`): it looks at the host and goes on or undoes.
"""
