#!/bin/sh
# Hear it while it is made. Of a WAV, ffplay would take some seconds before it begins; headerless samples it plays at once.
#   sh ffplay.sh "你好，很高兴认识你。" http://localhost:50000
set -eu
text=${1:-你好，很高兴认识你。}
url=${2:-http://localhost:50000}
url=${url%/}

curl --fail --silent --show-error --no-buffer --get --data-urlencode "text=$text" --data format=pcm --data sample_rate=24000 \
  "$url/synthesize/stream" |
  ffplay -nodisp -autoexit -loglevel error -f s16le -sample_rate 24000 -probesize 32 -
