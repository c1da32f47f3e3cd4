"""Rules about people, without I/O."""
