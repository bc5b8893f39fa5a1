"""docs/deploy-kubernetes.md: its values render, its commands fit Helm, kubectl and the chart."""

import copy
import re
import shlex
import subprocess

import yaml

import guides
from harness import ROOT
from helm_chart import CHART, documents, of_kind
from helm_objects import images_shown

GUIDE = ROOT / "docs/deploy-kubernetes.md"
STUBBED = ["aws", "docker", "git", "helm", "kind", "kubectl", "rapids"]
# As far as helm/rapids/iam/roles asks what is there already.
ANSWERS = """
said = " ".join(arguments)
if name == "aws" and arguments[:2] == ["iam", "get-role"]:
    sys.exit(json.dumps(["aws", "iam", "create-role", "--role-name", arguments[3]])[:-1] not in before)
associated = any("create-pod-identity-association" in line and "--service-account" in said and
    json.loads(line)[8] == arguments[arguments.index("--service-account") + 1] for line in before.splitlines())
replies = {
    "get-caller-identity": "111122223333",
    "list-pod-identity-associations": "a-1" if associated else "None",
    "list-role-policies": "policy",
    "describe-cluster": "https://oidc.example.com/id/1",
}
print(next((reply for part, reply in replies.items() if part in said), "something"))
"""


class Guide(guides.Guide):
    commands = ("helm", "kubectl", *guides.Guide.commands)

    def __init__(self, tools, scratch):
        super().__init__(GUIDE, scratch / "guide", tools.aws)
        self.tools, self.helped, self.rendered = tools, {}, {}

    def check(self):
        names = self.files()
        self.render("values.yaml")
        for name in names:
            self.render("values.yaml", name)
        super().check(*STUBBED, answers=ANSWERS)
        self.as_printed()

    def files(self):
        """The values that it shows, in the files that it calls them."""
        names = []
        for kind, block in self.blocks:
            if kind == "yaml":
                name = re.match(r"# ([\w-]+\.yaml)\n", block)
                if not name:
                    self.wrong(f"values without a name, such as `# values.yaml`: {block[:60]!r}")
                    continue
                (self.folder / name[1]).write_text(block)
                names.append(name[1])
        return names

    def render(self, *names, options=()):
        files = [option for name in dict.fromkeys(names) for option in ("--values", name)]
        asked = (*files, *options)
        if asked not in self.rendered:
            command = [self.tools.helm, "template", "rapids", CHART, "--namespace", "rapids", *asked]
            done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
            if done.returncode:
                self.wrong(f"{' '.join(asked)} does not render: {done.stderr}")
            self.rendered[asked] = documents(done.stdout)
        return self.rendered[asked]

    def of_helm(self, arguments):
        verbs = [word for word in arguments if not word.startswith("-")]
        depth = 2 if verbs[0] in ("registry", "repo", "get", "show") else 1
        self.known([self.tools.helm, *verbs[:depth]], arguments, ["--help"])
        if "helm/rapids" in arguments and verbs[0] in ("install", "upgrade", "template"):
            files = [word for at, word in enumerate(arguments) if arguments[at - 1] == "--values"]
            options = [part for at, word in enumerate(arguments) for part in arguments[at : at + 2] if word.startswith("--set")]
            self.render(*files, options=options)

    def of_kubectl(self, arguments):
        words = list(arguments)
        if words[0] == "--namespace":
            words = words[2:]
        verb = words[: 2 if words[0] in ("create", "rollout") else 1]
        before_dashes = arguments[: arguments.index("--")] if "--" in arguments else arguments
        self.known([self.tools.kubectl, *verb], before_dashes, ["--help"], ["options"])
        for word in words:
            kind, slash, name = word.partition("/")
            if slash and kind in ("deployment", "job", "pod") and name.startswith("rapids"):
                its = self.render("values.yaml", options=["--set", "bootstrap.enabled=true"])
                if name not in of_kind(its, kind.capitalize()):
                    self.wrong(f"kubectl {' '.join(arguments)}: there is no {word}")

    def of_docker(self, arguments):
        super().of_docker(arguments)
        needed = {image.removeprefix("rapids/").split(":")[0] for image in images_shown()}
        if arguments[:2] == ["buildx", "bake"] and guides.targets(arguments) != needed:
            self.refuse("docker", arguments, f"the chart needs {sorted(needed)}")

    def known(self, command, arguments, *asked):
        """Its options are in what the program says of itself."""
        key = tuple(map(str, command))
        if key not in self.helped:
            texts = [subprocess.run([*(command if it == ["--help"] else command[:1]), *it], capture_output=True, text=True) for it in asked]
            self.helped[key] = set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", "".join(it.stdout for it in texts)))
            if texts[0].returncode or f"{command[0].name} {' '.join(command[1:])}" not in texts[0].stdout:
                self.wrong(f"{command[0].name} has no {' '.join(command[1:])}: {texts[0].stderr[:300]}")
        for word in arguments:
            if word.startswith("-") and word != "--" and word.split("=")[0] not in self.helped[key]:
                self.wrong(f"{command[0].name} {' '.join(arguments)}: there is no {word}")

    def as_printed(self):
        """The values for IRSA that it shows are what the script prints."""
        shown = next(block for kind, block in self.blocks if kind == "yaml" and block.startswith("# irsa.yaml\n"))
        printed = yaml.safe_load((self.folder / "irsa.yaml").read_text())
        merged = merge(copy.deepcopy(printed), yaml.safe_load(shown))
        if merged != printed:
            self.wrong(f"irsa.yaml is not what helm/rapids/iam/roles --irsa prints: {merged}")
        # Now it is the printed one.
        self.rendered.clear()
        self.render("values.yaml", "irsa.yaml")

    def span(self, span):
        super().span(span)
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        if span.startswith("--set ") and "*" not in span:
            self.render("values.yaml", options=shlex.split(span))
        elif re.fullmatch(r"[a-z][A-Za-z]*(\.[A-Za-z]+)+(=\S+)?", span) and span.split(".")[0] in values:
            at = values
            for key in span.split("=")[0].split("."):
                # What services and versions have, `defaults` have.
                at = at.get(key, values["defaults"].get(key)) if isinstance(at, dict) else None
                if at is None and key not in ("config", "archive", "probe", "kms_key"):
                    self.wrong(f"there is no value {span}")
                    break


def merge(into, other):
    for key, value in other.items():
        into[key] = merge(into[key], value) if isinstance(value, dict) and isinstance(into.get(key), dict) else value
    return into
