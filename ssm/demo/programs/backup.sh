# Ends well after a few lines, as a nightly job does.
echo "$(now) INFO backup of /data started"
for part in posts media settings; do
  pause 1
  echo "$(now) INFO $part: $((RANDOM % 900 + 100)) files, $(below 100) % unchanged"
done
echo "$(now) INFO backup finished, 1 snapshot added, 0 errors"
