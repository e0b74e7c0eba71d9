"""Speak through cosystream's own client: chunk by chunk, and whole into client.wav.

.venv/bin/python examples/client.py "你好，很高兴认识你。" http://localhost:50000
"""

import sys

from cosystream.client import Client

TEXT = sys.argv[1] if len(sys.argv) > 1 else "你好，很高兴认识你。"
URL = sys.argv[2] if len(sys.argv) > 2 else "http://localhost:50000"

with Client(URL) as client:
    print("voices:", *(voice.name for voice in client.voices().voices))

    speech = client.stream(TEXT, seed=7)
    for chunk in speech:  # each is there as soon as it is made; a break would end the work on the server
        text = speech.sentence.text if speech.sentence else ""
        print(f"{chunk.offset_ms / 1000:6.2f} s: {chunk.num_samples} samples of {text}")
    print(speech.done)

    client.synthesize(TEXT, seed=7).save("client.wav")
