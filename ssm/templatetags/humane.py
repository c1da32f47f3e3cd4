"""How the status page writes figures."""

from django import template

register = template.Library()


@register.filter
def skew(seconds: float) -> str:
    """How far a clock is off, with its direction: ``+0.2 s``; what is below a tenth is no difference."""
    return "±0 s" if abs(seconds) < 0.1 else f"{seconds:+.1f} s"


@register.filter
def thousands(number: int) -> str:
    """A count with commas between thousands."""
    return f"{number:,}"
