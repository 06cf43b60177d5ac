"""Fails on faust-streaming 0.15.3: a record that Kafka refused does not stop the commit."""

import asyncio
from types import SimpleNamespace
from typing import Any

from faust.topics import Topic


class Sent(asyncio.Future[Any]):
    """Stands for Faust's FutureMessage."""

    message = SimpleNamespace(
        channel=SimpleNamespace(get_topic_name=lambda: "changelog"), callback=None
    )


async def main() -> None:
    loop = asyncio.get_running_loop()
    refused, message = loop.create_future(), Sent()
    refused.set_exception(RuntimeError("record refused"))
    crashed: list[BaseException] = []

    async def crash(error: BaseException) -> None:
        crashed.append(error)

    app = SimpleNamespace(
        sensors=SimpleNamespace(on_send_error=lambda *_: None),
        crash=crash,
        _crash=crashed.append,
    )
    topic: Any = SimpleNamespace(app=app)
    Topic._on_published(topic, refused, message, producer=None, state=None)
    message.exception()
    await asyncio.sleep(0)
    assert crashed, "the record is logged and forgotten; the next commit passes over its input"


asyncio.run(main())
