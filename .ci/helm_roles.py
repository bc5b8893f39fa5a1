"""The policies in helm/rapids/iam: those of cfn/, which `.ci/cfn` compares with what the programs do, and what is only done here."""

import json
import os
import re
import subprocess
import sys

from calls import ACCOUNT, REGION, permissions
from cfn_templates import load
from harness import complain, is_made
from helm_chart import CHART

IAM = CHART / "iam"
# Which conditions of a role in cfn/ each policy is for. What is not named there, a policy has that none of them asks for.
POLICIES = {
    "reader": ("data-plane.yml", {"Publishes"}),
    "control-plane": ("control-plane.yml", set()),
    "service": ("service.yml", {"HasPond"}),
    "monitor": ("service.yml", {"IsWatching"}),
    "archive": ("service.yml", {"IsArchive"}),
}
# In a file of its own: the reader has it where it is pushed to.
FAN_OUT = "FansOut"
# What programs do here and not on ECS, where templates make tables and name the topic.
ONLY_HERE = {
    "reader": [
        ("MakesItsTable", "dynamodb:CreateTable", "table/rapids-reader-${stage}"),
        ("FindsTheTopic", "sns:CreateTopic", "Rapids-${stage}"),
    ],
    "control-plane": [
        ("MakesItsTable", "dynamodb:CreateTable", "table/control-plane-${stage}"),
        ("FindsTheTopic", "sns:CreateTopic", "Rapids-${stage}"),
    ],
    "service": [("MakesItsTable", "dynamodb:CreateTable", "table/Pond-${service}-${stage}")],
}
PLACEHOLDERS = {
    "AWS::Partition": "partition",
    "AWS::Region": "region",
    "AWS::AccountId": "account",
    "Stage": "stage",
    "River": "river",
    "ServiceName": "service",
    "ArchiveBucketName": "bucket",
    "FanOut": "consumer",
}


def iam(bless):
    made = {}
    for name, (template, chosen) in POLICIES.items():
        found, others = task_role(template, chosen)
        made[name] = found + [allow(*it) for it in ONLY_HERE.get(name, [])]
        if name == "reader":
            made["fan-out"] = others[FAN_OUT]
    for name, statements in made.items():
        text = laid_out({"Version": "2012-10-17", "Statement": statements}) + "\n"
        is_made(IAM / f"{name}.json", text, bless)
    for path in IAM.glob("*.json"):
        statements = json.loads(path.read_text())["Statement"]
        if len({it["Sid"] for it in statements}) != len(statements):
            complain(f"{path.name}: a Sid is there twice")
        for it in statements:
            if any(resource == "*" or action.endswith(":*") for action, resource in permissions({"Statement": [it]})):
                complain(f"{path.name}: {it['Sid']} allows everything")


def allow(sid, action, resource):
    where = f"arn:${{partition}}:{action.split(':')[0]}:${{region}}:${{account}}:{resource}"
    return {"Sid": sid, "Effect": "Allow", "Action": [action], "Resource": where}


def task_role(template, chosen):
    """Statements of a role where these conditions hold, and those of each other condition."""
    role = load(template)["Resources"]["TaskRole"]["Properties"]
    (policy,) = role["Policies"]
    held, others = [], {}
    for statement in policy["PolicyDocument"]["Statement"]:
        if "!If" not in statement:
            held.append(flat(statement))
            continue
        condition, statement, _ = statement["!If"]
        (held if condition in chosen else others.setdefault(condition, [])).append(flat(statement))
    return held, others


def flat(it):
    match it:
        case {"!Sub": str(text)}:
            return re.sub(r"\$\{([A-Za-z:]+)\}", lambda found: f"${{{PLACEHOLDERS[found[1]]}}}", text)
        # A key that is found by its alias, whatever that is.
        case {"!If": ["DefaultKey", *_]}:
            return "${key}"
        # Programs make ponds here, and a version's is told by its service's name.
        case {"!If": ["MakesPond", _, other]} | {"!If": ["HasVariant", _, other]}:
            return flat(other)
        case dict():
            unknown = [key for key in it if key.startswith("!")]
            if unknown:
                sys.exit(f"WRONG the roles of cfn/ have {it}, and .ci/helm does not know what that is here")
            return {key: flat(value) for key, value in it.items()}
        case list():
            return [flat(value) for value in it]
        case _:
            return it


def laid_out(it, depth=0):
    one, blanks = json.dumps(it), "  " * depth
    if depth and len(one) + len(blanks) < 100 and not (isinstance(it, dict) and "Sid" in it):
        return one
    if isinstance(it, dict):
        lines, ends = [f"{json.dumps(key)}: {laid_out(value, depth + 1)}" for key, value in it.items()], "{}"
    else:
        lines, ends = [laid_out(value, depth + 1) for value in it], "[]"
    return ends[0] + "\n" + ",\n".join(f"{blanks}  {line}" for line in lines) + f"\n{blanks}{ends[1]}"


def allowed_to(component, stage):
    """Actions with their resources, as `roles --print` fills them in."""
    env = {"PATH": os.environ["PATH"], "AWS_REGION": REGION}
    options = ["--print", "--stage", stage, "--account", ACCOUNT, "--bucket", "example-events"]
    done = subprocess.run([IAM / "roles", *options, component], env=env, capture_output=True, text=True)
    if done.returncode or "${" in done.stdout:
        complain(f"roles --print {component}: {done.stderr}{done.stdout if '${' in done.stdout else ''}")
        return []
    return list(permissions(json.loads(done.stdout)))
