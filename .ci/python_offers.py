"""What .ci/python-offers does within its virtual environment."""

import atexit
import base64
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import boto3
import jsonschema

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCHEMAS = ROOT / "crates/event/schema"
BINARIES = sys.argv[1]
PATIENCE_S = 60
VIEWS = 5  # An offer may be late on a busy machine; five in a row are not.

processes = []


@atexit.register
def end_what_is_left():
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


# An exit, so that nothing is left behind. Ctrl-C is one already.
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: sys.exit(128 + number))


def start(*command, **options):
    process = subprocess.Popen(command, **options)
    processes.append(process)
    return process


def stop(process):
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0, (process.args, process.returncode)


def validator(path):
    schema = json.loads((SCHEMAS / path).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def no_constant(word):
    raise ValueError(f"{word} is not JSON, though Python reads it")


def value_of(vector):
    if "payload" in vector:
        return vector["payload"]
    text = vector["text"] if "text" in vector else base64.b64decode(vector["base64"]).decode()
    return json.loads(text, parse_constant=no_constant)


def agree(name, schema, takes):
    """The schema's verdict on each vector is the code's, except where the vector says that it is not."""
    vectors = json.loads((SCHEMAS / f"vectors/{name}.json").read_text())["vectors"]
    for vector in vectors:
        try:
            verdict = schema.is_valid(value_of(vector))
        except ValueError:
            verdict = False  # Not even JSON.
        assert verdict == vector.get("schema", takes(vector)), (name, vector["name"])
    print(f"{len(vectors)} {name}: schema and code agree")


def rapids(*arguments):
    done = subprocess.run([f"{BINARIES}/rapids", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stderr)
    return json.loads(done.stdout) if done.stdout.strip() else None


def until(what, condition):
    give_up = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < give_up, f"in vain: {what}"
        time.sleep(0.1)
    return found


def selection_of(view):
    messages = rapids("readfrom", "offers", "--wait", "5")
    # By SNS an event comes within a notification, directly as it is.
    events = (json.loads(message["Message"]) if "Message" in message else message for message in messages)
    return next((event for event in events if event["correlationId"] == view), None)


def offers_of_python():
    view = rapids("send", "ViewPage", "TheSource", '{"name":"Sally"}', "--json")["eventId"]
    payload = until(f"a selection for {view}", lambda: selection_of(view))["payload"]
    named = payload["offers"] + payload["rejected"]
    return [(offer["title" if "title" in offer else "reason"]) for offer in named if offer["offerer"] == "python-offers"]


def everything_on_the_rapids():
    kinesis = boto3.client("kinesis")
    for shard in kinesis.list_shards(StreamName="Rapids-dev")["Shards"]:
        where = {"StreamName": "Rapids-dev", "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator, behind = kinesis.get_shard_iterator(**where)["ShardIterator"], 1
        while behind:
            read = kinesis.get_records(ShardIterator=iterator)
            iterator, behind = read["NextShardIterator"], read["MillisBehindLatest"]
            yield from (json.loads(record["Data"]) for record in read["Records"])


event_schema, accepted = validator("event.schema.json"), lambda vector: "refused" not in vector
agree("events", event_schema, lambda vector: accepted(vector["event"]))
agree("commands", validator("command.schema.json"), accepted)
agree("offers", validator("payload/OfferProposed.schema.json"), lambda vector: vector["accepted"])
payload_schemas = {path.name.split(".")[0]: validator(path) for path in (SCHEMAS / "payload").iterdir()}

up = start(f"{BINARIES}/rapids", "up", "--port", "0", "--admin-port", "0", "--json", stdout=subprocess.PIPE, text=True)
os.environ |= json.loads(up.stdout.readline())["environment"]
service = start(sys.executable, ROOT / "examples/python-offers/offers.py")
until("the Python service is subscribed", lambda: len(rapids("listsubs", "python-offers")) == 2)
rapids("subscribe", "offers", "OffersSelected", "--wait", "30")

for _ in range(VIEWS):
    offers = offers_of_python()
    print("offers of python-offers, by title or reason of rejection:", offers or "late")
    if len(offers) == 2:
        break
else:
    sys.exit("python-offers was never in time")

seen = {}
for event in everything_on_the_rapids():
    event_schema.validate(event)
    if schema := payload_schemas.get(event["eventType"].replace("OffersAmended", "OffersSelected")):
        schema.validate(event["payload"])
    seen[event["eventType"]] = seen.get(event["eventType"], 0) + 1
assert payload_schemas.keys() <= seen.keys(), seen
print("valid by their schemas:", seen, "without a schema of their payload:", seen.keys() - payload_schemas.keys() or "none")

stop(service)
stop(up)
