"""What the chart renders for an emulator, run as processes: the hook, every Deployment, then the test.

Each has the arguments, variables and files of its pod. What they call has to be allowed by the policies in helm/rapids/iam.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import urllib.request

from calls import Recorder, refused
from harness import BINARIES, complain, free_ports, start, until
from helm_chart import of_kind, pods_of
from helm_guide import GUIDE
from helm_objects import PROGRAMS
from helm_roles import ONLY_HERE, POLICIES, allowed_to

# Faster than in a cluster, so that a test of pings does not wait for half a minute.
HASTE = {"monitor": {"RAPIDS_PING_EVERY": "2s"}}


class Pods:
    """The pods of a render as processes. Another than there is only what `env` says."""

    def __init__(self, its, recorder, scratch):
        self.its, self.recorder, self.scratch, self.running = its, recorder, scratch, {}
        (self.stage,) = {
            one["value"] for it in pods_of(its) for one in it[1]["containers"][0]["env"] if one["name"] == "RAPIDS_STAGE"
        }

    def env(self, who, container):
        told = {it["name"]: it["value"] for it in container.get("env", [])}
        here = {"AWS_ENDPOINT_URL": self.recorder.url, "AWS_ACCESS_KEY_ID": who, "PATH": os.environ["PATH"]}
        return {**told, **here, **HASTE.get(who, {})}

    def program(self, container):
        return BINARIES / re.sub(r"[:@].*", "", container["image"].rsplit("/", 1)[-1])

    def once(self, who, container, arguments=None):
        command = [self.program(container), *(arguments or container["args"])]
        return subprocess.run(command, env=self.env(who, container), capture_output=True, text=True, timeout=120)

    def start(self):
        deployments = of_kind(self.its, "Deployment")
        ports = free_ports(len(deployments))
        for (one, it), port in zip(deployments.items(), ports, strict=True):
            (container,) = it["spec"]["template"]["spec"]["containers"]
            who = container["name"]
            config = self.scratch / f"{who}.toml"
            config.write_text(of_kind(self.its, "ConfigMap")[one]["data"]["config.toml"])
            env = {**self.env(who, container), "RAPIDS_CONFIG": str(config), "RAPIDS_ADMIN__ADDRESS": f"127.0.0.1:{port}"}
            output = (self.scratch / f"{who}.log").open("w")
            process = start(self.program(container), env=env, stdout=output, stderr=subprocess.STDOUT)
            self.running[who] = (process, container, port, it["spec"]["template"]["spec"]["terminationGracePeriodSeconds"])
        for who, (process, container, port, _) in self.running.items():
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                path = container[probe]["httpGet"]["path"]
                until(f"{who}, {probe}", lambda: self.answers(who, process, f"http://127.0.0.1:{port}{path}"))

    def answers(self, who, process, url):
        if process.poll() is not None:
            sys.exit(f"{who} ended: {(self.scratch / f'{who}.log').read_text()[-3000:]}")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=3) as it:
            return it.status == 200
        return False

    def end(self):
        for process, *_ in self.running.values():
            process.terminate()
        for who, (process, _, _, grace) in self.running.items():
            try:
                code = process.wait(grace)
            except subprocess.TimeoutExpired:
                complain(f"{who} would be killed: it does not end within {grace} s")
                continue
            if code:
                complain(f"{who} ends with {code}: {(self.scratch / f'{who}.log').read_text()[-1000:]}")


def installed(its, scratch):
    """ci/local.yaml, as `helm install` and `helm test` do it. Without the programs: nothing."""
    missing = [name for name in PROGRAMS + ["rapids"] if name != "archive" and not (BINARIES / name).exists()]
    if missing:
        print(f"      not built, so not run: {', '.join(missing)}")
        return
    emulator = start(
        BINARIES / "rapids", "up", "--port", "0", "--admin-port", "0", "--embedded-services", "none", "--json",
        env={"PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    recorder = Recorder(json.loads(emulator.stdout.readline())["environment"]["AWS_ENDPOINT_URL"])
    pods = Pods(its, recorder, scratch)
    for job in of_kind(its, "Job").values():
        done = pods.once("bootstrap", job["spec"]["template"]["spec"]["containers"][0])
        if done.returncode:
            sys.exit(f"the hook {job['metadata']['name']} fails: {done.stderr}")
    pods.start()
    (test,) = of_kind(its, "Pod").values()
    (container,) = test["spec"]["containers"]
    # The chart's, and the one that the guide has for a stage without the travel scenario.
    other = ["tail", "--type=system.Pong", "--since=2m", "--max=1"]
    if f"arguments: [{', '.join(other)}]" not in GUIDE.read_text():
        complain(f"{GUIDE.name} has another test than {other}")
    for arguments in (container["args"], other):
        # It is about seconds, and this machine may have others to do: as the guide says, once more.
        for _ in range(3):
            done = pods.once("test", container, arguments)
            if done.returncode == 0:
                break
        else:
            complain(f"helm test fails: rapids {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    print(f"      the hook, {len(pods.running)} Deployments and `rapids {' '.join(container['args'])}` have run")
    pods.end()
    emulator.terminate()
    for who in ("bootstrap", "test", *pods.running):
        called(who, recorder.of(who), pods.stage)


def called(who, seen, stage):
    component = "reader" if who == "rapids-reader" else who
    allowed = allowed_to(component, stage)
    for action, resource in refused(seen, allowed):
        complain(f"{component} calls {action} on {resource}, and its policy does not allow it")
    # Of what cfn/ has too, `.ci/cfn` says whether it is used.
    own = {action for _, action, _ in ONLY_HERE.get("service" if component not in POLICIES else component, [])}
    if component in ("bootstrap", "test"):
        own = {action for action, _ in allowed if not action.startswith("kms:")}
    for action in sorted(own - {action for action, _ in seen}):
        complain(f"{component} may {action}, and does not")
