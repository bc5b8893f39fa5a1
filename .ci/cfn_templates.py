"""The templates in cfn/: linted, what no emulator applies asserted on them, and the tables of their README."""

import json
import re
import subprocess

import yaml

import guides
from guides import between
from harness import ROOT, checkov, complain, is_made

CFN = ROOT / "cfn"
GUIDE, README = ROOT / "docs/deploy-ecs.md", CFN / "README.md"
SHORT = {"rapids-and-rivers-inf.yml": "inf", "control-plane.yml": "control-plane", "data-plane.yml": "data-plane", "service.yml": "service"}


class WithFunctions(yaml.SafeLoader):
    """Functions are maps of their names, such as `{"!Ref": "Stage"}`."""


def function(loader, name, node):
    if isinstance(node, yaml.ScalarNode):
        return {f"!{name}": loader.construct_scalar(node)}
    build = loader.construct_sequence if isinstance(node, yaml.SequenceNode) else loader.construct_mapping
    return {f"!{name}": build(node, deep=True)}


yaml.add_multi_constructor("!", function, WithFunctions)


def load(name):
    return yaml.load((CFN / name).read_text(), WithFunctions)


def lint(tools):
    templates = sorted(CFN.glob("*.yml"))
    done = subprocess.run([tools / "cfn-lint", *templates], capture_output=True, text=True)
    if done.returncode:
        complain(f"cfn-lint: {done.stdout[-4000:]}{done.stderr[-2000:]}")
    checkov(tools, CFN, "cloudformation")


def must(name, holds, what):
    if not holds:
        complain(f"{name}: {what}")


def promises():
    """What stays when a stack goes, what is encrypted, and who may use the key."""
    must("cfn", {it.name for it in CFN.glob("*.yml")} == set(SHORT), "has templates that nobody described")
    templates = {name: load(name) for name in SHORT}
    for name, template in templates.items():
        of_template(name, template)
    return templates


def of_template(name, template):
    for one, it in template["Resources"].items():
        at, kind, properties = f"{name}: {one}", it["Type"].removeprefix("AWS::"), it.get("Properties", {})
        if kind in ("DynamoDB::Table", "Kinesis::Stream", "SQS::Queue", "S3::Bucket", "KMS::Key", "Logs::LogGroup"):
            kept = it.get("DeletionPolicy"), it.get("UpdateReplacePolicy")
            must(at, kept == ("RetainExceptOnCreate", "Retain"), "goes with the stack, or is left by a creation that failed")
        match kind:
            case "DynamoDB::Table":
                must(at, properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}, "no point-in-time recovery")
                must(at, properties["SSESpecification"]["SSEType"] == "KMS" and "KMSMasterKeyId" in properties["SSESpecification"], "not with our key")
                must(at, properties["DeletionProtectionEnabled"] == {"!If": ["IsProtected", True, False]}, "can be deleted by mistake")
                capacity = properties["BillingMode"]
                asked_for = {"!If": [f"{one}Provisioned", "PROVISIONED", "PAY_PER_REQUEST"]}
                must(at, capacity in ("PAY_PER_REQUEST", asked_for), "has a capacity that nobody asked for")
                expires = properties.get("TimeToLiveSpecification")
                must(at, expires == ({"AttributeName": "ttl", "Enabled": True} if one == "PondTable" else None), "expiry belongs to ponds")
            case "Kinesis::Stream":
                must(at, properties["StreamEncryption"]["EncryptionType"] == "KMS", "not encrypted")
                must(at, properties["RetentionPeriodHours"] == {"!Ref": "RetentionHours"}, "keeps for as long as nobody said")
            case "SQS::Queue":
                must(at, "KmsMasterKeyId" in properties and properties["MessageRetentionPeriod"] == 14 * 24 * 3600, "not with our key, or not 14 days")
            case "SNS::Topic":
                must(at, "KmsMasterKeyId" in properties, "not with our key")
            case "KMS::Key":
                key(at, properties)
            case "IAM::Role":
                role(at, properties)
            case "ECS::TaskDefinition":
                task(at, properties)
            case "ECS::Service":
                must(at, properties["DeploymentConfiguration"]["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}, "no circuit breaker")
            case "CloudWatch::Alarm":
                must(at, "AlarmActions" in properties and properties["AlarmDescription"], "nobody is told, or of nothing")
                # Who does not read is not late.
                reads = one == "NobodyReads"
                must(at, not reads or properties["TreatMissingData"] == "breaching", "is silent where nobody reads")
            case "CloudWatch::Dashboard":
                dashboard(at, properties)
            case "ApplicationAutoScaling::ScalingPolicy":
                scaling(at, properties["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]["Metrics"])


def dashboard(at, properties):
    body, late = properties["DashboardBody"]["!Sub"]
    for way in late["Late"]["!If"][1:]:
        widgets = json.loads(re.sub(r"\$\{[A-Za-z:]+\}", "x", body.replace("${Late}", way["!Sub"])))["widgets"]
        must(at, len({(it["x"], it["y"]) for it in widgets}) == len(widgets), "has widgets on top of each other")


def scaling(at, metrics):
    """Of what is measured, one figure comes out, and all that it is made of is there."""
    (made,) = [it for it in metrics if it["ReturnData"]]
    names = set(re.findall(r"\b[a-z]\w*", made["Expression"]))
    must(at, names == {it["Id"] for it in metrics} - {made["Id"]}, f"computes with {names}")


def key(at, properties):
    must(at, properties["EnableKeyRotation"] is True, "does not rotate")
    for statement in properties["KeyPolicy"]["Statement"]:
        principal = statement["Principal"]
        own = principal.get("AWS") == {"!Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}
        must(at, principal != "*" and (own or statement.get("Condition")), f"{statement['Sid']} lets in more than it says")
    services = [str(it["Principal"].get("Service")) for it in properties["KeyPolicy"]["Statement"]]
    must(at, "sns.amazonaws.com" in services, "SNS cannot deliver to encrypted queues")


def role(at, properties):
    must(at, "RoleName" not in properties, "has a name, of stage, service and region, that may be longer than 64 characters")
    for policy in properties["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            statement = statement["!If"][1] if "!If" in statement else statement
            actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
            must(at, all(not it.endswith(":*") and it != "*" for it in actions), f"{statement['Sid']} allows all of a service")
            limits = {name for condition in statement.get("Condition", {}).values() for name in condition}
            is_limited = {"kms:ResourceAliases", "kms:ViaService"} <= limits
            must(at, is_limited or not any(it.startswith("kms:") for it in actions), f"{statement['Sid']} uses keys that are not the stage's")
            must(at, statement["Resource"] != "*" or actions == ["ecr:GetAuthorizationToken"], f"{statement['Sid']} is for everything")


def task(at, properties):
    (container,) = properties["ContainerDefinitions"]
    must(at, container["ReadonlyRootFilesystem"] is True and container["User"] == "65532:65532", "may write, or is root")
    grace = next(it["Value"] for it in container["Environment"] if it.get("Name") == "RAPIDS_SHUTDOWN__GRACE")
    must(at, int(grace.rstrip("s")) + 5 <= container["StopTimeout"] <= 120, "is killed while it settles its work")
    is_service = container["Name"] == {"!Ref": "ServiceName"}
    program, check = f"/usr/local/bin/{container['Name']}", container["HealthCheck"]
    if is_service:
        program, check = {"!Ref": "Program"}, check["!If"][1]
    must(at, check["Command"] == ["CMD", program, "health"], "is not asked by its own program")


def documents(templates, aws, scratch, bless):
    is_made(README, with_tables(README.read_text(), templates), bless)
    parameters = {name for template in templates.values() for name in template["Parameters"]}
    for document, calls in ((GUIDE, ["aws", "cargo", "docker", "git", "rapids"]), (README, [])):
        name, text = document.relative_to(ROOT), document.read_text()
        for key in re.findall(r"--parameter[ =]([A-Za-z]+)=", text):
            must(name, key in parameters, f"no template has the parameter {key}")
        guides.Guide(document, scratch / document.name, aws).check(*calls)
    alarms = {one for template in templates.values() for one, it in template["Resources"].items() if it["Type"] == "AWS::CloudWatch::Alarm"}
    missing = {it for it in alarms if f"`{it}`" not in GUIDE.read_text()}
    must("docs/deploy-ecs.md", not missing, f"says nothing of the alarms {missing}")


def with_tables(text, templates):
    """The tables between their marks, as the templates say."""
    rows, outputs = {}, []
    for file, template in templates.items():
        for name, it in template["Parameters"].items():
            default = it.get("Default")
            default = "needed" if default is None else f"`{default}`" if default != "" else "–"
            allowed = ", ".join(f"`{one}`" for one in it.get("AllowedValues", [])) or it.get("ConstraintDescription", "–")
            if "MinValue" in it:
                allowed = f"{it['MinValue']} to {it['MaxValue']}"
            rows.setdefault((name, default, allowed, it["Description"]), []).append(SHORT[file])
        outputs += [(name, SHORT[file], it["Description"]) for name, it in template["Outputs"].items()]
    lines = [f"| `{name}` | {', '.join(its)} | {default} | {allowed} | {what} |" for (name, default, allowed, what), its in rows.items()]
    text = between(text, "parameters", ["| parameter | template | default | allowed | meaning |", "|---|---|---|---|---|", *lines])
    lines = [f"| `{name}` | {it} | {what} |" for name, it, what in outputs]
    return between(text, "outputs", ["| output | template | meaning |", "|---|---|---|", *lines])
