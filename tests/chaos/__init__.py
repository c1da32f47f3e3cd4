"""Faults at random against the whole of SSM and real Docker hosts, while people use it.

    python -m tests.chaos --faults 20 --seed 1

The whole stack runs as `manage.py up` starts it, on a file system of its own that can be filled; its devices are hosts
of a test fleet, reached through links that can be cut, slowed and made lossy. A seed gives the same faults in the same
order. After each round the stack has to be whole again; at the end its books are compared with the hosts.
"""
