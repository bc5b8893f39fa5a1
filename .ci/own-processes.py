"""Every daemon as its own process, from its own binary, against `rapids up`: Sally's offers come out right, a
SIGKILL of the offer engine inside its window loses nothing, and all stop cleanly on SIGTERM."""

import atexit
import json
import os
import signal
import subprocess
import sys
import time

BINARIES = sys.argv[1] if len(sys.argv) > 1 else "target/debug"
SUBSCRIBED = {
    "segmentation": ["ViewPage"],
    "membership": ["ViewPage"],
    "location": ["CustomerSegmented", "MembershipResolved", "ViewPage"],
    "brand": ["CustomerSegmented", "ViewPage"],
    "offer-engine": ["OfferProposed", "ViewPage"],
}
PATIENCE_S = 60

processes = []


@atexit.register
def end_what_is_left():
    for process in processes:
        if process.poll() is None:
            process.kill()


def start(name, *arguments, **options):
    process = subprocess.Popen([f"{BINARIES}/{name}", *arguments], **options)
    processes.append(process)
    return process


up = start("rapids", "up", "--port", "0", "--embedded-services", "none", "--json", stdout=subprocess.PIPE, text=True)
plain = {**os.environ, **json.loads(up.stdout.readline())["environment"]}
env = {**plain, "RAPIDS_ADMIN__ADDRESS": "127.0.0.1:0", "RAPIDS_LOG__FILTER": "warn", "RAPIDS_VISIBILITY": "5s"}
daemon_env = {**env}
del daemon_env["RAPIDS_VISIBILITY"]  # Only river services know it.


def rapids(*arguments):
    done = subprocess.run([f"{BINARIES}/rapids", *arguments], env=plain, capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stderr)
    return json.loads(done.stdout) if done.stdout.strip() else None


def until(what, condition):
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, f"in vain: {what}"
        time.sleep(0.1)


def selection_of(view):
    """The selection for a view, from the river that consumers of offers drink from."""
    found = []

    def arrived():
        for message in rapids("readfrom", "offers", "--wait", "5"):
            # By SNS it comes within a notification, directly, as while SNS learns a new filter, as it is.
            event = json.loads(message["Message"]) if "Message" in message else message
            if event["correlationId"] == view:
                found.append(event)
        return found

    until(f"a selection for {view}", arrived)
    ids = {event["eventId"] for event in found}
    assert len(ids) == 1, found
    bases = [offer["basis"] for offer in found[0]["payload"]["offers"]]
    assert bases[0] == "segment+tier", bases
    return bases


def view_page():
    return rapids("send", "ViewPage", "TheSource", '{"name":"Sally"}', "--json")["eventId"]


daemons = [start(name, env=daemon_env) for name in ("control-plane", "rapids-reader")]
services = {name: start(name, env=env) for name in SUBSCRIBED}
rapids("subscribe", "offers", "OffersSelected", "--wait", "30")
for river, topics in SUBSCRIBED.items():
    until(f"{river} is subscribed", lambda: set(topics) <= set(rapids("listsubs", river) or []))

print("offers:", selection_of(view_page()))

view = view_page()
time.sleep(0.7)  # Into the window of 2 s; whenever exactly, nothing may be lost.
services["offer-engine"].kill()
services["offer-engine"].wait()
services["offer-engine"] = start("offer-engine", env=env)
print("offers after a kill -9 of the engine:", selection_of(view))

running = [*daemons, *services.values(), up]
for process in running[:-1]:
    process.send_signal(signal.SIGTERM)
codes = [process.wait(timeout=PATIENCE_S) for process in running[:-1]]
up.send_signal(signal.SIGTERM)
codes.append(up.wait(timeout=PATIENCE_S))
assert codes == [0] * len(codes), codes
print("all", len(codes), "processes stopped with 0")
