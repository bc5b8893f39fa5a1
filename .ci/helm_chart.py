"""The chart helm/rapids as Helm has it: its renders, what it refuses, and what its README says of it."""

import concurrent.futures
import copy
import functools
import json
import os
import re
import shutil
import subprocess
import tarfile

import jsonschema
import yaml

import guides
from harness import ROOT, complain, is_made, run

CHART = ROOT / "helm/rapids"
RELEASE, NAMESPACE = "test", "rapids"


def template(tools, *values, chart=CHART, helm=None):
    files = [option for file in values for option in ("--values", file)]
    command = [helm or tools.helm, "template", RELEASE, chart, "--namespace", NAMESPACE, *files]
    return subprocess.run(command, capture_output=True, text=True)


def unblanked(text):
    """Helm ends an empty line of a map with a blank now and then."""
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


def at_once(do, folder):
    """Each file of values in a folder of the chart, and what comes of it."""
    files = sorted((CHART / folder).glob("*.yaml"))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(zip(files, pool.map(do, files), strict=True))


def lint(tools):
    def one(values):
        return subprocess.run([tools.helm, "lint", "--strict", CHART, "--values", values], capture_output=True, text=True)

    for values, done in at_once(one, "ci"):
        if done.returncode:
            complain(f"helm lint with {values.name}: {done.stdout}{done.stderr}")


def golden(tools, bless):
    renders = {}
    committed = {path.stem for path in (CHART / "tests/golden").glob("*.yaml")}
    for values, done in at_once(functools.partial(template, tools), "ci"):
        if done.returncode:
            complain(f"helm template with {values.name}: {done.stderr}")
            continue
        text = unblanked(done.stdout)
        renders[values.stem] = text
        # Dashboards have a check of their own, and come out of a program.
        text = "---\n".join(part for part in text.split("---\n") if "grafana_dashboard:" not in part)
        is_made(CHART / "tests/golden" / values.name, text, bless)
    for name in committed - renders.keys():
        complain(f"tests/golden/{name}.yaml has no ci/{name}.yaml")
    return renders


def package(tools, renders, scratch):
    """What is published renders as the folder does, and holds no tests."""
    run(tools.helm, "package", CHART, "--destination", scratch)
    chart = next(scratch.glob("rapids-*.tgz"))
    done = template(tools, CHART / "ci/production.yaml", chart=chart)
    if unblanked(done.stdout) != renders["production"]:
        complain(f"the packaged chart renders otherwise: {done.stderr}")
    with tarfile.open(chart) as it:
        for name in it.getnames():
            if name.startswith(("rapids/ci/", "rapids/tests/", "rapids/iam/")):
                complain(f"{name} is in the package: .helmignore")


def helm_3(tools, renders):
    """Most people still have it."""
    for values, done in at_once(functools.partial(template, tools, helm=tools.helm_3), "ci"):
        if unblanked(done.stdout).strip() != renders[values.stem].strip():
            complain(f"Helm 3 renders otherwise with {values.name}: {done.stderr}")
    for values, done in at_once(functools.partial(template, tools, helm=tools.helm_3), "tests/refused"):
        if done.returncode == 0:
            complain(f"Helm 3 does not refuse tests/refused/{values.name}")


def nulls():
    """A key of values.yaml that somebody sets to null is gone, and told by the schema rather than by a template."""
    schema = jsonschema.Draft202012Validator(json.loads((CHART / "values.schema.json").read_text()))
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    # What may be left out, and whose keys are anybody's.
    left_out = {("services",), ("defaults", "strategy", "rollingUpdate")}
    free = {"resources", "startupProbe", "livenessProbe", "readinessProbe", "podSecurityContext", "securityContext", "labels", "annotations"}
    for path in paths_of(values, lambda path: path in left_out or path[-1] in free or path[0] in ("reader", "controlPlane")):
        if path in left_out:
            continue
        without = copy.deepcopy(values)
        del functools.reduce(lambda at, key: at[key], path[:-1], without)[path[-1]]
        if schema.is_valid(without):
            complain(f"values.schema.json: {'.'.join(path)} is not required, and null would be met by a template")


def paths_of(values, is_leaf, above=()):
    for key, value in values.items():
        path = (*above, key)
        yield path
        if isinstance(value, dict) and not is_leaf(path):
            yield from paths_of(value, is_leaf, path)


def dashboards(tools, scratch):
    """Each file is a ConfigMap, and what looks like a template in it is left alone."""
    chart = scratch / "with-dashboard"
    shutil.copytree(CHART, chart)
    (chart / "dashboards").mkdir(exist_ok=True)
    (chart / "dashboards/Of_This_Test.json").write_text('{"legend": "{{ river }} $__rate_interval"}\n')
    found = documents(template(tools, CHART / "ci/production.yaml", chart=chart).stdout)
    maps = {it["metadata"]["name"]: it for it in found if it["metadata"]["labels"].get("grafana_dashboard") == "1"}
    for file in (chart / "dashboards").glob("*.json"):
        name = f"{RELEASE}-rapids-dashboard-{file.stem.lower().replace('_', '-')}"
        data = maps.get(name, {}).get("data", {}).get(file.name, "null")
        if json.loads(data) != json.loads(file.read_text()):
            complain(f"dashboards/{file.name} is not rendered as it is")


def refused(tools):
    refusals = at_once(functools.partial(template, tools), "tests/refused")
    for values, done in refusals:
        first = values.read_text().splitlines()[0]
        if not first.startswith("# says: "):
            complain(f"tests/refused/{values.name} begins with no `# says: `")
        elif done.returncode == 0:
            complain(f"tests/refused/{values.name} is not refused")
        elif first.removeprefix("# says: ") not in done.stderr:
            complain(f"tests/refused/{values.name} is refused, but not because of {first[8:]!r}:\n{done.stderr}")
    print(f"      {len(refusals)} mistakes are refused by name")


def documents(text):
    return [it for it in yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if it]


def of_kind(its, kind):
    return {it["metadata"]["name"]: it for it in its if it["kind"] == kind}


def pods_of(its):
    for it in its:
        match it["kind"]:
            case "Deployment" | "Job":
                yield it, it["spec"]["template"]["spec"]
            case "Pod":
                yield it, it["spec"]


def described(text):
    """Path and comment of each key of values.yaml that has a `# -- ` comment, and all paths of keys."""
    found, paths, stack, comment = [], [], [], None
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith("# -- "):
            comment = bare[5:]
        elif bare.startswith("# ") and comment is not None:
            comment += " " + bare[2:]
        elif match := re.match(r"( *)([A-Za-z0-9-]+):( |$)", line):
            depth = len(match[1]) // 2
            stack[depth:] = [match[2]]
            paths.append(tuple(stack))
            if comment:
                found.append((tuple(stack), comment))
            comment = None
        else:
            comment = None
    return found, paths


def readme(bless):
    text = (CHART / "values.yaml").read_text()
    values, (found, paths) = yaml.safe_load(text), described(text)
    told = {path for path, _ in found}
    for path in paths:
        above = any(path[:depth] in told for depth in range(1, len(path) + 1))
        below = any(other[: len(path)] == path for other in told)
        if not above and not below:
            complain(f"values.yaml: {'.'.join(path)} has no `# -- ` comment")
    rows = ["| key | default | |", "|---|---|---|"]
    for path, comment in found:
        value = functools.reduce(lambda value, key: value[key], path, values)
        default = json.dumps(value, ensure_ascii=False).replace("|", "\\|")
        default = "see [values.yaml](values.yaml)" if len(default) > 90 else f"`{default}`"
        rows.append(f"| `{'.'.join(path)}` | {default} | {comment.replace('|', chr(92) + '|')} |")
    page = CHART / "README.md"
    is_made(page, guides.between(page.read_text(), "values", rows), bless)


def shown_values(tools, scratch):
    """The values that the README shows for themselves."""
    page = CHART / "README.md"
    blocks = [block for kind, block in re.findall(guides.FENCED, page.read_text()) if kind == "yaml"]
    for number, block in enumerate(blocks):
        file = scratch / f"{page.stem}-{number}.yaml"
        file.write_text(block)
        done = template(tools, file)
        if done.returncode:
            complain(f"helm/rapids/README.md: {block[:80]!r} does not render: {done.stderr}")
    guides.links(page)
