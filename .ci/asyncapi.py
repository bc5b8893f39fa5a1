"""What .ci/asyncapi does within its virtual environment."""

import atexit
import json
import os
import pathlib
import random
import signal
import subprocess
import sys

import jsonschema
import yaml
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAYLOADS = ROOT / "crates/event/schema/payload"
SPECIFICATION, BINARIES = sys.argv[1:]
PATIENCE_S = 30
PAIRS = 1_500  # Some seconds, most of them Python's.
VALUES = 25  # Of each pair.

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
    process = subprocess.Popen(command, text=True, **options)
    processes.append(process)
    return process


def rapids(*arguments):
    done = subprocess.run(
        [f"{BINARIES}/rapids", *arguments], env=environment, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, (arguments, done.returncode, done.stderr)
    return done.stdout


# The export: a stage with the schemas of the scenario, and with names that no document takes as they are.

up = start(
    f"{BINARIES}/rapids", "up", "--json", "--port", "0", "--admin-port", "0", "--embedded-services", "control-plane",
    stdout=subprocess.PIPE,
)
environment = os.environ | json.loads(up.stdout.readline())["environment"]
EXAMPLES = {
    "CustomerSegmented": {"customerId": "c-1", "segment": "family", "confidence": 0.9, "reason": ["two children"]},
    "ViewPage": {"name": "Sally"},
}
for file in sorted(PAYLOADS.glob("*.schema.json")):
    topic = file.name.removesuffix(".schema.json")
    said = ["--schema", str(file), "--owner", "travel: \"team\" #1", "--description", f"yes\n- {topic}: 'über' \t"]
    if topic in EXAMPLES:
        said += ["--example", json.dumps(EXAMPLES[topic])]
    rapids("advertise", topic, *said)
for topic in ("Event", "Größe/neu", "Größe.neu", "Offer*", "plain"):
    rapids("advertise", topic)
for topic in ("ViewPage", "Offer*", "*", "Missing"):
    rapids("subscribe", "r1", topic)

document = json.loads(rapids("catalogue", "--asyncapi=json"))
assert yaml.safe_load(rapids("catalogue", "--asyncapi")) == document, "YAML and JSON differ"
specification = json.loads(pathlib.Path(SPECIFICATION).read_text())
Draft7Validator(specification).validate(document)
broken = json.loads(json.dumps(document))
next(iter(broken["operations"].values()))["action"] = "listen"
assert not Draft7Validator(specification).is_valid(broken), "the specification's schema says nothing"

registry = Registry().with_resource("urn:document", Resource(document, DRAFT202012))


def under(message):
    pointer = f"urn:document#/components/messages/{message}/payload/schema"
    return Draft202012Validator({"$ref": pointer}, registry=registry)


examples = 0
for key, message in document["components"]["messages"].items():
    for example in message.get("examples", ()):
        under(key).validate(example["payload"])
        assert not under(key).is_valid(example["payload"] | {"payload": 7}), key
        assert not under(key).is_valid(example["payload"] | {"eventType": "Other"}), key
        examples += 1
assert examples == len(EXAMPLES), examples
up.send_signal(signal.SIGTERM)
assert up.wait(PATIENCE_S) == 0
print(f"{len(document['channels'])} channels, {len(document['operations'])} operations: AsyncAPI {document['asyncapi']}")

# The comparison: what is called compatible lets through nothing that the old schema does not, and values are judged alike.

seed = int(os.environ.get("SEED", "0"))
chance = random.Random(seed)
KINDS = ["null", "boolean", "integer", "number", "string", "array", "object"]


def a_value(depth=2):
    kind = chance.randrange(7 if depth else 5)
    return [
        lambda: None,
        lambda: chance.random() < 0.5,
        lambda: chance.randrange(-3, 4),
        lambda: chance.choice([0.5, 1.0, -2.5]),
        lambda: "".join(chance.choices("aü", k=chance.randrange(4))),
        lambda: [a_value(depth - 1) for _ in range(chance.randrange(4))],
        lambda: {name: a_value(depth - 1) for name in chance.sample("abc", chance.randrange(4))},
    ][kind]()


def a_keyword(depth):
    below = (lambda: a_schema(depth - 1)) if depth else (lambda: chance.choice([True, True, False, {}]))
    some = lambda: [below() for _ in range(chance.randrange(1, 3))]
    named = lambda: {name: below() for name in chance.sample("abc", chance.randrange(1, 3))}
    names = lambda: chance.sample("abc", chance.randrange(3))
    return chance.choice([
        lambda: ("type", chance.choice(KINDS)),
        lambda: ("type", chance.sample(KINDS, chance.randrange(1, 5))),
        lambda: ("enum", [a_value() for _ in range(chance.randrange(1, 4))]),
        lambda: ("const", a_value()),
        lambda: (chance.choice(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]), chance.choice([-2, 0, 0.5, 1])),
        lambda: ("multipleOf", chance.choice([1, 2, 3, 0.5])),
        lambda: (chance.choice(["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"]), chance.randrange(3)),
        lambda: ("uniqueItems", chance.random() < 0.7),
        lambda: ("required", names()),
        lambda: ("dependentRequired", {"a": names()}),
        lambda: ("properties", named()),
        lambda: ("properties", named()),
        lambda: (chance.choice(["patternProperties"]), {"^a": below()}),
        lambda: ("dependentSchemas", {"a": below()}),
        lambda: (chance.choice(["items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else"]), below()),
        lambda: (chance.choice(["items", "additionalProperties"]), below()),
        lambda: (chance.choice(["minContains", "maxContains"]), chance.randrange(3)),
        lambda: (chance.choice(["unevaluatedProperties", "unevaluatedItems"]), below()),
        lambda: (chance.choice(["allOf", "anyOf", "oneOf", "prefixItems"]), some()),
        lambda: ("$ref", "#/$defs/d"),
        lambda: ("pattern", chance.choice(["^a", "ü$"])),
    ])()


def a_schema(depth=2):
    return dict(a_keyword(depth) for _ in range(chance.randrange(1, 4)))


def changed(schema):
    schema = json.loads(json.dumps(schema))
    for _ in range(chance.randrange(1, 3)):
        place = schema
        while chance.random() < 0.6:
            below = [it for it in place.values() if isinstance(it, dict)]
            if not below:
                break
            place = chance.choice(below)
        if place and chance.random() < 0.3:
            place.pop(chance.choice(list(place)))
        else:
            place.update([a_keyword(1)])
    return schema


def is_valid(schema, value):
    return Draft202012Validator(schema).is_valid(value)


compare = start(f"{BINARIES}/examples/compare", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
compatible = strict = judged = refused = 0
for _ in range(PAIRS):
    old = a_schema() | {"$defs": {"d": a_schema(1)}}
    new = changed(old)
    values = [a_value() for _ in range(VALUES)]
    compare.stdin.write(json.dumps({"old": old, "new": new, "values": values}) + "\n")
    compare.stdin.flush()
    answer = json.loads(compare.stdout.readline())
    try:
        Draft202012Validator.check_schema(old)
        Draft202012Validator.check_schema(new)
    except jsonschema.SchemaError:
        assert "malformed" in answer, (old, new)
        continue
    if "malformed" in answer:
        # References that lead back to themselves, or to nowhere since a change.
        assert "$ref" in answer["malformed"], (old, new, answer)
        refused += 1
        continue
    fits = not answer["incompatibilities"]
    compatible += fits
    for index, value in enumerate(values):
        was, now = is_valid(old, value), is_valid(new, value)
        assert not (fits and now and not was), ("not compatible", old, new, value)
        strict += fits and now and old != new
        for opinion, truth, schema in ((answer["old"][index], was, old), (answer["new"][index], now, new)):
            assert opinion in (None, truth), ("judged otherwise", schema, value, truth)
            judged += opinion is not None
compare.stdin.close()
assert compare.wait(PATIENCE_S) == 0
assert compatible > PAIRS // 10 and strict > PAIRS // 2 and judged > PAIRS * 10, (compatible, strict, judged)
print(
    f"{PAIRS} changes, {compatible} compatible, with {strict} values that prove it; {judged} values judged alike, "
    f"{refused} refused (SEED={seed})"
)
