"""How fast Python reads the same events in other formats than JSON without schemas.

    .venv/bin/python benchmarks/wire_format.py [--events 100000] [--rounds 3]

The events are Debezium's, of inserts into the table of ten mixed columns, taken from a topic of JSON with schemas; in
every other format they are written again, with the schema that stands in the event (Avro, Protobuf) or without one. To
read an event is to have its row as a dict. Each format's rows are compared with those of the JSON before it counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import bench
import fastavro  # pyright: ignore[reportMissingImports] (of the extra `bench`)
import msgpack  # pyright: ignore[reportMissingImports] (of the extra `bench`)
import msgspec
import orjson  # pyright: ignore[reportMissingImports] (of the extra `bench`)
import ormsgpack  # pyright: ignore[reportMissingImports] (of the extra `bench`)
import results
from confluent_kafka import Consumer, TopicPartition
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from sink import others_of, remove_connector, remove_topics, source_config
from workloads import inserts

from cdc_pipeline.capture.connect_api import ConnectApi
from cdc_pipeline.config.endpoints import Connect as ConnectEndpoint

NAME = "bench_wire"
Row = dict[str, Any]
SCALARS = {
    "int8": "int", "int16": "int", "int32": "int", "int64": "long", "boolean": "boolean", "string": "string",
    "float": "float", "double": "double",
}  # fmt: skip
FIELD = descriptor_pb2.FieldDescriptorProto
NUMBERS = {
    "int": FIELD.TYPE_INT32, "long": FIELD.TYPE_INT64, "boolean": FIELD.TYPE_BOOL, "string": FIELD.TYPE_STRING,
    "float": FIELD.TYPE_FLOAT, "double": FIELD.TYPE_DOUBLE,
}  # fmt: skip


@dataclass(frozen=True)
class Format:
    name: str
    write: Callable[[Row], bytes]
    read: Callable[[bytes], Row]


def avro(schema: dict) -> Format:
    parsed = fastavro.parse_schema(avro_schema(schema, "Event"))

    def write(event: Row) -> bytes:
        stream = BytesIO()
        fastavro.schemaless_writer(stream, parsed, event)
        return stream.getvalue()

    return Format("Avro, fastavro", write, lambda value: _row(fastavro.schemaless_reader(BytesIO(value), parsed, None)))


def avro_schema(schema: dict, name: str) -> Any:
    """A type of Connect's, as Avro has it; `name` is the record's, unique within the schema."""
    if schema["type"] == "struct":
        fields = [{"name": f["field"], "type": avro_schema(f, f"{name}_{f['field']}")} for f in schema["fields"]]
        kind: Any = {"type": "record", "name": name, "fields": fields}
    else:
        kind = SCALARS[schema["type"]]
    return ["null", kind] if schema.get("optional") else kind


def protobuf(schema: dict) -> Format:
    file = descriptor_pb2.FileDescriptorProto(name="event.proto", package=NAME, syntax="proto2")
    _message(file, schema, "Event")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    Event = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{NAME}.Event"))  # noqa: N806 (a class)
    (after,) = (field for field in schema["fields"] if field["field"] == "after")
    names = [field["field"] for field in after["fields"]]

    def write(event: Row) -> bytes:
        return Event(**_without_nulls(event)).SerializeToString()

    def read(value: bytes) -> Row:
        row = getattr(Event.FromString(value), "after")  # noqa: B009 (its class is made at run time)
        return {name: getattr(row, name) if row.HasField(name) else None for name in names}

    return Format("Protobuf, upb", write, read)


def _message(file: descriptor_pb2.FileDescriptorProto, schema: dict, name: str) -> None:
    message = file.message_type.add(name=name)
    for number, part in enumerate(schema["fields"], 1):
        field = message.field.add(name=part["field"], number=number, label=FIELD.LABEL_OPTIONAL)
        if part["type"] == "struct":
            _message(file, part, f"{name}_{part['field']}")
            field.type, field.type_name = FIELD.TYPE_MESSAGE, f".{NAME}.{name}_{part['field']}"
        else:
            field.type = NUMBERS[SCALARS[part["type"]]]


def _without_nulls(value: Row) -> Row:
    items = ((key, _without_nulls(part) if isinstance(part, dict) else part) for key, part in value.items())
    return {key: part for key, part in items if part is not None}


def _row(event: Any) -> Row:
    return event["after"]


class Event(msgspec.Struct):
    """What is read of one where the library passes over the rest."""

    after: Row


def formats(schema: dict) -> list[Format]:
    json, pack = msgspec.json.Decoder(Event), msgspec.msgpack.Decoder(Event)
    return [
        Format("JSON, msgspec", msgspec.json.encode, lambda value: json.decode(value).after),
        Format("JSON, orjson", orjson.dumps, lambda value: _row(orjson.loads(value))),
        Format(
            "JSON with schemas, orjson",
            lambda event: orjson.dumps({"schema": schema, "payload": event}),
            lambda value: _row(orjson.loads(value)["payload"]),
        ),
        avro(schema),
        Format(
            "MessagePack, msgpack",
            lambda event: msgpack.packb(event) or b"",
            lambda value: _row(msgpack.unpackb(value)),
        ),
        Format("MessagePack, msgspec", msgspec.msgpack.encode, lambda value: pack.decode(value).after),
        Format("MessagePack, ormsgpack", ormsgpack.packb, lambda value: _row(ormsgpack.unpackb(value))),
        protobuf(schema),
    ]


@contextmanager
def captured(endpoints: bench.Endpoints, count: int) -> Iterator[Iterator[bytes]]:
    """Values of a topic that a connector of its own has filled."""
    source = bench.new_database(endpoints, "mysql", f"{NAME}_source")
    bench.run(source, f"CREATE TABLE orders ({bench.COLUMNS['mysql']})")
    kafka, api = str(endpoints.kafka), ConnectApi(ConnectEndpoint(url=str(endpoints.connect), source_password=None))
    config = source_config(kafka, source, ["orders"])
    own = {"name": NAME, "topic.prefix": NAME, "database.server.id": "5999902"}
    history = {"schema.history.internal.kafka.topic": f"{NAME}.history", "decimal.handling.mode": "string"}
    topic = f"{NAME}.{NAME}_source.orders"
    remove_topics(kafka, [topic])  # of an earlier run
    try:
        api.put_config(NAME, {**config, **own, **history})
        api.wait_running(NAME)
        bench.run(source, *inserts(0, count))
        yield _values(kafka, topic, count)
    finally:
        remove_connector(api, NAME)
        remove_topics(kafka, [topic, *others_of(NAME)])
        bench.drop(endpoints, f"{NAME}_source")


def _values(kafka: str, topic: str, count: int) -> Iterator[bytes]:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": NAME, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    seen = 0
    while seen < count:
        for message in consumer.consume(1000, timeout=1):
            if message.error() is None:
                yield message.value() or b""
                seen += 1
    consumer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with bench.stack() as endpoints, captured(endpoints, arguments.events) as values:
        first = orjson.loads(next(values))
        events = [first["payload"], *(orjson.loads(value)["payload"] for value in values)]
    kinds = formats(first["schema"])
    written = {kind.name: [kind.write(event) for event in events] for kind in kinds}
    for kind in kinds:
        if [kind.read(value) for value in written[kind.name]] != [_row(event) for event in events]:
            raise bench.Different(f"{kind.name} reads something else than it was given")
    rates: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    for turn in range(arguments.rounds):
        for kind in kinds if turn % 2 == 0 else kinds[::-1]:
            began = time.perf_counter()
            for value in written[kind.name]:
                kind.read(value)
            rates[kind.name].append(len(events) / (time.perf_counter() - began))
    found = {
        name: {"bytes": sum(map(len, written[name])) / len(events), "rates": of} for name, of in rates.items()
    }  # fmt: skip
    for name, told in found.items():
        print(f"{name}: {told['bytes']:,.0f} bytes an event, {results.Spread.of(told['rates']).text(0)} events/s")
    results.write("wire", {"events": len(events), "formats": found})


if __name__ == "__main__":
    main()
