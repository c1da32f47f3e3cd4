# logfmt, as many Go programs write it.
serve
while :; do
  case $(below 8) in
    0) echo "ts=$(now) level=warn msg=\"scrape slow\" target=lagoon:9100 duration=$((RANDOM % 5 + 2)).1s" ;;
    1) echo "ts=$(now) level=debug msg=\"head truncated\" series=$((RANDOM * 3))" ;;
    *) echo "ts=$(now) level=info msg=\"scrape done\" target=$(pick harbor lagoon summit):9100 samples=$(below 900)" ;;
  esac
  pause "$(pick 1 2 3)"
done
