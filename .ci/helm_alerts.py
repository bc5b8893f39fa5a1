"""The alerts in monitoring: by promtool, by the metrics that programs register, and by their runbooks and tests."""

import re
import shlex
import subprocess

import yaml

import guides
from harness import ROOT, complain, is_made
from helm_chart import CHART

MONITORING = ROOT / "monitoring"
RUNBOOKS = ROOT / "docs/runbooks"


def sources():
    files = [*ROOT.glob("crates/*/src/**/*.rs"), *ROOT.glob("services/*/src/**/*.rs")]
    return "\n".join(file.read_text() for file in files)


def alerts(tools, bless):
    original = (MONITORING / "alerts.yaml").read_text()
    is_made(CHART / "files/alerts.yaml", original, bless)
    done = subprocess.run([tools.promtool, "check", "rules", MONITORING / "alerts.yaml"], capture_output=True, text=True)
    if done.returncode:
        complain(f"promtool check rules: {done.stdout}{done.stderr}")
    rules = [rule for group in yaml.safe_load(original)["groups"] for rule in group["rules"]]
    names = {rule["alert"] for rule in rules if "alert" in rule}
    metrics(rules)
    runbooks(rules, names)
    tests = [yaml.safe_load(file.read_text()) for file in sorted(MONITORING.glob("*_test.yaml"))]
    groups = [group for test in tests for group in test["tests"]]
    for name in sorted(names):
        fires = silent = False
        for group in groups:
            for case in (it for it in group["alert_rule_test"] if it["alertname"] == name):
                fires |= bool(case["exp_alerts"])
                nearby = any(f'namespace="not-{name}"' in it["series"] for it in group["input_series"])
                silent |= nearby or not case["exp_alerts"]
        if not (fires and silent):
            complain(f"{name} has no test in which it fires, or none in which it is silent")
    print(f"      {len(names)} alerts")


def metrics(rules):
    """Metrics, and the values of labels that are asked for, have to be in the programs' sources."""
    code = sources()
    registered = set(re.findall(r'"((?:rapids|kcl|offers|archive)_[a-z_]+)"', code))
    recorded = {rule["record"] for rule in rules if "record" in rule}
    keda = (CHART / "templates/keda.yaml").read_text()
    for where, text in [(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules] + [("keda.yaml", keda)]:
        for name in recorded:
            text = text.replace(name, "recorded")
        for name in set(re.findall(r"\b(?:rapids|kcl|offers|archive)_[a-z_]+\b(?!:)", text)):
            if not {name, re.sub("_(bucket|sum|count)$", "", name)} & registered:
                complain(f"{where}: nobody registers a metric {name}")
        for label, value in re.findall(r'\b(\w+)[=!]~?"([^"{]*)"', text):
            for one in value.replace(".*", "").split("|"):
                # The names of arms are whatever an experiment calls them.
                if label not in ("le", "arm") and f'"{one}"' not in code:
                    complain(f"{where}: no program has {label}={one!r}")


def runbooks(rules, names):
    for rule in rules:
        if "alert" not in rule:
            continue
        name, told = rule["alert"], rule.get("annotations", {})
        if rule.get("labels", {}).get("severity") not in ("page", "ticket"):
            complain(f"{name}: severity is page or ticket")
        if not told.get("summary") or not told.get("description"):
            complain(f"{name} has no summary or no description")
        if told.get("runbook_url") != f"docs/runbooks/{name}.md":
            complain(f"{name}: runbook_url is not docs/runbooks/{name}.md")
    index = (RUNBOOKS / "README.md").read_text()
    for name in names:
        if not (RUNBOOKS / f"{name}.md").exists():
            complain(f"{name} has no runbook docs/runbooks/{name}.md")
        if f"[{name}]({name}.md)" not in index:
            complain(f"docs/runbooks/README.md does not name {name}")
    for page in RUNBOOKS.glob("*.md"):
        if page.stem not in names | {"README"}:
            complain(f"docs/runbooks/{page.name} is for no alert")
        guides.links(page)
        for line in re.findall(r"(?:^|`)rapids ([^`\n#|]+)", page.read_text(), flags=re.MULTILINE):
            why = guides.rapids_refuses(shlex.split(line))
            if why:
                complain(f"docs/runbooks/{page.name}: `rapids {line.strip()}`: {why}")


def alert_tests(tools):
    """Apart from the others, for it takes the longest."""
    for file in sorted(MONITORING.glob("*_test.yaml")):
        done = subprocess.run([tools.promtool, "test", "rules", file], capture_output=True, text=True)
        if done.returncode:
            complain(f"promtool test rules {file.name}: {done.stdout}{done.stderr}")
