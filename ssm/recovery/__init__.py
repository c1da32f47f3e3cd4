"""Backing up and restoring SSM itself: the database as one file, read back and compared before it is believed.

No program of PostgreSQL is needed, and the file fits every version of it: the schema comes from the migrations that
were applied, the rows are PostgreSQL's own text copies.
"""
