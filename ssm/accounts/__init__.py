"""People: their roles, their ways in, and the record of what they did."""
