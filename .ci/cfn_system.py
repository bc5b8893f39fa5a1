"""The programs on the stacks that cfn/deploy made: what they do in a day, and whether their roles allow just that."""

import fnmatch
import json
import re
import subprocess

from calls import covers, permissions, refused
from cfn_stacks import STAGE
from cfn_templates import must
from harness import BINARIES, complain, free_ports, run, start, stop, until

SCENARIO = ["segmentation", "membership", "location", "brand", "offer-engine", "monitor"]
PROGRAMS = {"control-plane": "control-plane", "data-plane": "rapids-reader", **{name: name for name in [*SCENARIO, "archive"]}}
# Faster than in production, so that all of it is seen.
HASTE = {
    "monitor": {"RAPIDS_PROBE__EVERY": "3s", "RAPIDS_PING_EVERY": "3s", "RAPIDS_WANTED_EVERY": "2s"},
    "archive": {"RAPIDS_FLUSH_EVERY": "1s", "RAPIDS_COMPACT_EVERY": "3s"},
}
# Allowed, and not called in this run: why it is allowed.
UNUSED = {
    "* kms:*": "called by the services of AWS, for the task",
    "*-plane dynamodb:DeleteItem table/NAME": "the lease of a shard that is gone",
    "*-plane dynamodb:GetItem table/NAME": "a lease that somebody else wrote meanwhile",
    "control-plane dynamodb:*Item table/Topics": "what `rapids apply` says of topics",
    "control-plane sqs:DeleteQueue *": "a river that was removed 16 minutes ago and is empty",
    "service dynamodb:DeleteItem table/Pond-NAME": "the outbox, once an event is on the rapids",
    "service sqs:ChangeMessageVisibility NAME": "an event that takes long, or is tried again later",
    "service s3:AbortMultipartUpload *": "a file over 10 MiB that failed half way",
    "service s3:DeleteObject *": "files that were put together an hour ago",
    "service s3:ListBucket *": "files that no entry of the log names",
}


class System:
    def __init__(self, cloud, scratch):
        self.cloud, self.running = cloud, {}
        ports = dict(zip(PROGRAMS, free_ports(len(PROGRAMS)), strict=True))
        for name, program in PROGRAMS.items():
            definition = cloud.client("ecs").describe_task_definition(taskDefinition=f"rapids-{STAGE}-{program}")["taskDefinition"]
            (container,) = definition["containerDefinitions"]
            must(name, container["image"] == f"registry.test/rapids/{program}:test", f"runs {container['image']}")
            told = {it["name"]: it["value"] for it in container["environment"]}
            env = cloud.env(program, **told, **HASTE.get(name, {}), RAPIDS_ADMIN__ADDRESS=f"127.0.0.1:{ports[name]}")
            env["RAPIDS_LOG__FILTER"] = "warn"
            process = start(BINARIES / program, env=env, stdout=(scratch / f"{name}.log").open("w"), stderr=subprocess.STDOUT)
            self.running[name] = (process, program, env)
        for name, (process, program, env) in self.running.items():
            until(f"{name} is healthy", lambda: self.healthy(name, process, program, env, scratch))

    def healthy(self, name, process, program, env, scratch):
        if process.poll() is not None:
            raise SystemExit(f"{name} ended: {(scratch / f'{name}.log').read_text()[-3000:]}")
        return subprocess.run([BINARIES / program, "health"], env=env, capture_output=True).returncode == 0

    def rapids(self, *arguments):
        return run(BINARIES / "rapids", "--stage", STAGE, *arguments, env=self.cloud.env("operator"))

    def put(self, stream, data):
        self.cloud.client("kinesis").put_record(StreamName=f"{stream}-{STAGE}", PartitionKey="x", Data=data)

    def session(self):
        """All that programs do in a day: subscriptions come and go, an experiment, poison, what is no event and no command."""
        self.rapids("subscribe", "offers", "OffersSelected", "--wait", "60")
        for river, topics in {"offer-engine": 2, "location": 3, "brand": 2, "membership": 1, "segmentation": 1, "monitor": 1, "archive": 1}.items():
            until(f"{river} is subscribed", lambda: len(json.loads(self.rapids("listsubs", river, "--json") or "[]")) >= topics)
        self.rapids("experiment", "start", "ranking", "--arms", "control:50,bold:50", "--on", "ViewPage", "--unit", "/payload/name")
        self.rapids("advertise", "ViewPage")
        self.rapids("subscribe", "extra", "ViewPage", "--wait", "60")
        self.rapids("rivers", "remove", "extra")
        self.put("Rapids", b"no event")
        self.put("Rapids", json.dumps({"eventType": "OfferProposed", "eventDomain": "x", "payload": {"poison": True}, "timestamp": "2026-01-01T00:00:00.000Z", "eventId": "poison"}).encode())
        self.put("Control", b'{"command":"subscribe","commandArgs":{"river":"a b","topic":"ViewPage"}}')
        # The first one may be too slow for the window, with programs that have just started.
        for left in reversed(range(5)):
            bases = self.selection_for(self.view())
            if bases[0] == "segment+tier" or not left:
                break
        print("      Sally is offered", bases)
        must("Sally", bases[0] == "segment+tier", f"is offered {bases}")
        for queue in ("Rapids", "Control"):
            until(f"the quarantine {queue} has it", lambda: self.depth(f"{queue}-{STAGE}-dlq"))

    def view(self):
        return json.loads(self.rapids("send", "ViewPage", "TheSource", '{"name":"Sally"}', "--json"))["eventId"]

    def selection_for(self, view):
        def found():
            for message in json.loads(self.rapids("readfrom", "offers", "--wait", "5", "--json")):
                event = json.loads(message["Message"]) if "Message" in message else message
                if event["correlationId"] == view:
                    return [offer["basis"] for offer in event["payload"]["offers"]]
            return None

        return until("a selection for Sally", found)

    def depth(self, queue):
        sqs = self.cloud.client("sqs")
        url, name = sqs.get_queue_url(QueueName=queue)["QueueUrl"], "ApproximateNumberOfMessages"
        return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])

    def all_is_there(self):
        """`rapids doctor` misses nothing, and warns only of what this day left in quarantines and what ministack cannot do."""
        findings = json.loads(self.rapids("doctor", "--json"))["findings"]
        for it in findings:
            known = it["what"].startswith(("quarantine ", "queue ", "river offer-engine")) or "not encrypted at rest" in it["says"]
            must("rapids doctor", it["level"] == "ok" or (it["level"] == "warn" and known), f"{it['what']}: {it['says']}")
        print(f"      rapids doctor: {len(findings)} findings")

    def end(self):
        stop(*(process for process, *_ in self.running.values()))


# -- Roles


def roles(cloud):
    unused, used = {}, set()
    for stack, program in PROGRAMS.items():
        template, allowed = stack if stack.endswith("-plane") else "service", allowed_to(cloud, program)
        seen = cloud.calls.of(program)
        if not seen:
            complain(f"{program} calls nothing")
        for action, resource in refused(seen, allowed):
            complain(f"{program} calls {action} on {resource}, and its role refuses it")
        for action, where in allowed:
            what = template, action, re.sub(r"^.*:", "", where).replace(f"-{STAGE}", "").replace(program, "NAME")
            if any(covers((action, where), call) for call in seen):
                used.add(what)
            else:
                unused.setdefault(what, program)
    for what, program in sorted(unused.items()):
        if what not in used and not any(fnmatch.fnmatchcase(" ".join(what), known) for known in UNUSED):
            complain(f"{' '.join(what)} is allowed, for example to {program}, and no program calls it")
    print(f"      {len(used)} permissions are used, {len(unused.keys() - used)} are for what did not happen")


def allowed_to(cloud, program):
    """Actions with their resources, as the role that was made has them."""
    definition = cloud.client("ecs").describe_task_definition(taskDefinition=f"rapids-{STAGE}-{program}")["taskDefinition"]
    allowed, iam, name = [], cloud.client("iam"), definition["taskRoleArn"].rsplit("/", 1)[-1]
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        allowed += permissions(iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"])
    return allowed
