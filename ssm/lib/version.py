"""The version of SSM; packaging reads it in pyproject.toml, where the same stands."""

from typing import Final

VERSION: Final = "0.1.0"
