"""What checks in this folder share: their options, complaints, processes that end with the script, and tools.

Tools have pinned versions. They are put into a scratch folder that is removed at the end; `--tools DIR` keeps it, for
the next run or for another check. pip, npm, node and apt-get are needed; where they fetch packages from is the
machine's business.
"""

import argparse
import atexit
import contextlib
import difflib
import itertools
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARIES = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
PATIENCE_S = 120
DIFF_LINES = 60
# Of more than one check, so that they share them.
AWS = ["ministack==1.5.33", "awscli==1.46.3"]  # Apart: they want other versions of what the packages of others want.
CHECKOV = "checkov==3.3.30"
UV = "uv==0.13.9"  # What checkov depends on takes pip a minute, and this some seconds.

wrong = []
processes = []


def complain(what):
    wrong.append(what)
    print(f"WRONG {what}", flush=True)


def end():
    """The last line of a check."""
    if wrong:
        sys.exit(f"{len(wrong)} wrong")


@contextlib.contextmanager
def checking(description, blesses=False):
    """A whole check: the folder of its tools, one that is gone at its end, and whether it is to write what it compares."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", type=pathlib.Path, metavar="DIR", help="keep the tools there")
    if blesses:
        parser.add_argument("--bless", action="store_true", help="write what is made from something else")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="check-") as folder:
        scratch = pathlib.Path(folder)
        yield (options.tools or scratch / "tools").resolve(), scratch, blesses and options.bless
    end()


def is_made(path, text, bless):
    """A file that is made from something else is committed as it would be made now; `--bless` makes it."""
    before = path.read_text() if path.exists() else ""
    if bless:
        path.write_text(text)
    elif before != text:
        lines = difflib.unified_diff(before.splitlines(), text.splitlines(), "committed", "now", lineterm="", n=2)
        print(*itertools.islice(lines, DIFF_LINES), sep="\n")
        complain(f"{path.relative_to(ROOT)} is not as committed: `.ci/{pathlib.Path(sys.argv[0]).name} --bless`, and look at the difference")


@contextlib.contextmanager
def timed(what):
    since, before = time.monotonic(), len(wrong)
    yield
    print(f"{'ok   ' if len(wrong) == before else 'WRONG'} {what}: {time.monotonic() - since:.1f} s", flush=True)


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(map(str, command))}: exit {done.returncode}")
    return done.stdout


def checkov(tools, folder, framework, *options):
    command = [tools / "checkov", "--directory", folder, "--framework", framework, "--skip-download", "--compact", "--quiet"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    if done.returncode or "Passed checks" not in done.stdout:
        complain(f"checkov: {done.stdout[-4000:]}{done.stderr[-2000:]}")


def start(*command, **options):
    process = subprocess.Popen(command, **options)
    processes.append(process)
    return process


def stop(*those):
    """By SIGTERM, side by side; who does not end well is complained of."""
    for process in those:
        process.terminate()
    for process in those:
        if process.wait(PATIENCE_S):
            complain(f"{process.args[0]}: exit {process.returncode}")


@atexit.register
def end_what_is_left():
    for process in reversed(processes):
        if process.poll() is None:
            process.kill()
            process.wait()


# An exit, so that nothing is left behind. Ctrl-C is one already.
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: sys.exit(128 + number))


def until(what, condition):
    give_up = time.monotonic() + PATIENCE_S
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > give_up:
            sys.exit(f"in vain: {what}")
        time.sleep(0.2)


def free_ports(count):
    with contextlib.ExitStack() as open_now:
        sockets = [open_now.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [it.getsockname()[1] for it in sockets]


class Tools:
    def __init__(self, folder):
        self.folder = folder

    def python(self, name, *packages):
        """The bin folder of a virtual environment that has them."""
        return self._made(name, packages, self._make_python) / "bin"

    def _make_python(self, folder, packages):
        uv = self._made("uv", [UV], lambda uv, _: self._make_uv(uv)) / "bin/uv"
        run(uv, "venv", "--quiet", "--python", sys.executable, folder)
        cache = folder / "cache"
        command = [uv, "pip", "install", "--quiet", "--python", folder / "bin/python", *packages]
        run(*command, env={**os.environ, "UV_CACHE_DIR": str(cache)})
        shutil.rmtree(cache, ignore_errors=True)

    def _make_uv(self, folder):
        venv.create(folder, with_pip=True)
        run(folder / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install", UV)

    def packages(self, bin_folder):
        """Those of a virtual environment, for this interpreter, which made it."""
        sys.path.insert(0, str(next((bin_folder.parent / "lib").glob("python*/site-packages"))))

    def node(self, name, *packages):
        """A folder with them in its node_modules."""
        return self._made(name, packages, self._make_node)

    def _make_node(self, folder, packages):
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        run("npm", "install", "--no-audit", "--no-fund", "--no-save", "--loglevel=error", *packages, cwd=folder)

    def prometheus(self):
        """The folder of prometheus and promtool."""
        return self._made("prometheus", ["prometheus"], self._make_debian) / "usr/bin"

    def _make_debian(self, folder, packages):
        # Not installed: a server that starts by itself is not wanted. Lists may be missing or old.
        folder.mkdir(parents=True)
        command = ["apt-get", "download", "--quiet=2", *packages]
        if subprocess.run(command, cwd=folder, capture_output=True).returncode:
            run("apt-get", "update", "--quiet=2")
            run(*command, cwd=folder)
        run("dpkg", "-x", next(folder.glob("*.deb")), folder)

    def _made(self, name, packages, make):
        """A folder that has just these, made anew where it is of another run's wish or half done."""
        folder, mark = self.folder / name, self.folder / name / ".complete"
        wish = "\n".join(packages)
        if not mark.exists() or mark.read_text() != wish:
            shutil.rmtree(folder, ignore_errors=True)
            make(folder, packages)
            mark.write_text(wish)
        return folder
