"""Forms that are more than one field: what they show, and what is known that speaks against their values."""
