"""The chat protocol of OpenAI's HTTP API, as far as a picture and a question need it: requests and answers as values.

Spoken by vLLM, llama.cpp, Ollama, LM Studio and the clouds: `POST {url}/chat/completions` with `image_url` parts.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from streamproc import PluginError
from streamproc.errors import redact

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP status codes after which the same request may work"""
_SHOWN = 200


def request_body(model: str, prompt: str, jpegs: Sequence[bytes], max_tokens: int) -> dict[str, Any]:
    """The JSON of a question about pictures (JPEG files, in order of time); temperature 0."""
    pictures = [
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(data).decode()}}
        for data in jpegs
    ]
    content = [{"type": "text", "text": prompt}, *pictures]
    return {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "seed": 0,
        "stream": False,
    }


def answer_text(body: bytes) -> str:
    """The text of an answer, white space evened out; `PluginError` quotes any other answer."""
    try:
        answer = json.loads(body)
        text = answer["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise PluginError(
            f"the answer isn't a chat completion: {_excerpt(body)}; is `url` the address of the API, such as "
            "http://localhost:8000/v1?"
        ) from None
    if isinstance(text, list):  # some servers answer in parts
        text = " ".join(str(part.get("text", "")) for part in text if isinstance(part, dict))
    if not isinstance(text, str) or not text.strip():
        raise PluginError(f"the model answered no text: {_excerpt(body)}; allow more `max_tokens`, or change `prompt`")
    return " ".join(text.split())


def refusal(status: int, body: bytes) -> PluginError:
    """Meaning of an HTTP error and advice."""
    advice = {
        400: "the server doesn't take this request; is the model one for pictures?",
        401: "set `api_key`",
        403: "the key doesn't allow this",
        404: "check `url` and `model`",
        429: "lower `per_minute`, or ask less often (`every`)",
    }.get(status, "read the server's own log")
    return PluginError(f"the server answered {status}: {_excerpt(body)}; {advice}")


def _excerpt(body: bytes) -> str:
    text = " ".join(redact(body[: 4 * _SHOWN].decode("utf-8", "replace")).split())
    return repr(text[:_SHOWN] + ("..." if len(text) > _SHOWN else ""))
