"""llama.cpp's own server, of the package xllamacpp, with a small model on 127.0.0.1, in a process of its own.

python tests/llama_server.py logical_models/gemma-3-270m-q4_k_m.gguf    # prints its address, ends with its input
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SLOTS, SLOT_TOKENS = 4, 4096
SECONDS = 60


@contextmanager
def running(model: Path) -> Iterator[str]:
    """The address of the server, as API.BASE_URL has it."""
    command = [sys.executable, __file__, str(model)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin and process.stdout
    try:
        yield f"{process.stdout.readline().strip()}/v1"
    finally:
        process.stdin.close()
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        process.stdout.close()


def serve(model: str) -> None:
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = model
    settings.n_parallel, settings.n_ctx, settings.kv_unified = SLOTS, SLOTS * SLOT_TOKENS, False
    # Not all of them: threads that wait for each other where another process has a core are slower by far.
    threads = max(1, len(os.sched_getaffinity(0)) - 1)
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.port, settings.warmup, settings.verbosity = 0, False, -1
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    os._exit(0)  # the server's own threads would keep the process


if __name__ == "__main__":
    serve(sys.argv[1])
