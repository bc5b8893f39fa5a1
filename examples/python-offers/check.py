"""Holds rapids.py against the conformance vectors of the event crate. Needs nothing but Python."""

import json
import pathlib
from datetime import datetime

import rapids

VECTORS = pathlib.Path(__file__).resolve().parents[2] / "crates/event/schema/vectors"


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text())["vectors"]


def check_ids():
    for vector in vectors("ids"):
        parts = [vector[part] for part in ("service", "correlation", "rule", "distinguishing")]
        assert rapids.derived_id(*parts) == vector["id"], vector["name"]


def check_answers():
    for vector in vectors("answers"):
        draft, origin, wanted = vector["draft"], vector["origin"], vector["event"]
        made = rapids.answer(
            vector["cause"],
            origin["producer"]["service"],
            draft["eventType"],
            draft["rule"],
            draft["payload"],
            datetime.fromisoformat(origin["at"]),
            draft["distinguishing"],
        )
        # A service may say less of itself than its name, but not something else; hops only count up to the limit.
        assert made.pop("producer").items() <= wanted.pop("producer").items(), vector["name"]
        hops = made.pop("hops"), wanted.pop("hops")
        assert [hop <= rapids.HOPS_MAX for hop in hops] == [vector.get("publish", True)] * 2, vector["name"]
        assert made == wanted, (vector["name"], made, wanted)
        assert hops[0] == hops[1] or not vector.get("publish", True), vector["name"]


def check_messages():
    for vector in vectors("messages"):
        message = {"Body": vector["body"]}
        if "arms" in vector:
            message["MessageAttributes"] = {"arm": {"DataType": "String.Array", "StringValue": vector["arms"]}}
        try:
            event = rapids.read(message)
            read = {field: event[field] for field in ("eventId", "timestamp", "payload")}
        except (ValueError, KeyError):
            assert "refused" in vector["event"], vector["name"]
            continue
        wanted = vector["event"]
        assert read.items() <= wanted.items(), vector["name"]
        assert event["experiments"] == wanted.get("experiments", {}), vector["name"]


class Kinesis:
    """Takes the first record of every request, and says so."""

    def __init__(self):
        self.taken = []

    def put_records(self, StreamName, Records):
        self.taken.append((Records[0]["PartitionKey"], json.loads(Records[0]["Data"])))
        refused = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow down"}
        return {"Records": [{"SequenceNumber": "1"}] + [refused] * (len(Records) - 1)}


def check_partial_failures():
    kinesis, records = Kinesis(), [(f"key {n}", {"n": n}) for n in range(3)]
    rapids.put(kinesis, "Rapids-dev", records)
    assert kinesis.taken == records, kinesis.taken
    rapids.put(kinesis, "Rapids-dev", [])
    try:
        rapids.put(kinesis, "Rapids-dev", records * rapids.ATTEMPTS)
    except RuntimeError:
        return
    raise AssertionError("it gave up and said nothing")


check_ids()
check_answers()
check_messages()
check_partial_failures()
print(*(f"{len(vectors(name))} {name}," for name in ("ids", "answers", "messages")), "as they should be")
