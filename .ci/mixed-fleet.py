#!/usr/bin/env python3
"""Workers of this repository and of another library on one lease table, through splits, merges and kill -9.

    .ci/mixed-fleet.py             both parts, about six minutes
    .ci/mixed-fleet.py taker       part 1: with two workers of kcl-rs, by the rules of KCL 2.x
    .ci/mixed-fleet.py leader      part 2: our workers under a leader of KCL 3.x, played by this script
    --venv DIR                     where kcl-rs is, or is to be, installed (default: a scratch folder)

kcl-rs 0.1.4 is LocalStack's port of the Java KCL 3.5. No Java is involved anywhere. The port's scheduler runs by
the rules of 2.x only, without leader and without worker metrics; therefore the leader of part 2 is a stand-in
that makes the writes of LeaseAssignmentManager, and shows no more than that our workers understand them.

What must hold: no record is missing; records of a shard come first in its order, whoever reads it; children come
after their parents; every open lease ends with a worker that lives; the leases are spread over both kinds.
"""

import argparse, base64, http.client, json, os, pathlib, subprocess, sys, tempfile, threading, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PORT, STREAM, TABLE = 45660, "events", "fleet"
FAILOVER = 10  # Seconds, as both libraries have it by default.
THEIRS = """
import json, signal, sys, threading
from kcl_rs import Scheduler, RecordProcessorBase, CheckpointError
name, endpoint, stream, table = sys.argv[1:]
lock = threading.Lock()
def say(**line):
    with lock: print(json.dumps({"worker": name, **line}), flush=True)
class Scribe(RecordProcessorBase):
    def initialize(self, it): self.shard = it.shard_id; say(event="started", shard=self.shard)
    def process_records(self, it):
        for r in it.records: say(event="record", shard=self.shard, seq=r.sequence_number, data=r.data.decode())
        self.save(it)
    def save(self, it):
        try: it.checkpointer.checkpoint()
        except CheckpointError as error: say(event="unsaved", shard=self.shard, why=error.value)
    def lease_lost(self, it): say(event="lost", shard=self.shard)
    def shard_ended(self, it): self.save(it); say(event="finished", shard=self.shard)
    def shutdown_requested(self, it): self.save(it)
scheduler = Scheduler(stream_name=stream, application_name=table, record_processor_factory=Scribe,
    worker_identifier=name, region="us-east-1", endpoint_url=endpoint, access_key_id="test",
    secret_access_key="test", initial_position="TRIM_HORIZON", retrieval_mode="POLLING",
    idle_time_between_reads_millis=300)
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
scheduler.start(); stop.wait(); scheduler.shutdown()
"""


def call(target, **body):
    """One call to the embedded AWS; a refused condition and a table that is not there come back as None."""
    service, operation = target.split(".")
    prefix = {"kinesis": "Kinesis_20131202", "dynamodb": "DynamoDB_20120810"}[service]
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    headers = {"x-amz-target": f"{prefix}.{operation}", "content-type": "application/x-amz-json-1.0"}
    connection.request("POST", "/", json.dumps(body), headers)
    reply = connection.getresponse()
    answer = json.loads(reply.read() or b"{}")
    connection.close()
    if answer.get("__type", "").endswith(("ConditionalCheckFailedException", "ResourceNotFoundException")):
        return None
    assert reply.status == 200, (target, answer)
    return answer


def rows():
    scan = call("dynamodb.Scan", TableName=TABLE, ConsistentRead=True) or {"Items": []}
    return {item["leaseKey"]["S"]: item for item in scan["Items"]}


def leases(open_only=True):
    found = {key: row for key, row in rows().items() if "leaseCounter" in row}
    return {k: r for k, r in found.items() if not open_only or r["checkpoint"]["S"] != "SHARD_END"}


def text(row, name):
    return row.get(name, {}).get("S")


def owners():
    held = {}
    for row in leases().values():
        held[text(row, "leaseOwner")] = held.get(text(row, "leaseOwner"), 0) + 1
    return held


def until(what, holds, seconds):
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if holds():
            return print(f"  {time.monotonic() - began:6.1f} s  {what}", flush=True)
        time.sleep(0.25)
    raise SystemExit(f"in vain, {seconds} s: {what}; owners {owners()}")


class Fleet:
    """The embedded AWS, a stream, a producer and workers; a list of what they said, in order of arrival."""

    def __init__(self, python, shards):
        self.python, self.said, self.workers, self.put = python, [], {}, {}
        self.logs = pathlib.Path(tempfile.mkdtemp(prefix="mixed-fleet-"))
        print(f"  logs in {self.logs}")
        self.aws = subprocess.Popen([TARGET / "debug/examples/serve", str(PORT)], stderr=subprocess.PIPE)
        self.aws.stderr.readline()
        call("kinesis.CreateStream", StreamName=STREAM, ShardCount=shards)
        self.ancestry = lambda: call("kinesis.ListShards", StreamName=STREAM)["Shards"]
        self.producing = threading.Event()
        threading.Thread(target=self.produce, daemon=True).start()
        until("the stream is there", lambda: len(self.ancestry()) == shards, 20)

    def produce(self):
        self.producing.set()
        while True:
            self.producing.wait()
            number = len(self.put)
            data = base64.b64encode(str(number).encode()).decode()
            try:
                reply = call("kinesis.PutRecord", StreamName=STREAM, PartitionKey=f"key-{number % 97}", Data=data)
                self.put[number] = (reply["ShardId"], int(reply["SequenceNumber"]))
            except (AssertionError, TypeError):
                pass  # Not active yet, or mid-reshard.
            except OSError:
                return
            time.sleep(0.03)

    def start(self, name, mode=None):
        endpoint = f"http://127.0.0.1:{PORT}"
        ours = [TARGET / "debug/examples/worker", endpoint, STREAM, TABLE, name, mode]
        command = ours if mode else [self.python, "-c", THEIRS, name, endpoint, STREAM, TABLE]
        log = open(self.logs / f"{name}.log", "w")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        self.workers[name] = process

        def listen():
            for line in process.stdout:
                if line.startswith("{"):
                    self.said.append(json.loads(line))

        threading.Thread(target=listen, daemon=True).start()

    def kill(self, *names):
        for name in names:
            self.workers.pop(name).kill()
        print(f"           killed {', '.join(names)}")

    def split(self, shard):
        low, high = (int(shard["HashKeyRange"][key]) for key in ("StartingHashKey", "EndingHashKey"))
        middle = str((low + high) // 2)
        call("kinesis.SplitShard", StreamName=STREAM, ShardToSplit=shard["ShardId"], NewStartingHashKey=middle)

    def open_shards(self):
        shards = [s for s in self.ancestry() if "EndingSequenceNumber" not in s["SequenceNumberRange"]]
        return sorted(shards, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))

    def reshard(self):
        self.split(self.open_shards()[0])
        time.sleep(3)
        left, right = self.open_shards()[-2:]
        call("kinesis.MergeShards", StreamName=STREAM, ShardToMerge=left["ShardId"], AdjacentShardToMerge=right["ShardId"])
        time.sleep(3)

    def settled(self):
        """Every open shard has a lease, no hand-over is under way, and the owners live."""
        have = leases()
        shards = {shard["ShardId"] for shard in self.open_shards()}
        return set(have) == shards and all(
            text(row, "leaseOwner") in self.workers and "checkpointOwner" not in row for row in have.values()
        )

    def delivered(self):
        return {int(line["data"]) for line in list(self.said) if line["event"] == "record"}

    def finish(self):
        self.producing.clear()
        time.sleep(0.5)
        until("every record has arrived", lambda: not set(self.put) - self.delivered(), 120)
        self.check()

    def check(self):
        first, seen = {}, set()
        records = [line for line in self.said if line["event"] == "record"]
        for at, line in enumerate(records):
            number = int(line["data"])
            assert self.put[number] == (line["shard"], int(line["seq"])), (line, self.put[number])
            if number not in seen:
                seen.add(number)
                first.setdefault(line["shard"], []).append((at, int(line["seq"])))
        for shard, arrivals in first.items():
            sequence = [seq for _, seq in arrivals]
            assert sequence == sorted(sequence), f"{shard} came out of order"
        for shard in self.ancestry():
            for parent in (shard.get("ParentShardId"), shard.get("AdjacentParentShardId")):
                if parent in first and shard["ShardId"] in first:
                    assert first[parent][-1][0] < first[shard["ShardId"]][0][0], f"{shard['ShardId']} before {parent}"
        by = {}
        for line in records:
            by[line["worker"]] = by.get(line["worker"], 0) + 1
        twice = len(records) - len(seen)
        print(f"  {len(self.put)} records, {len(first)} shards, {twice} deliveries more than once, by worker {by}")

    def end(self):
        for process in [*self.workers.values(), self.aws]:
            process.terminate()
        for process in [*self.workers.values(), self.aws]:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def taker(python):
    """Part 1: everybody takes."""
    print("part 1: with kcl-rs, by the rules of 2.x")
    fleet = Fleet(python, shards=6)
    try:
        fleet.start("ours-1", "compat2x")
        until("our worker owns all", lambda: owners() == {"ours-1": 6}, 60)
        fleet.start("theirs-1"), fleet.start("theirs-2"), fleet.start("ours-2", "participant3x")
        until("all four own leases", lambda: set(owners()) == set(fleet.workers) and fleet.settled(), 180)
        fleet.reshard()
        until("children are owned", fleet.settled, 120)
        fleet.kill("ours-2", "theirs-2")
        until("the dead have lost their leases", fleet.settled, 120)
        fleet.start("ours-3", "participant3x"), fleet.start("theirs-3")
        fleet.reshard()
        until("all four own leases", lambda: set(owners()) == set(fleet.workers) and fleet.settled(), 240)
        print(f"  owners at the end {owners()}")
        fleet.finish()
    finally:
        fleet.end()


class Leader(threading.Thread):
    """What LeaseAssignmentManager writes, by lease count: assigns what is free or expired, hands over the rest."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen, self.asked, self.ended, self.forced = {}, {}, threading.Event(), 0

    def version(self, version):
        row = {"leaseKey": {"S": "Migration3.0"}, "entityType": {"S": "CLIENT_VERSION_MIGRATION"}, "cv": {"S": version}}
        row |= {"mb": {"S": "leader"}, "mts": {"N": str(int(time.time() * 1000))}}
        call("dynamodb.PutItem", TableName=TABLE, Item=row)

    def prepare(self):
        key = lambda name, kind: {"AttributeName": name, "KeyType": kind}
        index = {"IndexName": "LeaseOwnerToLeaseKeyIndex", "Projection": {"ProjectionType": "KEYS_ONLY"}}
        index["KeySchema"] = [key("leaseOwner", "HASH"), key("leaseKey", "RANGE")]
        names = [{"AttributeName": name, "AttributeType": "S"} for name in ("leaseKey", "leaseOwner")]
        call("dynamodb.CreateTable", TableName=TABLE, BillingMode="PAY_PER_REQUEST", KeySchema=[key("leaseKey", "HASH")],
             AttributeDefinitions=names, GlobalSecondaryIndexes=[index])
        self.version("CLIENT_VERSION_3X")

    def sync(self, shards):
        """The leases of the first shards, as HierarchicalShardSyncer makes them; later ones come from their parents."""
        for shard in shards:
            lease = {"leaseKey": {"S": shard["ShardId"]}, "entityType": {"S": "LEASE"}, "checkpoint": {"S": "TRIM_HORIZON"}}
            lease |= {name: {"N": "0"} for name in ("leaseCounter", "ownerSwitchesSinceCheckpoint", "checkpointSubSequenceNumber")}
            low, high = (shard["HashKeyRange"][key] for key in ("StartingHashKey", "EndingHashKey"))
            lease |= {"startingHashKey": {"S": low}, "endingHashKey": {"S": high}}
            call("dynamodb.PutItem", TableName=TABLE, Item=lease, Expected={"leaseKey": {"Exists": False}})

    def run(self):
        while not self.ended.wait(2):
            self.assign()

    def write(self, key, row, updates):
        expected = {n: {"Value": row[n]} if n in row else {"Exists": False} for n in ("leaseOwner", "checkpointOwner")}
        return call("dynamodb.UpdateItem", TableName=TABLE, Key={"leaseKey": {"S": key}}, AttributeUpdates=updates, Expected=expected)

    def give(self, key, row, worker):
        add = lambda: {"Value": {"N": "1"}, "Action": "ADD"}
        updates = {"leaseOwner": {"Value": {"S": worker}, "Action": "PUT"}, "checkpointOwner": {"Action": "DELETE"}, "leaseCounter": add()}
        if text(row, "leaseOwner") not in (None, worker) or text(row, "checkpointOwner") == worker:
            updates["ownerSwitchesSinceCheckpoint"] = add()
        return self.write(key, row, updates)

    def assign(self):
        now, table = time.monotonic(), rows()
        metrics = [row for row in table.values() if text(row, "entityType") == "WORKER_METRIC_STATS"]
        alive = {text(row, "leaseKey") for row in metrics if time.time() - int(row["lut"]["N"]) < 60}
        have, free = {worker: [] for worker in alive}, []
        for key, row in table.items():
            if "leaseCounter" not in row or row["checkpoint"]["S"] == "SHARD_END":
                continue
            if self.seen.get(key, (None, 0))[0] != row["leaseCounter"]["N"]:
                self.seen[key] = (row["leaseCounter"]["N"], now)
            expired = "leaseOwner" not in row or now - self.seen[key][1] > FAILOVER
            overdue = "checkpointOwner" in row and now - self.asked.get(key, now) > 30 + FAILOVER
            if expired or overdue:
                self.forced += "checkpointOwner" in row
                free.append((key, row))
            elif text(row, "leaseOwner") in have:
                have[text(row, "leaseOwner")].append((key, row))
        if not have:
            return
        dead = {text(row, "checkpointOwner") or text(row, "leaseOwner") for _, row in free}
        for key, row in free:
            to = min(have.keys() - dead or have, key=lambda worker: len(have[worker]))
            have[to].append((key, row))
            self.give(key, row, to)
        least, most = (pick(have, key=lambda worker: len(have[worker])) for pick in (min, max))
        if not free and len(have[most]) - len(have[least]) > 1:
            key, row = next(((k, r) for k, r in have[most] if "checkpointOwner" not in r), (None, None))
            if key:
                self.asked[key] = now
                put = lambda worker: {"Value": {"S": worker}, "Action": "PUT"}
                self.write(key, row, {"leaseOwner": put(least), "checkpointOwner": put(most)})


def leader(python):
    """Part 2: a leader assigns, until a rollback makes takers of all."""
    print("part 2: our workers under a leader of 3.x")
    fleet = Fleet(python, shards=6)
    try:
        chief = Leader()
        chief.prepare()
        chief.sync(fleet.open_shards())
        fleet.start("ours-1", "participant3x")
        until("our worker reports itself", lambda: "ours-1" in rows(), 60)
        time.sleep(5)
        assert not any("leaseOwner" in row for row in leases().values()), "a participant took a lease"
        chief.start()
        until("all are assigned", lambda: owners() == {"ours-1": 6} and fleet.settled(), 120)
        fleet.start("ours-2", "participant3x")
        until("half is handed over", lambda: owners() == {"ours-1": 3, "ours-2": 3} and fleet.settled(), 180)
        assert chief.forced == 0, "a hand-over had to be forced"
        fleet.reshard()
        until("children are assigned", fleet.settled, 120)
        fleet.kill("ours-2")
        until("the dead has lost its leases", fleet.settled, 120)
        fleet.start("ours-3", "participant3x")
        until("leases are spread again", lambda: set(owners()) == {"ours-1", "ours-3"} and fleet.settled(), 180)
        chief.ended.set()
        chief.join()
        chief.version("CLIENT_VERSION_2X")
        fleet.kill("ours-1")
        until("rolled back, the rest is taken", fleet.settled, 120)
        fleet.finish()
    finally:
        fleet.end()


def install(folder):
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    if subprocess.run([python, "-c", "import kcl_rs"], stderr=subprocess.DEVNULL).returncode:
        subprocess.run([python, "-m", "pip", "install", "--quiet", "kcl-rs==0.1.4"], check=True)
    return python


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("part", nargs="?", choices=["taker", "leader"])
    arguments.add_argument("--venv", type=pathlib.Path)
    arguments = arguments.parse_args()
    for package, example in (("local-aws", "serve"), ("kcl", "worker")):
        subprocess.run(["cargo", "build", "--quiet", "-p", package, "--example", example], cwd=ROOT, check=True)
    python = None
    if arguments.part != "leader":
        python = install(arguments.venv or pathlib.Path(tempfile.mkdtemp(prefix="kcl-rs-")))
    for part in (taker, leader):
        if arguments.part in (None, part.__name__):
            part(python)
    print("held")


if __name__ == "__main__":
    main()
