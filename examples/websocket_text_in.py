"""Speak a text while it is still being written, as a language model writes it: to websocket_text_in.wav.

.venv/bin/python examples/websocket_text_in.py "你好，很高兴认识你。" http://localhost:50000
"""

import asyncio
import json
import re
import sys
import wave

from websockets.asyncio.client import ClientConnection, connect

TEXT = sys.argv[1] if len(sys.argv) > 1 else "你好，很高兴认识你。Nice to meet you! 今天是2026年。"
URL = sys.argv[2].rstrip("/") if len(sys.argv) > 2 else "http://localhost:50000"


async def write(socket: ClientConnection) -> None:
    for piece in re.findall(r"\w+|\W+", TEXT):  # a model's tokens
        await socket.send(json.dumps({"type": "text", "context": "c1", "text": piece}))
        await asyncio.sleep(0.03)
    await socket.send(json.dumps({"type": "end", "context": "c1"}))


async def speak() -> None:
    async with connect(URL.replace("http", "ws", 1) + "/v1/stream") as socket:
        await socket.send(json.dumps({"type": "start", "context": "c1", "seed": 7}))
        writing = asyncio.create_task(write(socket))
        pcm, sample_rate = b"", 0
        async for message in socket:
            if isinstance(message, bytes):  # the samples that the message before it has announced
                pcm += message
                continue
            said = json.loads(message)
            print(said)
            if said["type"] == "started":
                sample_rate = said["sample_rate"]
            elif said["type"] == "error":
                sys.exit(said["error"]["message"])
            elif said["type"] == "done":
                break
        await writing
    with wave.open("websocket_text_in.wav", "wb") as file:
        file.setparams((1, 2, sample_rate, 0, "NONE", ""))
        file.writeframes(pcm)


asyncio.run(speak())
