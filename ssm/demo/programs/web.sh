# An access log in the combined format, with a client error now and then.
serve
while :; do
  path=$(pick / /products /products/teapot /products/lamp /cart /checkout /static/app.css '/search?q=lamp')
  status=$(pick 200 200 200 200 200 200 304 302 404)
  stamp=$(date -u '+%d/%b/%Y:%H:%M:%S +0000')
  echo "10.0.0.$(below 250) - - [$stamp] \"GET $path HTTP/1.1\" $status $(below 9000) \"-\" \"Mozilla/5.0\""
  pause "$(pick 0.3 0.8 1.5 2)"
done
