# A database server's log, on standard error as those write it.
say() { echo "$(date -u '+%Y-%m-%d %H:%M:%S UTC') [$1] $2:  $3" >&2; }
say 1 LOG "database system is ready to accept connections"
while :; do
  i=$((i + 1)); backend=$((RANDOM % 900 + 100))
  case $(below 4) in
    0) say 27 LOG "checkpoint complete: wrote $((RANDOM % 400 + 20)) buffers; sync=0.00$(below 9) s" ;;
    1) say "$backend" LOG "duration: $((RANDOM % 700 + 250)) ms  statement: SELECT * FROM orders WHERE id = $i" ;;
    2) say "$backend" ERROR "duplicate key value violates unique constraint \"customers_email\"" ;;
    *) say 61 LOG "automatic vacuum of table \"public.sessions\": index scans: 1" ;;
  esac
  pause "$(pick 3 5 8)"
done
