"""The command line: SSM's API for people at a terminal and for scripts. Starts without Django; needs click alone."""
