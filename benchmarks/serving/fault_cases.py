"""What goes wrong around a server: each function does it to one and tells what happened."""

import asyncio
import json
import signal
import time
import zlib
from base64 import b64encode
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from benchmarks.serving.bombs import chunk, png
from benchmarks.serving.failing import SECRET
from benchmarks.serving.load import Question, questions
from benchmarks.serving.malformed import Seen, send_cases, send_pictures
from benchmarks.serving.process import Answer, Client, Served, is_same, request_bytes

UPLOAD_SECONDS = 2
TIMES = 20
"""A fault of one client is repeated so often."""

ASKED = questions(24, seed=7)
REFERENCE = ASKED[4]

Fault: TypeAlias = Callable[[Served], Awaitable[str]]


async def ask(served: Served, question: Question) -> Answer:
    """By a connection of its own."""
    client = Client(served.port)
    try:
        return await client.ask(question.path, question.body)
    finally:
        client.close()


async def ask_all(served: Served, asked: list[Question]) -> list[Answer | BaseException]:
    """At once; what breaks stands in its place."""
    return await asyncio.gather(*(ask(served, each) for each in asked), return_exceptions=True)


def told(answers: list[Answer | BaseException]) -> str:
    """How many of each status."""
    counted = Counter(
        str(each.status) if isinstance(each, Answer) else "connection ended" for each in answers
    )
    return ", ".join(f"{count} x {what}" for what, count in sorted(counted.items()))


async def send_and_leave(served: Served, content: bytes, wait: bytes = b"") -> None:
    """Sends what is given, waits for some bytes of the answer, hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(content)
    await writer.drain()
    if wait:
        await reader.readuntil(wait)
    writer.transport.abort()


async def hang_ups(served: Served, content: bytes, wait: bytes = b"") -> str:
    before = gone(served)
    for _ in range(TIMES):
        await send_and_leave(served, content, wait)
    until = time.monotonic() + 20
    while gone(served) - before < TIMES and time.monotonic() < until:
        await asyncio.sleep(0.1)
    return f"{TIMES} hung up; the log says client_gone {gone(served) - before} times"


def gone(served: Served) -> int:
    return sum(line.get("kind") == "client_gone" for line in served.lines())


async def mid_upload(served: Served) -> str:
    whole = request_bytes(REFERENCE.path, REFERENCE.body)
    return await hang_ups(served, whole[: len(whole) // 2])


async def before_first_token(served: Served) -> str:
    return await hang_ups(served, request_bytes(REFERENCE.path, REFERENCE.body))


async def mid_stream(served: Served) -> str:
    url = f"data:image/png;base64,{json.loads(REFERENCE.body)['image']}"
    parts = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "describe en"},
    ]
    chat = {"model": "nano", "messages": [{"role": "user", "content": parts}], "stream": True}
    chat |= {"temperature": 2.0, "seed": 1, "max_tokens": 200}  # long enough to be hung up on
    body = json.dumps(chat).encode()
    return await hang_ups(served, request_bytes("/v1/chat/completions", body), wait=b'"content":')


async def slow_bodies(served: Served) -> str:
    async def trickle() -> Answer:
        client, body = Client(served.port), REFERENCE.body
        head = request_bytes(REFERENCE.path, body)[: -len(body)]
        return await client.trickle(head, body, seconds=0.2)

    began = time.monotonic()
    answers = await asyncio.gather(*(trickle() for _ in range(TIMES)), return_exceptions=True)
    return f"{told(answers)}, after {time.monotonic() - began:.1f} s (--upload-timeout 2)"


async def slow_heads(served: Served) -> str:
    async def trickle() -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        began = time.monotonic()
        with suppress(OSError):
            while not reader.at_eof() and time.monotonic() - began < 60:
                writer.write(
                    b"GET /healthz HTTP/1.1\r\n" if time.monotonic() - began < 0.1 else b"x"
                )
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(100), 0.3)
        writer.close()
        return time.monotonic() - began

    seconds = await asyncio.gather(*(trickle() for _ in range(TIMES)))
    return f"{TIMES} connections closed after {min(seconds):.1f} to {max(seconds):.1f} s"


async def raises_once(served: Served) -> str:
    expected = await ask_all(served, ASKED[:8])
    asking = asyncio.ensure_future(ask_all(served, ASKED[:8]))
    served.process.send_signal(signal.SIGUSR1)
    answers = await asking
    right = sum(
        isinstance(each, Answer) and isinstance(first, Answer) and is_same(each, first)
        for each, first in zip(answers, expected, strict=True)
    )
    return f"8 requests: {told(answers)}; {right} as without the error (decoded anew, each alone)"


async def raises_always(served: Served) -> str:
    served.process.send_signal(signal.SIGUSR2)
    answers = await ask_all(served, ASKED[:8])
    served.process.send_signal(signal.SIGUSR2)
    everything = b"".join(each.content for each in answers if isinstance(each, Answer)).decode()
    logged = served.log.read_text()
    tells = [word for word in SECRET.split(": ") if word in everything or word in logged]
    return f"8 requests: {told(answers)}; the error's words in answers or log: {len(tells)}"


async def malformed(served: Served, number: int) -> str:
    seen = Seen()
    await asyncio.to_thread(send_cases, served, number // 2, seen)
    await send_pictures(served, number - seen.statuses.total(), seen)
    return f"{seen.statuses.total():,} bodies: {seen}"


async def bombs(served: Served) -> str:
    sound = png(16, 16, zlib.compress(bytes(16 * 49)))
    packed = zlib.compress(bytes(100 * 2**20))
    files = (
        png(50_000, 50_000, zlib.compress(bytes(10**6))),
        sound[:33] + chunk(b"zTXt", b"Comment\0\0" + packed) + sound[33:],
        sound[:33] + chunk(b"iCCP", b"p\0\0" + packed) + sound[33:],
        png(6_000, 6_000, zlib.compress(bytes(6_000 * 18_001))),
    )
    bodies = [json.dumps({"image": b64encode(each).decode()}).encode() for each in files]
    told_of = [await ask_all(served, [Question(*_OF_OCR, body)] * TIMES) for body in bodies]
    names = ("50,000 px square", "comment of 100 MiB", "profile of 100 MiB", "6,000 px square")
    return "; ".join(f"{name}: {told(each)}" for name, each in zip(names, told_of, strict=True))


_OF_OCR = (REFERENCE.request, REFERENCE.content, "/v1/ocr")


async def sigterm(served: Served) -> str:
    asking = asyncio.ensure_future(ask_all(served, ASKED))
    await asyncio.sleep(0.3)
    served.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.05)
    late = await ask_all(served, ASKED[:5])
    answers = await asking
    code = await asyncio.to_thread(served.process.wait, 60)
    return f"24 sent before: {told(answers)}; 5 that came after: {told(late)}; exit code {code}"


async def kill(served: Served) -> str:
    asking = asyncio.ensure_future(ask_all(served, ASKED))
    await asyncio.sleep(0.3)
    served.process.kill()
    answers = await asking
    await asyncio.to_thread(served.process.wait)
    return f"24 in hand: {told(answers)}"
