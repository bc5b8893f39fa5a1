"""What a service on the rapids needs in any language: ids, answers, and four calls of AWS."""

import hashlib
import json
import os
import time
import uuid
from datetime import timezone

STAGE = os.environ.get("RAPIDS_STAGE", "dev")
NAMESPACE = uuid.UUID("6f8f1d1c-5a0e-5d0b-9a53-72ad70696473")
HOPS_MAX = 32  # Farther from its root, events answer each other in a loop.
ATTEMPTS = 6


def derived_id(service, correlation, rule, distinguishing=""):
    """The same after a redelivery, a retry or a crash, so that everybody can drop the copy."""
    parts = [part.encode() for part in (service, correlation, rule, distinguishing)]
    name = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return str(uuid.UUID(bytes=hashlib.sha1(NAMESPACE.bytes + name).digest()[:16], version=5))


def time_text(moment):
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def answer(cause, service, event_type, rule, payload, now, distinguishing=""):
    """The event that `service` answers `cause` with."""
    correlation = cause.get("correlationId") or cause["eventId"]
    event = {
        "eventType": event_type,
        "eventDomain": "offers",
        "payload": payload,
        "timestamp": time_text(now),
        "eventId": derived_id(service, correlation, rule, distinguishing),
        "correlationId": correlation,
        "causationId": cause["eventId"],
        "hops": (cause.get("hops") or 0) + 1,
        "producer": {"service": service},
    }
    return event | {mark: cause[mark] for mark in ("traceparent", "synthetic", "experiments") if cause.get(mark)}


def read(message):
    """The event in a message of a river, with the arms of experiments that the reader wrote beside it."""
    body = json.loads(message["Body"])
    if body.get("Type") == "Notification" and not (body.get("eventType") or body.get("eventName")):
        event, beside = json.loads(body["Message"]), body.get("MessageAttributes", {}).get("arm", {}).get("Value")
    else:  # Raw delivery
        event, beside = body, message.get("MessageAttributes", {}).get("arm", {}).get("StringValue")
    arms = json.loads(beside or "[]")
    dealt = dict(arm.split(":", 1) for arm in arms if ":" in arm) if isinstance(arms, list) else {}
    return event | {"experiments": dealt | (event.get("experiments") or {})}


def put(kinesis, stream, records):
    """Puts (partition key, object) pairs onto a stream: all of them, or it raises. Kinesis may take some of a request."""
    left = [{"PartitionKey": key[:256], "Data": json.dumps(data)} for key, data in records]
    for attempt in range(ATTEMPTS):
        results = kinesis.put_records(StreamName=stream, Records=left)["Records"] if left else []
        left = [record for record, result in zip(left, results) if "ErrorCode" in result]
        if not left:
            return
        time.sleep(0.1 * 2**attempt)
    raise RuntimeError(f"{stream} did not take {len(left)} records")


def hook_in(kinesis, sqs, river, topics):
    """Asks for a river with these topics, and waits for its queue."""
    wish = [(river, {"command": "subscribe", "commandArgs": {"river": river, "topic": topic}}) for topic in topics]
    put(kinesis, f"Control-{STAGE}", wish)
    while True:
        try:
            return sqs.get_queue_url(QueueName=f"{river}-{STAGE}")["QueueUrl"]
        except sqs.exceptions.QueueDoesNotExist:
            time.sleep(0.2)  # The control plane is on it.
