"""The stacks that cfn/deploy makes on ministack."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import botocore.session

from calls import REGION, Recorder
from cfn_templates import CFN, must
from harness import BINARIES, free_ports, run, start, until

STAGE, TWIN = "test", "twin"


class Cloud:
    def __init__(self, tools, scratch):
        self.tools, self.session = tools, botocore.session.Session()
        (port,) = free_ports(1)
        self.direct = f"http://127.0.0.1:{port}"
        env = {**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "MINISTACK_HOST": "127.0.0.1"}
        self.process = start(tools / "ministack", env=env, cwd=scratch, stdout=(scratch / "ministack.log").open("w"), stderr=subprocess.STDOUT)
        until("ministack answers", self.answers)
        self.calls = Recorder(self.direct)

    def answers(self):
        with contextlib.suppress(urllib.error.HTTPError, OSError):
            urllib.request.urlopen(self.direct, timeout=2).close()
            return True
        return False

    def env(self, who, **more):
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RAPIDS_"))},
            "AWS_ENDPOINT_URL": self.calls.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": who,
            "AWS_SECRET_ACCESS_KEY": "none",
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            **more,
        }

    def client(self, service):
        """Of the package that the aws command is made of, for each command takes half a second."""
        names = {"aws_access_key_id": "operator", "aws_secret_access_key": "none", "region_name": REGION}
        return self.session.create_client(service, endpoint_url=self.direct, **names)

    def deploy(self, folder, *arguments):
        code, said = self.try_to_deploy(folder, *arguments)
        # The aws command names change sets by the second, and ministack makes a stack within one.
        if code and "AlreadyExistsException" in said:
            code, more = self.try_to_deploy(folder, *arguments)
            said += more
        if code:
            sys.exit(f"{said}\ncfn/deploy {' '.join(arguments)}: exit {code}")
        return said

    def try_to_deploy(self, folder, *arguments):
        env = self.env("operator", AWS_ENDPOINT_URL=self.direct)
        command = [folder / "deploy", "--stage", STAGE, *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
        return done.returncode, done.stdout


def copied(scratch):
    folder = scratch / "cfn"
    shutil.copytree(CFN, folder)
    for path in folder.glob("*.yml"):
        text, found = re.subn(r"(?m)^( +DesiredCount:) !(Ref|If).*$", r"\1 0", path.read_text())
        must(path.name, found == (path.name != "rapids-and-rivers-inf.yml"), f"{found} counts of tasks")
        path.write_text(text)
    return folder


def where():
    return ["--registry", "registry.test/", "--tag", "test", "--cluster", "rapids", "--subnets", "subnet-1a, subnet-1b", "--security-groups=sg-1"]


def deployed(cloud, folder):
    cloud.client("ecs").create_cluster(clusterName="rapids")
    refused(cloud, folder, "is the stage test meant", *where(), "location")
    # In one pass instead of two; `lives` has the other way.
    given = ["--parameter", "ArchiveBucket=yes", "--parameter", "RapidsStreamShards=2", "--parameter", "DeletionProtection=yes"]
    cloud.deploy(folder, *where(), *given, "archive", "all")
    said = cloud.deploy(folder, "inf")
    must("cfn/deploy", "No changes to deploy" in said, f"a second time it changes something: {said}")
    for stack in cloud.client("cloudformation").describe_stacks()["Stacks"]:
        must(stack["StackName"], stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), stack["StackStatus"])
        given = {it["ParameterKey"]: it["ParameterValue"] for it in stack["Parameters"]}
        program = f"/usr/local/bin/{given.get('ServiceName')}"
        must(stack["StackName"], given.get("Program", program) == program, f"its program is {given.get('Program')}")
    for name in cloud.client("dynamodb").list_tables()["TableNames"]:
        protected(cloud, name)


def protected(cloud, table):
    described = cloud.client("dynamodb").describe_table(TableName=table)["Table"]
    must(table, described["DeletionProtectionEnabled"] is True, "can be deleted by mistake")


def refused(cloud, folder, why, *arguments):
    code, said = cloud.try_to_deploy(folder, *arguments)
    must(f"cfn/deploy {' '.join(arguments)}", code == 64 and why in said, f"exit {code}: {said}")


def lives(cloud, folder):
    """A service that cannot be created leaves nothing and is created then; one that was deleted leaves its data, and takes it again."""
    stack, pond, logs = f"rapids-{STAGE}-greet-er-next", f"Pond-greet_er-next-{STAGE}", f"/rapids/{STAGE}/greet_er-next"
    cloudformation = cloud.client("cloudformation")
    greeter = ["greet_er", "--variant", "next", "--parameter", "Shadow=yes"]
    refused(cloud, folder, "no template of greet_er has the parameter RapidsStreamShards", *where(), *greeter, "--parameter", "RapidsStreamShards=1")

    # Another service has the name, so that only the last resource cannot be made.
    other = {"cluster": "rapids", "serviceName": f"rapids-{STAGE}-greet_er-next", "taskDefinition": f"rapids-{STAGE}-brand", "desiredCount": 0}
    cloud.client("ecs").create_service(**other)
    code, said = cloud.try_to_deploy(folder, *where(), *greeter)
    must("a name that is taken", code == 1 and "not idempotent" in said, f"exit {code}: {said}")
    cloud.client("ecs").delete_service(cluster=other["cluster"], service=other["serviceName"], force=True)
    must("a creation that failed", not left(cloud, pond, logs), f"left {left(cloud, pond, logs)}")
    namespaces = cloud.client("servicediscovery")
    namespaces.create_private_dns_namespace(Name="test.internal", Vpc="vpc-1")
    namespace = until("the namespace is made", lambda: [it["Id"] for it in namespaces.list_namespaces()["Namespaces"]])[0]
    said = cloud.deploy(folder, *where(), *greeter, "--parameter", f"DiscoveryNamespace={namespace}")
    found = [it["Name"] for it in namespaces.list_services()["Services"]]
    must("tasks for Prometheus", found == [f"greet_er-next-{STAGE}"], f"are called {found}")
    must("the second try", "the empty stack is removed" in said, said)
    must("the second try", left(cloud, pond, logs) == [pond, logs], f"made {left(cloud, pond, logs)}")
    protected(cloud, pond)
    definition = cloud.client("ecs").describe_task_definition(taskDefinition=stack.replace("greet-er", "greet_er"))["taskDefinition"]
    (container,) = definition["containerDefinitions"]
    told = {it["name"]: it["value"] for it in container["environment"]}
    must("a variant", container["image"] == "registry.test/rapids/greet_er:test", f"runs {container['image']}")
    must("a variant", (told["RAPIDS_VARIANT"], told["RAPIDS_RIVER"], told["RAPIDS_SHADOW"]) == ("next", "greet_er-next", "true"), str(told))

    cloudformation.delete_stack(StackName=stack)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
    must("a service that was deleted", left(cloud, pond, logs) == [pond, logs], f"left {left(cloud, pond, logs)}")
    cloud.deploy(folder, *where(), *greeter, "--parameter", "Existing=yes")
    made = {it["LogicalResourceId"] for it in cloudformation.describe_stack_resources(StackName=stack)["StackResources"]}
    must("a service that takes its data again", "Service" in made and not made & {"PondTable", "Logs"}, f"makes {made}")


def left(cloud, pond, logs):
    tables, groups = cloud.client("dynamodb").list_tables()["TableNames"], cloud.client("logs").describe_log_groups()["logGroups"]
    return [it for it in (pond, logs) if it in tables or it in [group["logGroupName"] for group in groups]]


def same_as_bootstrap(cloud):
    """`rapids bootstrap` makes what the template makes: the same tables, streams, queues and topic."""
    run(BINARIES / "rapids", "bootstrap", "--stage", TWIN, env=cloud.env("operator"))
    before = resources(cloud, STAGE)
    said = run(BINARIES / "rapids", "bootstrap", "--stage", STAGE, env=cloud.env("operator"))
    must("rapids bootstrap", resources(cloud, STAGE) == before, f"changes what the template made: {said}")
    twin = resources(cloud, TWIN)
    for name in sorted(before.keys() | twin.keys()):
        if name.startswith("Pond-") or name in ("rapids-reader", "control-plane"):
            continue  # Ponds and leases: programs make them where no template did.
        must(name, before.get(name) == twin.get(name), f"the template makes {before.get(name)}, rapids bootstrap {twin.get(name)}")


def resources(cloud, stage):
    found, dynamodb = {}, cloud.client("dynamodb")
    for name in dynamodb.list_tables()["TableNames"]:
        if name.endswith(f"-{stage}"):
            it = dynamodb.describe_table(TableName=name)["Table"]
            indexes = [(one["IndexName"], one["KeySchema"], one["Projection"]) for one in it.get("GlobalSecondaryIndexes", [])]
            attributes = sorted(it["AttributeDefinitions"], key=json.dumps)
            found[name.removesuffix(f"-{stage}")] = ("table", it["KeySchema"], attributes, indexes, it["BillingModeSummary"]["BillingMode"])
    names = {
        "stream": cloud.client("kinesis").list_streams()["StreamNames"],
        "queue": [url.rsplit("/", 1)[-1].removesuffix("-dlq") for url in cloud.client("sqs").list_queues()["QueueUrls"]],
        "topic": [it["TopicArn"].rsplit(":", 1)[-1] for it in cloud.client("sns").list_topics()["Topics"]],
    }
    for kind, its in names.items():
        found |= {f"{kind} {name.removesuffix(f'-{stage}')}": True for name in its if name.endswith(f"-{stage}")}
    return found
