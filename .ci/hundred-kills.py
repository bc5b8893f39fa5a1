#!/usr/bin/env python3
"""A hundred kill -9, of random daemons at random moments, while Sally looks at five pages a second.

    .ci/hundred-kills.py [BINARIES] [--seed N] [--kills N]

Every daemon is a process of its own against `rapids up`, is killed some fourteen times and started again at once.
When all is quiet again, everything that ever was on the rapids is read. It must show:

- each view has its answers, two offers of brand and three of location, each under one id, and one selection;
- all copies of a selection are the same byte for byte, and copies of any other event say the same: they differ in when,
  by which process and because of which of several causes they were made;
- each offer is in the selection of its view, chosen or rejected with a reason, or lies beside the window as too late;
- no quarantine and no dead-letter queue holds anything, and no river either;
- no daemon ended by itself, and all stop with 0 when asked.

The seed decides who is killed and when; the machine decides what they are doing then.
"""

import argparse, atexit, base64, collections, concurrent.futures, datetime, http.client, json, os, random
import signal, subprocess, sys, threading, time, uuid

PATIENCE_S = 120
VIEWS_PER_S = 5
GAP_S = (0.1, 1.1)  # Between two kills.
SUBSCRIBED = {
    "segmentation": ["ViewPage"],
    "membership": ["ViewPage"],
    "location": ["CustomerSegmented", "MembershipResolved", "ViewPage"],
    "brand": ["CustomerSegmented", "ViewPage"],
    "offer-engine": ["OfferProposed", "ViewPage"],
}
# As short as may be, so that what a dead process held comes back within the run.
SETTINGS = {name: {"RAPIDS_VISIBILITY": "3s", "RAPIDS_RETRY_PAUSE_MAX": "2s"} for name in SUBSCRIBED}
SETTINGS["offer-engine"]["RAPIDS_WINDOW__LENGTH"] = "4s"  # Some offers are in time then, others late.
SETTINGS |= {name: {"RAPIDS_FAILOVER": "1s"} for name in ("control-plane", "rapids-reader")}
EXPECTED = {  # By view: how many events of a type, by their producers.
    ("CustomerSegmented", "segmentation"): 1,
    ("MembershipResolved", "membership"): 1,
    ("OfferProposed", "location"): 3,
    ("OfferProposed", "brand"): 2,
    ("OffersSelected", "offer-engine"): 1,
}

SELECTIONS = ("OffersSelected", "OffersAmended")

parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip())
parser.add_argument("binaries", nargs="?", default=os.environ.get("CARGO_TARGET_DIR", "target") + "/debug")
parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
parser.add_argument("--kills", type=int, default=100)
arguments = parser.parse_args()
replay = f"{sys.argv[0]} {arguments.binaries} --seed {arguments.seed} --kills {arguments.kills}"
print(replay, flush=True)
processes, daemons, began = [], {}, time.monotonic()


@atexit.register
def end_what_is_left():
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


# An exit, so that nothing is left behind. Ctrl-C is one already.
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: sys.exit(128 + number))


def start(name, *words, **options):
    processes.append(subprocess.Popen([f"{arguments.binaries}/{name}", *words], **options))
    return processes[-1]


def start_daemon(name):
    settings = {"RAPIDS_ADMIN__ADDRESS": "127.0.0.1:0", "RAPIDS_LOG__FILTER": "error"} | SETTINGS[name]
    daemons[name] = start(name, env=environment | settings, stdout=subprocess.DEVNULL)


def until(what, condition):
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > give_up:
            return fail(f"in vain: {what}")
        time.sleep(0.2)


def subscriptions(river):
    listed = [f"{arguments.binaries}/rapids", "listsubs", river]
    return json.loads(subprocess.check_output(listed, env=environment, stderr=subprocess.DEVNULL) or "[]")


def fail(*what):
    print("FAILED:", *what, f"\nreplay: {replay}", flush=True)
    sys.exit(1)


def call(target, **body):
    """One call to the embedded AWS."""
    connection = http.client.HTTPConnection(environment["AWS_ENDPOINT_URL"].removeprefix("http://"), timeout=30)
    headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.0"}
    connection.request("POST", "/", json.dumps(body), headers)
    reply = connection.getresponse()
    answer = json.loads(reply.read() or b"{}")
    connection.close()
    assert reply.status == 200, (target, body, answer)
    return answer


class Rapids:
    """Everything on the stream, from its beginning; by id, the texts of all copies."""

    def __init__(self):
        self.copies, self.records = collections.defaultdict(list), 0
        self.iterators = [self.iterator(shard["ShardId"]) for shard in self.ask("ListShards")["Shards"]]

    def ask(self, operation, **body):
        return call(f"Kinesis_20131202.{operation}", **(body or {"StreamName": "Rapids-dev"}))

    def iterator(self, shard):
        where = {"StreamName": "Rapids-dev", "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        return self.ask("GetShardIterator", **where)["ShardIterator"]

    def read(self):
        for index, iterator in enumerate(self.iterators):
            behind = 1
            while behind:
                read = self.ask("GetRecords", ShardIterator=iterator)
                self.iterators[index] = iterator = read["NextShardIterator"]
                behind = read["MillisBehindLatest"]
                for record in read["Records"]:
                    text = base64.b64decode(record["Data"]).decode()
                    self.copies[json.loads(text)["eventId"]].append(text)
                    self.records += 1

    def events(self):
        return [json.loads(copies[0]) for copies in self.copies.values()]

    def by_view(self):
        """View -> (event type, producer) -> how many of its events are expected."""
        views = collections.defaultdict(collections.Counter)
        for event in self.events():
            key = event["eventType"], event.get("producer", {}).get("service")
            if key in EXPECTED:
                views[event["correlationId"]][key] += 1
        return views


def send_views(rng, views, stopped):
    next_at = time.monotonic()
    while not stopped.wait(max(0, next_at - time.monotonic())):
        next_at += 1 / VIEWS_PER_S
        view = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        event = {"eventType": "ViewPage", "eventDomain": "web", "payload": {"name": "Sally"},
                 "timestamp": now, "eventId": view}
        data = base64.b64encode(json.dumps(event).encode()).decode()
        call("Kinesis_20131202.PutRecord", StreamName="Rapids-dev", PartitionKey=view, Data=data)
        views.append(view)


def kill_all(rng):
    """Each daemon about equally often, in random order."""
    names = [list(SETTINGS)[number % len(SETTINGS)] for number in range(arguments.kills)]
    rng.shuffle(names)
    for name in names:
        time.sleep(rng.uniform(*GAP_S))
        check_alive()
        daemons[name].kill()
        daemons[name].wait()
        start_daemon(name)
    return collections.Counter(names)


def check_alive():
    for name, process in daemons.items():
        if process.poll() is not None:
            fail(f"{name} ended by itself with {process.returncode}")


def queues():
    """Messages by queue, hidden and delayed ones included."""
    kinds = ["", "NotVisible", "Delayed"]
    names = [f"ApproximateNumberOfMessages{kind}" for kind in kinds]
    for url in call("AmazonSQS.ListQueues")["QueueUrls"]:
        attributes = call("AmazonSQS.GetQueueAttributes", QueueUrl=url, AttributeNames=names)["Attributes"]
        yield url.rsplit("/", 1)[1], sum(int(attributes[name]) for name in names)


def is_quiet(rapids, views):
    rapids.read()
    answered = rapids.by_view()
    return all(answered[view] == EXPECTED for view in views) and not any(count for queue, count in queues() if not queue.endswith("-dlq"))


def check_views(rapids, views):
    answered = rapids.by_view()
    if strange := answered.keys() - set(views):
        fail("conversations of no view:", strange)
    for view in views:
        if answered[view] != EXPECTED:
            fail(f"view {view}: {dict(answered[view])}")


def said(text):
    """What a copy says, without when and by which process it was made."""
    event = json.loads(text)
    event.pop("timestamp", None)
    event.get("producer", {}).pop("instance", None)
    return json.dumps(event, sort_keys=True)


def check_copies(rapids):
    """Ids with copies, by type; and how many of them have copies that differ in how they were made."""
    copied, differing = collections.Counter(), collections.Counter()
    for event_id, copies in rapids.copies.items():
        event_type = json.loads(copies[0])["eventType"]
        copied[event_type] += len(copies) > 1
        differing[event_type] += len(set(copies)) > 1
        if len(set(copies if event_type in SELECTIONS else map(said, copies))) > 1:
            fail(f"{event_type} {event_id} has two contents:", *set(copies))
    return +copied, +differing


def too_late():
    """Offers that lie beside their windows, as (correlation, offer id)."""
    page, late = {}, set()
    while True:
        page = call("DynamoDB_20120810.Scan", TableName="Pond-offer-engine-dev",
                    **({"ExclusiveStartKey": page["LastEvaluatedKey"]} if page else {}))
        for item in page["Items"]:
            kind, _, offer = item["sk"]["S"].partition("#")
            if kind == "LATE":
                late.add((item["pk"]["S"].split("#")[1], offer))
        if "LastEvaluatedKey" not in page:
            return late


def check_offers(rapids):
    """Each offer is in its selection or beside its window, and not in both. What is late may be in an amendment too."""
    late, offers, chosen = too_late(), set(), set()
    for event in rapids.events():
        payload, correlation = event["payload"], event.get("correlationId")
        if event["eventType"] == "OfferProposed":
            offers.add((correlation, payload["offerId"]))
        if event["eventType"] == "OffersSelected":
            chosen |= {(correlation, offer["offerId"]) for offer in payload["offers"] + payload["rejected"]}
    if lost := offers - chosen - late:
        fail(f"{len(lost)} offers are lost:", lost)
    if both := chosen & late:
        fail("offers are chosen and late:", both)
    if invented := (chosen | late) - offers:
        fail("offers that nobody proposed:", invented)
    return len(chosen), len(late)


def stop_all():
    check_alive()
    for process in daemons.values():
        process.send_signal(signal.SIGTERM)
    codes = {name: process.wait(PATIENCE_S) for name, process in daemons.items()}
    up.send_signal(signal.SIGTERM)
    codes["rapids up"] = up.wait(PATIENCE_S)
    if any(codes.values()):
        fail("stopped with", codes)


up = start("rapids", "up", "--port", "0", "--embedded-services", "none", "--json", stdout=subprocess.PIPE, text=True)
environment = os.environ | json.loads(up.stdout.readline())["environment"]
for daemon in SETTINGS:
    start_daemon(daemon)
for river, topics in SUBSCRIBED.items():
    until(f"{river} is subscribed", lambda: set(topics) <= set(subscriptions(river)))

views, stopped = [], threading.Event()
with concurrent.futures.ThreadPoolExecutor(1) as pool:
    sending = pool.submit(send_views, random.Random(arguments.seed), views, stopped)
    try:
        kills = kill_all(random.Random(arguments.seed))
    finally:
        stopped.set()
    sending.result()
print(f"{len(views)} views, {kills.total()} kills: {dict(kills)}, {time.monotonic() - began:.0f} s", flush=True)

rapids = Rapids()
quiet = time.monotonic() + PATIENCE_S
while not is_quiet(rapids, views) and time.monotonic() < quiet:
    time.sleep(0.5)
check_views(rapids, views)
(copied, differing), (in_time, late) = check_copies(rapids), check_offers(rapids)
if left := {queue: count for queue, count in queues() if count}:
    fail("queues that are not empty:", left)
stop_all()
print(f"{rapids.records} records of {len(rapids.copies)} events; offers: {in_time} in selections, {late} too late")
print(f"ids with copies: {dict(copied)}, made at another time or by another process: {dict(differing)}")
print(f"nothing lost, nothing said twice, {time.monotonic() - began:.0f} s")
