"""What the chart renders: by the schemas of Kubernetes and of custom resources, by checkov, and by what it promises."""

import functools
import json
import os
import re
import subprocess
import tempfile
import tomllib

import kubernetes_validate
import yaml

import guides
from harness import BINARIES, checkov, complain
from helm_chart import CHART, of_kind, pods_of

KUBERNETES = ["1.27", "1.31", "1.35"]
# Not done on purpose: limits of CPU only make consumers late; tags are for whoever installs to pin by digest.
CHECKOV_SKIPS = ["CKV_K8S_11", "CKV_K8S_15", "CKV_K8S_43"]
MODELLED = {
    "PodMonitor": "prometheus-operator/monitoring.coreos.com/v1",
    "PrometheusRule": "prometheus-operator/monitoring.coreos.com/v1",
    "ScaledObject": "keda/keda.sh/v1alpha1",
    "TriggerAuthentication": "keda/keda.sh/v1alpha1",
}
PROGRAMS = ["archive", "brand", "control-plane", "location", "membership", "monitor", "offer-engine", "rapids-reader", "segmentation"]


def schemas(objects):
    utils = kubernetes_validate.utils
    utils.schema_contents = functools.cache(utils.schema_contents)
    for version in KUBERNETES:
        for name, its in objects.items():
            for it in its:
                try:
                    kubernetes_validate.validate(it, version, strict=True)
                except kubernetes_validate.SchemaNotFoundError as error:
                    if it["kind"] not in MODELLED:
                        complain(f"{name}: {error.message}")
                except kubernetes_validate.ValidationError as error:
                    place = ".".join(map(str, error.path))
                    complain(f"{name}, Kubernetes {version}: {it['kind']}/{it['metadata']['name']}: {place}: {error.message}")


def custom_resources(tools, objects):
    """By the compiler for keys that are not known, by the models' own validation for patterns and bounds."""
    its = [(name, it) for name, its in objects.items() for it in its if it["kind"] in MODELLED]
    missing = MODELLED.keys() - {it["kind"] for _, it in its}
    if missing:
        complain(f"no values of helm/rapids/ci render a {', '.join(missing)}")
    source, check = [], []
    for number, (name, it) in enumerate(its):
        kind, path = it["kind"], f"@kubernetes-models/{MODELLED[it['kind']]}/{it['kind']}"
        source.append(f'import type {{ I{kind} as I{number} }} from "{path}";')
        source.append(f"export const it{number}: I{number} = {json.dumps(it)};")
        check.append(f'import {{ {kind} as C{number} }} from "{path}";')
        check.append(f"try {{ new C{number}({json.dumps(it)}).validate(); }}")
        check.append(f"catch (e) {{ console.log({json.dumps(f'{name}: {kind}')}, e.message); process.exitCode = 1; }}")
    (tools.models / "resources.ts").write_text("\n".join(source))
    (tools.models / "validate.js").write_text("\n".join(check))
    options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext"]
    for command in (["node_modules/.bin/tsc", *options, "resources.ts"], ["node", "validate.js"]):
        done = subprocess.run(command, cwd=tools.models, capture_output=True, text=True)
        if done.returncode:
            complain(f"custom resources, by {command[0]}: {done.stdout[:4000]}{done.stderr[:2000]}")


def rules_as_rendered(tools, scratch, objects):
    for name, its in objects.items():
        for it in of_kind(its, "PrometheusRule").values():
            file = scratch / f"{name}-rules.yaml"
            file.write_text(yaml.safe_dump(it["spec"]))
            done = subprocess.run([tools.promtool, "check", "rules", file], capture_output=True, text=True)
            if done.returncode:
                complain(f"{name}: promtool check rules: {done.stdout}{done.stderr}")


def policies(tools, scratch, renders):
    folder = scratch / "checkov"
    folder.mkdir()
    # What is alike in all of them is looked at once.
    for name in ("production", "everything"):
        (folder / f"{name}.yaml").write_text(renders[name])
    checkov(tools.venv, folder, "kubernetes", "--skip-check", ",".join(CHECKOV_SKIPS))


def promises(name, its):
    """What the chart promises beyond what any schema knows."""
    deployments, configs = of_kind(its, "Deployment"), of_kind(its, "ConfigMap")
    accounts = of_kind(its, "ServiceAccount")
    scaled = {it["spec"]["scaleTargetRef"]["name"] for it in its if it["kind"] in ("ScaledObject", "HorizontalPodAutoscaler")}
    selectors = [it["spec"]["selector"]["matchLabels"] for it in deployments.values()]

    def must(holds, what):
        if not holds:
            complain(f"{name}: {what}")

    must(len({json.dumps(it, sort_keys=True) for it in selectors}) == len(selectors), "two Deployments select the same pods")
    for one, it in deployments.items():
        spec, labels = it["spec"]["template"]["spec"], it["spec"]["template"]["metadata"]["labels"]
        config = tomllib.loads(configs[one]["data"]["config.toml"])
        grace = int(config["shutdown"]["grace"].removesuffix("s"))
        must(spec["terminationGracePeriodSeconds"] >= grace + 5, f"{one} is killed while it settles its work")
        must(it["spec"]["selector"]["matchLabels"].items() <= labels.items(), f"{one} does not select its pods")
        must(("replicas" in it["spec"]) != (one in scaled), f"{one}: replicas are for the autoscaler, or for nobody")
        if config.get("river") == "monitor":
            must(it["spec"].get("replicas", 2) <= 1, f"{one} may have two processes, and each would hear half of the events")
            must(it["spec"]["strategy"]["type"] == "Recreate", f"{one} has two processes while it is replaced")
        must("checksum/config" in it["spec"]["template"]["metadata"]["annotations"], f"{one} does not see new settings")
    must(len(scaled) == sum(it["kind"] in ("ScaledObject", "HorizontalPodAutoscaler") for it in its), "two autoscalers for one")
    for one, it in of_kind(its, "PodDisruptionBudget").items():
        must(it["spec"]["selector"]["matchLabels"] in selectors, f"the budget {one} is for nobody")
        must(deployments[one]["spec"].get("replicas", 2) > 1, f"the budget {one} keeps nodes from being drained")
    for it, spec in pods_of(its):
        one = f"{it['kind']}/{it['metadata']['name']}"
        must(spec["automountServiceAccountToken"] is False, f"{one} has a token for the API of Kubernetes")
        must(spec["enableServiceLinks"] is False, f"{one} gets RAPIDS_ variables of Services")
        must(spec["securityContext"]["runAsNonRoot"] is True, f"{one} may run as root")
        made = spec["serviceAccountName"] in accounts or spec["serviceAccountName"] == "shared"
        must(made, f"{one} has a service account that nobody makes")
        for container in spec.get("initContainers", []) + spec["containers"]:
            limits = container["resources"]["limits"]
            must("memory" in limits and "cpu" not in limits, f"{one}: a limit for memory, none for CPU")
            must(container["securityContext"]["readOnlyRootFilesystem"] is True, f"{one} can write into its image")
    for policy in of_kind(its, "NetworkPolicy").values():
        cidrs = [peer["ipBlock"] for rule in policy["spec"]["egress"] for peer in rule.get("to", []) if "ipBlock" in peer]
        open_to = [it for it in cidrs if it["cidr"] == "0.0.0.0/0" and "169.254.0.0/16" not in it.get("except", [])]
        must(not open_to and all(it["cidr"] != "169.254.169.254/32" for it in cidrs), "the metadata of instances is open")


def settings(objects):
    """The settings that are rendered are settings that the programs take, where they are built."""
    known = {"PATH": os.environ["PATH"]}
    asked = set()
    for name, its in objects.items():
        for one, it in of_kind(its, "Deployment").items():
            image = it["spec"]["template"]["spec"]["containers"][0]["image"]
            program = re.sub(r"[:@].*", "", image.rsplit("/", 1)[-1])
            if program not in PROGRAMS or not (BINARIES / program).exists():
                continue
            asked.add(program)
            text = of_kind(its, "ConfigMap")[one]["data"]["config.toml"]
            with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
                file.write(text)
                file.flush()
                command = [BINARIES / program, "--print-config", "--config", file.name]
                done = subprocess.run(command, capture_output=True, text=True, env=known)
            if done.returncode:
                complain(f"{name}: {one} would not start: {done.stderr}")
    missing = [program for program in PROGRAMS if program not in asked]
    if missing:
        print(f"      not built, so not asked whether they take their settings: {', '.join(missing)}")


def metadata(objects):
    """What Artifact Hub shows is what is rendered, and all of that is built."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    shown, used = images_shown(), set()
    for its in (objects["minimal"], objects["local"]):
        used |= {container["image"] for _, spec in pods_of(its) for container in spec["containers"]}
    used.add(f"rapids/archive:{chart['appVersion']}")
    if shown != used:
        complain(f"Chart.yaml: artifacthub.io/images has not the images that are rendered: {sorted(shown ^ used)}")
    built = {f"rapids/{name}:{chart['appVersion']}" for name in guides.baked()}
    if not used <= built:
        complain(f"docker-bake.hcl does not build {sorted(used - built)}")
    if f'variable "VERSION" {{ default = "{chart["appVersion"]}" }}' not in guides.BAKE.read_text():
        complain("docker-bake.hcl builds another version than Chart.yaml installs (appVersion)")
    for name in ("changes", "links", "recommendations"):
        yaml.safe_load(chart["annotations"][f"artifacthub.io/{name}"])


def images_shown():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    return {it["image"] for it in yaml.safe_load(chart["annotations"]["artifacthub.io/images"])}
