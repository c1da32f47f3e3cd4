# Waits for nodes that never come; its healthcheck fails.
echo "[$(now)][INFO ][node] starting, version $VERSION"
while :; do
  echo "[$(now)][WARN ][cluster] no elected master, waiting for 2 of 3 nodes"
  if [ "$(below 5)" = 0 ]; then echo "[$(now)][ERROR][index] shard posts-0 is not assigned"; fi
  pause 4
done
