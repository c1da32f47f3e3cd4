"""What browsers and programs call themselves, in words."""

import pytest

from ssm.accounts.rules.user_agents import user_agent_in_words

_CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (_CHROME.format("X11; Linux x86_64"), "Chrome 126 on Linux"),
        (_CHROME.format("Windows NT 10.0; Win64; x64"), "Chrome 126 on Windows"),
        (_CHROME.format("Linux; Android 10; K"), "Chrome 126 on Android"),
        (_CHROME.format("X11; CrOS x86_64 14541.0.0"), "Chrome 126 on ChromeOS"),
        (_CHROME.format("Windows NT 10.0; Win64; x64") + " Edg/126.0.0.0", "Edge 126 on Windows"),
        (_CHROME.format("Macintosh; Intel Mac OS X 10_15_7") + " OPR/111.0.0.0", "Opera 111 on macOS"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox 128 on Linux"),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
            "Safari/605.1.15",
            "Safari 17 on macOS",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/17.5 Mobile/15E148 Safari/604.1",
            "Safari 17 on iPhone",
        ),
        ("curl/8.5.0", "curl 8.5.0"),
        ("python-httpx/0.28.1", "python-httpx 0.28.1"),
        ("Mozilla/5.0", "Mozilla/5.0"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("x" * 300, "x" * 59 + "…"),
        ("", ""),
    ],
    ids=lambda value: value[-20:],
)
def test_user_agent_is_told_in_words(text: str, words: str) -> None:
    assert user_agent_in_words(text) == words
