# Killed by the demo in the middle of its work: exit status 137.
while :; do
  i=$((i + 1))
  echo "$(now) INFO resized product-$i.jpg to 320x320"
  pause 0.2
done
