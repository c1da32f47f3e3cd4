# Plain lines with a level in brackets.
serve
while :; do
  case $(below 9) in
    0) echo "[$(now)] WARN Comment held back: looks like spam (score 0.$(below 90))" ;;
    1) echo "[$(now)] INFO Member signed up: reader-$(below 900)@example.com" ;;
    *) echo "[$(now)] INFO \"GET /$(pick hello-world summer-news how-we-ship rss about)/\" 200 $(below 90)ms" ;;
  esac
  pause "$(pick 1 2 3)"
done
