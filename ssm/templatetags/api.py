"""How the description of the API shows text that was written for readers of OpenAPI."""

import re
from typing import Final

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

register = template.Library()
_CODE: Final = re.compile(r"`{1,2}([^`]+)`{1,2}")


@register.filter
def coded(text: str) -> SafeString:
    """The text with what stands between backticks as code; everything escaped."""
    pieces = _CODE.split(text)
    wrapped = [("<code>", "</code>") if place % 2 else ("", "") for place in range(len(pieces))]
    rows = [
        (SafeString(before), piece, SafeString(after)) for (before, after), piece in zip(wrapped, pieces, strict=True)
    ]
    return format_html_join("", "{}{}{}", rows)
