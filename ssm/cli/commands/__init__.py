"""The commands, by what they are about. Each module adds its own by `add_to`."""
