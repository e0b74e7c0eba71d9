import subprocess
import sys

HEAVY = [
    "torch",
    "starlette",
    "uvicorn",
    "sse_starlette",
    "onnxruntime",
    "soxr",
    "cosystream.engines",
    "cosystream.web",
]


def test_the_client_comes_without_torch_and_without_a_web_framework() -> None:
    program = f"import sys, cosystream.client; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_importing_it_begins_nothing() -> None:
    program = "import threading, cosystream.client; print(threading.active_count())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "1"
