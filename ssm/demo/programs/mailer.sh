# A mail server's log, some messages deferred.
while :; do
  id=$(printf '%04X%04X' "$RANDOM" "$RANDOM"); status=$(pick sent sent sent sent deferred)
  echo "postfix/smtp[$(below 99)]: $id: to=<customer$(below 900)@example.com>, delay=0.$(below 9), status=$status"
  pause "$(pick 2 4 6)"
done
