# One JSON object a line; errors go to standard error.
say() { printf '{"time":"%s","level":"%s","message":"%s",%s}\n' "$(now)" "$1" "$2" "$3"; }
while :; do
  i=$((i + 1)); order=$((RANDOM % 9000 + 1000)); ms=$((RANDOM % 180 + 3))
  case $(below 12) in
    0) say warn "slow query" "\"table\":\"orders\",\"ms\":$((ms * 9))" ;;
    1) say error "payment declined" "\"order\":$order,\"code\":\"card_expired\",\"request\":\"req-$i\"" >&2 ;;
    2) say debug "cache miss" "\"key\":\"product:$(below 500)\"" ;;
    *) say info "order placed" "\"order\":$order,\"ms\":$ms,\"request\":\"req-$i\"" ;;
  esac
  pause "$(pick 0.4 1 1.6)"
done
