"""Documents as their readers follow them: links and paths lead somewhere, and the commands of a guide are run.

Those that would reach a cluster, AWS or Docker only write down how they were called. Then each call has to be one that
the real command accepts.
"""

import glob
import json
import re
import shlex
import subprocess
import sys

from harness import BINARIES, ROOT, complain

BAKE = ROOT / "docker/docker-bake.hcl"
FENCED = r"(?ms)^ *```(\w*)\n(.*?)^ *```$"
FOLDERS = r"(?:cfn|docs|docker|[.]ci|helm|services|crates|cli|monitoring|examples)"
STUB = f"""#!{sys.executable}
import json, os, sys
name, arguments, log = os.path.basename(sys.argv[0]), sys.argv[1:], os.environ["CALLS"]
before = open(log).read()
with open(log, "a") as file:
    file.write(json.dumps([name, *arguments]) + "\\n")
if "--password-stdin" in arguments:
    sys.stdin.read()
"""
DOCKER = {"-f", "--push", "--set", "--use", "--target", "--tag", "--username", "--password-stdin", "--platform"}
SCRIPTS = {"helm/rapids/iam/roles", "cfn/deploy"}


def links(page):
    """What it links to is there: files, and headings in them."""
    name = page.relative_to(ROOT)
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(FENCED, "", page.read_text())):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if "://" in target:
            continue
        if not file.exists():
            complain(f"{name}: {target} is not there")
        elif anchor and anchor not in headings(file):
            complain(f"{name}: {target} has no such heading")


def paths(page):
    """What it names by a path is there."""
    for path in re.findall(rf"(?<![\w./$-])({FOLDERS}/[\w./*-]*[\w*])", page.read_text()):
        if not glob.glob(str(ROOT / path)):
            complain(f"{page.relative_to(ROOT)}: {path} is not there")


def headings(page):
    """As GitHub links to them."""
    return {re.sub(r"[^\w -]", "", it).strip().lower().replace(" ", "-") for it in re.findall(r"(?m)^#+ (.*)$", page.read_text())}


def between(text, mark, lines):
    """The text with these lines between its marks."""
    pattern = rf"(?s)(<!-- {mark}\b[^>]*-->\n).*?(<!-- end of {mark} -->)"
    if len(re.findall(pattern, text)) != 1:
        complain(f"there is no place for {mark}, or more than one")
    return re.sub(pattern, lambda found: found[1] + "\n".join(lines) + "\n" + found[2], text)


def baked():
    """The images that docker buildx bake makes."""
    return set(re.findall(r'"([a-z-]+)"', re.search(r"matrix.*", BAKE.read_text()).group()))


def targets(arguments):
    """Those of docker buildx bake."""
    of_options = {arguments[at + 1] for at, word in enumerate(arguments) if word in ("-f", "--set")}
    return {word for word in arguments[2:] if not word.startswith("-")} - of_options


def rapids_refuses(arguments):
    """Where the program is built."""
    if not (BINARIES / "rapids").exists():
        return None
    done = subprocess.run([BINARIES / "rapids", *arguments, "--help"], capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else None


class Guide:
    """A page, a folder to follow it in, and the bin folder of the aws command."""

    commands = ("aws", "docker", "rapids", *SCRIPTS)

    def __init__(self, page, folder, aws):
        self.page, self.folder, self.aws, self.asked = page, folder, aws, []
        self.blocks = re.findall(FENCED, page.read_text())
        self.prose = re.sub(FENCED, "", page.read_text())
        folder.mkdir()

    def wrong(self, what):
        complain(f"{self.page.relative_to(ROOT)}: {what}")

    def check(self, *stubs, answers='print("something")'):
        """Its commands with these in their place, and what else it says."""
        links(self.page)
        paths(self.page)
        for name, *arguments in self.run(stubs, answers):
            self.call(name, arguments)
        for span in re.findall(r"`([^`]+)`", self.prose):
            self.span(span)
        self.ask_aws()

    def run(self, stubs, answers):
        """All blocks in one shell, so that every variable was set before."""
        bin_folder, log = self.folder / "stubs", self.folder / "calls"
        bin_folder.mkdir()
        log.touch()
        for path in ROOT.iterdir():
            if path.name not in ("target", ".git", "cfn"):
                (self.folder / path.name).symlink_to(path)
        (self.folder / "cfn").mkdir()
        # It has a check of its own, and --dry-run.
        deploy = {self.folder / "cfn/deploy": f'#!/bin/sh\nexec {ROOT}/cfn/deploy --dry-run "$@"\n'}
        for path, text in {**{bin_folder / name: STUB + answers for name in stubs}, **deploy}.items():
            path.write_text(text)
            path.chmod(0o755)
        # What is only done by choice is done as well.
        script = "\n".join([*(block for kind, block in self.blocks if kind == "sh"), "for one in $(compgen -A function); do $one; done"])
        env = {"PATH": f"{bin_folder}:/usr/bin:/bin", "CALLS": str(log), "HOME": str(self.folder)}
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            self.wrong(f"its commands end with {done.returncode}: {done.stderr[-2000:]}")
        calls = [json.loads(line) for line in log.read_text().splitlines()]
        for name in set(stubs) - {call[0] for call in calls}:
            self.wrong(f"nothing calls {name}")
        return calls

    def span(self, span):
        """What it says by the way, without what is left out."""
        name, _, rest = span.partition(" ")
        words = [it for it in shlex.split(rest) if it != "…"] if name in self.commands else []
        if not words:
            return
        if name in SCRIPTS:
            known = subprocess.run([ROOT / name, "--help"], capture_output=True, text=True).stdout
            for word in words:
                if word.startswith("--") and f" {word} " not in known:
                    self.refuse(name, words, f"there is no {word}")
        # What is only named lacks options, or a value.
        elif name == "aws" and not any(it.startswith("-") for it in words):
            self.of_aws([*words, "help"])
        elif name != "rapids" or "a value is required" not in (rapids_refuses(words) or ""):
            self.call(name, words)

    def call(self, name, arguments):
        getattr(self, f"of_{name}", lambda _: None)(arguments)

    def refuse(self, name, arguments, why):
        self.wrong(f"{name} {' '.join(arguments)}: {why}")

    def of_aws(self, arguments):
        if arguments not in self.asked:
            self.asked.append(arguments)

    def ask_aws(self):
        """All at once, for the command takes its time to start."""
        command, env = [self.aws / "python", ROOT / ".ci/aws-refuses.py"], {"AWS_DEFAULT_REGION": "us-east-1", "HOME": str(self.folder)}
        given = "".join(json.dumps(it) + "\n" for it in self.asked)
        done = subprocess.run(command, input=given, env=env, stdout=subprocess.PIPE, text=True, check=True)
        for arguments, why in zip(self.asked, map(json.loads, done.stdout.splitlines()), strict=True):
            if why:
                self.refuse("aws", arguments, why)

    def of_rapids(self, arguments):
        why = rapids_refuses(arguments)
        if why:
            self.refuse("rapids", arguments, why)

    def of_docker(self, arguments):
        for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
            if word.startswith("-") and word not in DOCKER:
                self.refuse("docker", arguments, f"nobody has looked whether there is a {word}")
            if word == "-f" and not (ROOT / following).is_file():
                self.refuse("docker", arguments, f"there is no file {following}")
            if word == "--target" and f" AS {following}\n" not in (ROOT / "docker/Dockerfile").read_text():
                self.refuse("docker", arguments, f"there is no target {following}")
        if arguments[:2] == ["buildx", "bake"] and not targets(arguments) <= baked():
            self.refuse("docker", arguments, f"no image is called {sorted(targets(arguments) - baked())}")
