"""What runs in the fleet's containers: three demo images, and one image per behaviour that tests need."""

from tests.fleet.images import ImageRecipe

SECOND_NS = 1_000_000_000

CLOCK = ImageRecipe(
    "demo/clock",
    """#!/bin/sh
# one line every INTERVAL seconds
trap 'exit 0' TERM INT
i=0
while :; do
  i=$((i+1)); echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) clock $VERSION tick $i"
  sleep "${INTERVAL:-1}" & wait $!
done
""",
)

SPAM = ImageRecipe(
    "demo/spam",
    """#!/bin/sh
# COUNT lines as fast as possible (at most 5,000,000), then exit; HOLD=1 stays afterwards
trap 'exit 0' TERM INT
awk -v n="${COUNT:-100000}" 'BEGIN {
  if (n > 5000000) n = 5000000
  for (i = 1; i <= n; i++) print "spam line " i " of " n
}'
if [ "${HOLD:-0}" = 1 ]; then while :; do sleep 3600 & wait $!; done; fi
""",
)

WEB = ImageRecipe(
    "demo/web",
    """#!/bin/sh
mkdir -p /www; echo "<h1>demo/web $VERSION on $(hostname)</h1>" > /www/index.html; echo "$VERSION" > /www/version
httpd -f -p 80 -h /www & p=$!
trap 'kill $p; exit 0' TERM INT
echo "serving $VERSION"; wait $p
""",
    {
        "ExposedPorts": {"80/tcp": {}},
        "Healthcheck": {
            "Test": ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1/version"],
            "Interval": 30 * SECOND_NS,
            "Timeout": 5 * SECOND_NS,
            "Retries": 3,
        },
    },
)

DEMO_RECIPES = (CLOCK, SPAM, WEB)

HOSTILE = ImageRecipe(
    "test/hostile",
    r"""#!/bin/sh
# every kind of output that a log view must survive, ended by the line "hostile done" and by text without a newline
trap 'exit 0' TERM INT
printf '<script>document.title="pwned"</script><img src=x onerror=alert(1)>\n'
printf '&lt;b&gt; &amp; "quotes" %s {{ 7*7 }} {%% now "Y" %%}\n' "'single'"
printf '\033[31mred \033[1;44mbold on blue\033[0m plain \033[38;5;208m256 \033[38;2;1;2;3mtrue colour\033[0m\n'
printf '\033[2J\033[H\033[?25lscreen cleared\033[?25h\n'
printf '\033]0;stolen title\007after title\n'
printf '\033]8;;javascript:alert(1)\033\\link\033]8;;\033\\\n'
printf '\033[31mnever closed\n'
printf 'broken escape \033[9999999999999999999;;;m end\n'
printf 'invalid \377\376 \303\050 \355\240\200 utf-8\n'
printf 'nul \000 bell \007 backspace \010 delete \177 end\n'
printf 'carriage\rreturn\r\n'
printf 'right-to-left \342\200\256 override, zero\342\200\213width, emoji \360\237\220\263\n'
printf '\n   \n\t\n'
awk 'BEGIN { for (i = 0; i < 32768; i++) printf "0123456789abcdef0123456789ABCDEF"; print "" }'
echo 'to standard error <b>bold</b>' >&2
echo 'hostile done'
printf 'no newline at the end'
if [ "${HOLD:-0}" = 1 ]; then while :; do sleep 3600 & wait $!; done; fi
""",
)

TERMINAL = ImageRecipe(
    "test/terminal",
    r"""#!/bin/sh
# says whether it has a terminal, then ticks in colour
trap 'exit 0' TERM INT
if [ -t 1 ]; then echo "terminal yes"; else echo "terminal no"; fi
i=0
while :; do i=$((i+1)); printf '\033[32mtick %s\033[0m\n' "$i"; sleep "${INTERVAL:-1}" & wait $!; done
""",
)

STUBBORN = ImageRecipe(
    "test/stubborn",
    """#!/bin/sh
# ends by SIGKILL only
trap 'echo "SIGTERM ignored"' TERM INT HUP
echo "stubborn ready"
while :; do sleep 1 & wait $!; done
""",
)

HEALTH = ImageRecipe(
    "test/health",
    """#!/bin/sh
# healthy until the file /tmp/sick appears
trap 'exit 0' TERM INT
echo "health ready"
while :; do sleep 3600 & wait $!; done
""",
    {
        "Healthcheck": {
            "Test": ["CMD-SHELL", "test ! -e /tmp/sick || { echo '/tmp/sick is there'; exit 1; }"],
            "Interval": 1 * SECOND_NS,
            "Timeout": 2 * SECOND_NS,
            "Retries": 1,
        }
    },
)

EXIT = ImageRecipe(
    "test/exit",
    """#!/bin/sh
# ends with status CODE after DELAY seconds
trap 'exit 0' TERM INT
echo "leaving with ${CODE:-1} after ${DELAY:-0} s"
sleep "${DELAY:-0}" & wait $!
exit "${CODE:-1}"
""",
)

LINES = ImageRecipe(
    "test/lines",
    """#!/bin/sh
# COUNT numbered lines (at most 5,000,000) to STREAM stdout, stderr or both in turn; HOLD=1 stays afterwards
trap 'exit 0' TERM INT
write() {
  awk -v n="${COUNT:-1000}" -v stream="${STREAM:-stdout}" -v prefix="${PREFIX:-line}" 'BEGIN {
    if (n > 5000000) n = 5000000
    for (i = 1; i <= n; i++) {
      if (stream == "stderr" || (stream == "both" && i % 2 == 0)) print prefix " " i > "/dev/stderr"
      else print prefix " " i
      if (stream == "both") fflush()
    }
  }'
}
write
if [ "${HOLD:-0}" = 1 ]; then while :; do sleep 3600 & wait $!; done; fi
""",
)

TEST_RECIPES = (HOSTILE, TERMINAL, STUBBORN, HEALTH, EXIT, LINES)

RECIPES = {recipe.name: recipe for recipe in (*DEMO_RECIPES, *TEST_RECIPES)}
