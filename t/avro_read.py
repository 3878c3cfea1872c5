"""avro_read.py fastavro|confluent BROKERS REGISTRY TOPIC

Prints each committed record of a topic, decoded through the registry by one of two
readers that know nothing of leat, as a line of JSON: bytes in base64, decimals as
text, dates and times as ISO text.
"""
import base64
import datetime
import decimal
import io
import json
import sys
import urllib.request

import fastavro
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

schemas = {}


def by_fastavro(registry, topic, part, data):
    assert data[0] == 0, "no magic byte"
    number = int.from_bytes(data[1:5], "big")
    if number not in schemas:
        with urllib.request.urlopen("%s/schemas/ids/%d" % (registry, number)) as answer:
            schemas[number] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
    body = io.BytesIO(data[5:])
    value = fastavro.schemaless_reader(body, schemas[number])
    assert not body.read(), "bytes are left"
    return value


def by_confluent(registry, topic, part, data):
    if registry not in schemas:
        schemas[registry] = AvroDeserializer(SchemaRegistryClient({"url": registry}))
    return schemas[registry](data, SerializationContext(topic, part))


def plain(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, (datetime.date, datetime.time, datetime.datetime)):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def records(brokers, topic):
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "none", "enable.auto.commit": False,
                         "isolation.level": "read_committed", "enable.partition.eof": True})
    partitions = consumer.list_topics(topic, 30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
    left = set(partitions)
    while left:
        message = consumer.poll(60)
        if message is None:
            raise SystemExit("nothing for a minute")
        if message.error() is None:
            yield message
        elif message.error().code() == KafkaError._PARTITION_EOF:
            left.discard(message.partition())
        else:
            raise SystemExit(str(message.error()))
    consumer.close()


def main(reader, brokers, registry, topic):
    decode = {"fastavro": by_fastavro, "confluent": by_confluent}[reader]
    for message in records(brokers, topic):
        line = {"partition": message.partition(), "offset": message.offset()}
        for part, data in ((MessageField.KEY, message.key()), (MessageField.VALUE, message.value())):
            line[str(part)] = None if data is None else plain(decode(registry, topic, part, data))
        print(json.dumps(line))


main(*sys.argv[1:])
