# Levels in ANSI colours, and a traceback now and then.
colour() { printf '\033[%sm' "$1"; }
green=$(colour 32); yellow=$(colour 33); red=$(colour 31); cyan=$(colour '1;36'); faint=$(colour 2); plain=$(colour 0)
echo "${cyan}worker $VERSION ready${plain}, 4 threads, queues: mail, invoices, images"
while :; do
  i=$((i + 1)); job=$(pick SendReceipt BuildInvoice ResizeImage SyncStock)
  echo "$(now) ${green}INFO ${plain} ${cyan}$job${plain} ${faint}#$i${plain} done in 0.$((RANDOM % 900 + 50)) s"
  if [ "$(below 9)" = 0 ]; then
    echo "$(now) ${yellow}WARN ${plain} queue mail holds $((RANDOM % 90 + 100)) jobs"
  fi
  if [ "$(below 25)" = 0 ]; then
    echo "$(now) ${red}ERROR${plain} ${cyan}SendReceipt${plain} ${faint}#$i${plain} failed, try 1 of 5" >&2
    printf '  File "/app/jobs/mail.py", line 41, in send\n    server.login(user, password)\n' >&2
    echo "${red}ConnectionRefusedError${plain}: [Errno 111] mail.shop.example:587" >&2
  fi
  pause "$(pick 0.7 1.2 2)"
done
