"""The archive as its own process, killed again and again: each view that was sent has one row in the end, also when it
came twice, and still after its files were put together; `rapids query` says so."""

import atexit
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

BINARIES = sys.argv[1] if len(sys.argv) > 1 else "target/debug"
VIEWS = 300
COPIES = 100
KILLS = 5
PATIENCE_S = 90

processes = []
folder = tempfile.TemporaryDirectory()


@atexit.register
def end_what_is_left():
    for process in processes:
        if process.poll() is None:
            process.kill()


def start(name, *arguments, **options):
    process = subprocess.Popen([f"{BINARIES}/{name}", *arguments], **options)
    processes.append(process)
    return process


up = start("rapids", "up", "--port", "0", "--admin-port", "0", "--embedded-services", "control-plane,rapids-reader",
           "--json", stdout=subprocess.PIPE, text=True)
told = json.loads(up.stdout.readline())
plain = {**os.environ, **told["environment"], "RAPIDS_ARCHIVE": folder.name}
env = {**plain, "RAPIDS_ADMIN__ADDRESS": "127.0.0.1:0", "RAPIDS_LOG__FILTER": "warn", "RAPIDS_VISIBILITY": "3s",
       "RAPIDS_FLUSH_EVERY": "200ms", "RAPIDS_COMPACT_EVERY": "1h"}


def rapids(*arguments, **options):
    done = subprocess.run([f"{BINARIES}/rapids", *arguments], env=plain, capture_output=True, text=True, **options)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def query(sql):
    rows = rapids("query", "--format", "json", sql)
    return [json.loads(row) for row in rows.splitlines()]


def until(what, condition):
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, f"in vain: {what}"
        time.sleep(0.2)


def put(event):
    """An event onto the rapids, byte for byte; the embedded AWS checks no signature."""
    record = {"StreamName": "Rapids-dev", "PartitionKey": "any", "Data": base64.b64encode(event.encode()).decode()}
    request = urllib.request.Request(told["aws"], json.dumps(record).encode(), {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "Kinesis_20131202.PutRecord",
        "authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/kinesis/aws4_request, "
                         "SignedHeaders=host, Signature=0",
    })
    urllib.request.urlopen(request).close()


def archive(**options):
    return start("archive", env={**env, **options})


def counts():
    rows = query("select count(event_id) as n, count(distinct event_id) as ids, "
                 "count(distinct json(payload, 'n')) as views from ViewPage")
    return rows[0]


def log():
    """The entries, as anybody can read them."""
    names = sorted(name for name in os.listdir(f"{folder.name}/log") if name.endswith(".json"))
    return [json.load(open(f"{folder.name}/log/{name}")) for name in names]


def files():
    live = set()
    for entry in log():
        live |= {file["path"] for file in entry["add"]}
        live -= set(entry.get("remove", []))
    return live


writer = archive()
# Everything: the river is subscribed by the service itself, and subscriptions are listed once they are made.
until("the archive is subscribed", lambda: "*" in json.loads(rapids("listsubs", "archive", "--json") or "[]"))

# Most views by the script that the command reads, so that they come while the archive dies.
lines = "".join(f"send ViewPage TheSource '{{\"n\":{n}}}'\n" for n in range(VIEWS))
views = start("rapids", env=plain, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
views.stdin.write(lines)
views.stdin.close()
for _ in range(KILLS):
    time.sleep(0.7)
    writer.kill()
    writer.wait()
    writer = archive()
assert views.wait(timeout=PATIENCE_S) == 0
print(f"{VIEWS} views sent, the archive killed {KILLS} times")


def all_there():
    seen = counts()
    return seen["views"] == VIEWS


until("every view is archived", all_there)
assert counts() == {"n": VIEWS, "ids": VIEWS, "views": VIEWS}, counts()

# An hour that is long over, in several commits.
for n in range(4):
    old = {"eventType": "Old", "eventDomain": "TheSource", "eventId": f"old-{n}", "payload": {}, "timestamp": "2026-01-01T00:00:00.000Z"}
    put(json.dumps(old))
    until("an old event is archived", lambda: len(query("select 1 as x from events where event_type = 'Old'")) == n + 1)

# Copies, as a producer makes them that was not told that its record is there.
texts = [row["event"] for row in query(f"select event from ViewPage order by event_id limit {COPIES}")]
second = archive()  # Two writers share the river for these.
for text in texts:
    put(text)
last = json.loads(rapids("send", "ViewPage", "TheSource", f'{{"n":{VIEWS}}}', "--json"))["eventId"]
until("the last view is archived", lambda: query(f"select 1 as x from ViewPage where event_id = '{last}'"))
TOTAL = VIEWS + 1
assert counts() == {"n": TOTAL, "ids": TOTAL, "views": TOTAL}, counts()
print(f"one row for each of {TOTAL} views after {COPIES} copies")

for process in (writer, second):
    process.send_signal(signal.SIGTERM)
codes = [process.wait(timeout=PATIENCE_S) for process in (writer, second)]
assert codes == [0, 0], codes
compactor = archive(RAPIDS_COMPACT_EVERY="200ms")
until("files are put together", lambda: any(entry["why"] == "compact" for entry in log()))
until("old files are one", lambda: sum("event_type=Old/" in path for path in files()) == 1)
compactor.send_signal(signal.SIGTERM)
assert compactor.wait(timeout=PATIENCE_S) == 0
assert len(query("select event_id from events where event_type = 'Old'")) == 4
assert counts() == {"n": TOTAL, "ids": TOTAL, "views": TOTAL}, counts()
merged = [entry for entry in log() if entry["why"] == "compact"]
print(f"{sum(len(entry['remove']) for entry in merged)} files put together to {len(merged)}, and the same rows")

up.send_signal(signal.SIGTERM)
assert up.wait(timeout=PATIENCE_S) == 0
