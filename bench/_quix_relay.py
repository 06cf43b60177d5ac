"""Run the relay of `bench.worker` in Quix Streams.

It is its own process, in a virtual environment that `make bench` makes from
`bench/requirements.lock`: its dependencies stay out of the product's lock. Relays a number of
records and prints the CPU seconds used, without imports.
"""

import argparse
import logging
import time

from quixstreams import Application

parser = argparse.ArgumentParser(description=__doc__)
for name in ("--kafka", "--group", "--source", "--target"):
    parser.add_argument(name, required=True)
for name in ("--records", "--linger-ms"):
    parser.add_argument(name, type=int, required=True)
parser.add_argument("--commit-interval", type=float, required=True)
asked = parser.parse_args()

began = time.process_time()
app = Application(
    broker_address=asked.kafka,
    consumer_group=asked.group,
    auto_offset_reset="earliest",
    auto_create_topics=False,
    commit_interval=asked.commit_interval,
    producer_extra_config={
        "linger.ms": asked.linger_ms,
        "enable.idempotence": True,
        "acks": "all",
    },
    loglevel=logging.WARNING,
)
as_bytes = {"key_deserializer": "bytes", "value_deserializer": "bytes"}
to_bytes = {"key_serializer": "bytes", "value_serializer": "bytes"}
stream = app.dataframe(app.topic(asked.source, **as_bytes))
stream.to_topic(app.topic(asked.target, **to_bytes))
app.run(count=asked.records)
print(time.process_time() - began)
