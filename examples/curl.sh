#!/bin/sh
# Show the events as they come; then bring a whole WAV.
#   sh curl.sh "你好，很高兴认识你。" http://localhost:50000
set -eu
text=${1:-你好，很高兴认识你。}
url=${2:-http://localhost:50000}
url=${url%/}

curl --fail-with-body --silent --show-error --no-buffer --get --data-urlencode "text=$text" "$url/synthesize/stream" |
  cut -c 1-120

curl --fail-with-body --silent --show-error --data-urlencode "text=$text" -o curl.wav "$url/synthesize_complete"
ls -l curl.wav
