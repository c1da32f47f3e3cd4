# Paused by the demo once it runs.
while :; do
  echo "ts=$(now) level=info msg=\"evaluated $((RANDOM % 20 + 30)) rules\" firing=$(below 3)"
  pause 2
done
