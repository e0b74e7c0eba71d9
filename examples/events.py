"""Read the events as they come, with nothing but httpx, and write events.wav.

.venv/bin/python examples/events.py "你好，很高兴认识你。" http://localhost:50000
"""

import json
import sys
import wave

import httpx

TEXT = sys.argv[1] if len(sys.argv) > 1 else "你好，很高兴认识你。"
URL = sys.argv[2].rstrip("/") if len(sys.argv) > 2 else "http://localhost:50000"

event, rate, pcm = "", 0, b""
with httpx.stream("POST", f"{URL}/synthesize/stream", json={"text": TEXT}, timeout=30) as answer:
    if answer.status_code != 200:
        sys.exit(answer.read().decode())
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            data = json.loads(value)
            if event == "start":
                rate = data["sample_rate"]
            elif event == "audio":
                pcm += bytes.fromhex(data.pop("audio"))
            print(event, data)
if event != "done":
    sys.exit("the stream did not come to its end")
with wave.open("events.wav", "wb") as file:
    file.setparams((1, 2, rate, 0, "NONE", ""))
    file.writeframes(pcm)
