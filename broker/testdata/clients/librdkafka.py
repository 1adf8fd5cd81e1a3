"""librdkafka against a broker: usage librdkafka.py HOST:PORT RECORDS

Produces with every codec, idempotently, to a topic for each; two members of a KIP-848 group, which subscribe to a pattern, share the topics,
and one of them leaves; then a transaction copies records, with its offsets, for a reader of committed data. Prints what it counted.
"""

import sys
import threading
import time

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

address, total = sys.argv[1], int(sys.argv[2])
codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
patience = 120  # seconds
batch = 200  # records that a member asks for at once


def produce():
    admin = AdminClient({"bootstrap.servers": address})
    topics = [NewTopic("from-" + codec, 2, 1) for codec in codecs] + [NewTopic("to", 1, 1)]
    for created in admin.create_topics(topics).values():
        created.result()
    for i, codec in enumerate(codecs):
        p = Producer({"bootstrap.servers": address, "compression.type": codec, "enable.idempotence": True, "linger.ms": 5,
                      "queue.buffering.max.messages": total})
        for n in range(i * total // 5, (i + 1) * total // 5):
            p.produce("from-" + codec, key=str(n), value="v%d" % n)
            if n % 1000 == 0:
                p.poll(0)
        assert p.flush(patience) == 0


class Member(threading.Thread):
    """A member of group "shared" that ends after so many records, or when it is told to."""

    def __init__(self, seen, most=None):
        super().__init__()
        self.seen, self.most, self.count, self.end, self.error = seen, most, 0, threading.Event(), None

    def run(self):
        c = Consumer({"bootstrap.servers": address, "group.id": "shared", "group.protocol": "consumer", "auto.offset.reset": "earliest",
                      "auto.commit.interval.ms": 100})
        c.subscribe(["^from-.*"])
        while not self.end.is_set() and not (self.most and self.count >= self.most):
            for m in c.consume(batch, 0.2):
                if m.error():
                    self.error = m.error()
                    continue
                v = m.value().decode()
                self.seen[v] = self.seen.get(v, 0) + 1
                self.count += 1
        c.close()


def share():
    seen = {}
    one, two = Member(seen, total // 5), Member(seen)
    one.start()
    two.start()
    deadline = time.time() + patience
    while len(seen) < total and time.time() < deadline:
        time.sleep(0.05)
    two.end.set()
    one.end.set()
    one.join()
    two.join()
    assert not one.error and not two.error, (one.error, two.error)
    # What a member has not committed when a partition leaves it is read again. Two members that had partitions at once would read most of
    # the records twice.
    twice = sum(1 for n in seen.values() if n > 1)
    print("consumed", len(seen), "many twice", twice > total // 5, "both", one.count > 0 and two.count > 0)


def copy():
    p = Producer({"bootstrap.servers": address, "transactional.id": "copier"})
    p.init_transactions()
    c = Consumer({"bootstrap.servers": address, "group.id": "copiers", "group.protocol": "consumer", "auto.offset.reset": "earliest",
                  "enable.auto.commit": False})
    c.subscribe(["from-zstd"])
    copied, deadline = 0, time.time() + patience
    while copied < total // 5 and time.time() < deadline:
        messages = c.consume(1000, 1.0)
        if not messages:
            continue
        p.begin_transaction()
        for m in messages:
            p.produce("to", key=m.key(), value=m.value())
        p.send_offsets_to_transaction(c.position(c.assignment()), c.consumer_group_metadata())
        p.commit_transaction()
        copied += len(messages)
    c.close()
    p.begin_transaction()
    p.produce("to", value="aborted")
    p.flush(patience)
    p.abort_transaction()
    r = Consumer({"bootstrap.servers": address, "group.id": "readers", "auto.offset.reset": "earliest", "isolation.level": "read_committed",
                  "enable.partition.eof": True})
    r.subscribe(["to"])
    read, aborted, ended = 0, 0, False
    while not ended and time.time() < deadline:
        for m in r.consume(1000, 0.5):
            if m.error():  # the end of the partition
                ended = True
            elif m.value() == b"aborted":
                aborted += 1
            else:
                read += 1
    r.close()
    print("copied", copied, "read", read, "aborted", aborted)


produce()
share()
copy()
