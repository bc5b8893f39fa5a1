"""What the aws command would refuse of calls that it is given, and why: a JSON array a line in, a line each out.

For the interpreter that has its package. Commands and options are looked up in the command's own tables. Then it makes
the call, and gets a sample instead of AWS's answer: so it has to read all that it was given.
"""

import contextlib
import io
import json
import sys
import types

from awscli.clidriver import create_clidriver
from botocore.utils import ArgumentGenerator

# Of version 2 of the command, and the one that pip has is 1.
OF_VERSION_2 = {("logs", "tail")}
OF_ALL = {"query", "output", "region"}


def refused(driver, arguments):
    words, command = list(arguments), driver
    if tuple(words[:2]) in OF_VERSION_2:
        return None
    is_only_named = words[-1:] == ["help"]
    if is_only_named:
        words.pop()
    while words and words[0] in below(command):
        command = below(command)[words.pop(0)]
    if below(command) and (words or not is_only_named):
        return f"there is no command {words[:1]}"
    if is_only_named:
        return None
    given = {it[2:].split("=")[0] for it in words if it.startswith("--")}
    unknown = sorted(given - command.arg_table.keys() - OF_ALL)
    if unknown:
        return f"there is no --{unknown[0]}"
    needed = [name for name, it in command.arg_table.items() if it.required and not it.positional_arg]
    missing = [it for it in needed if it not in given and f"no-{it}" not in given]
    if missing:
        return f"it lacks --{missing[0]}"
    # What is more than one call has no sample, or would wait for another one.
    return unread(driver, arguments) if "generate-cli-skeleton" in command.arg_table and "wait" not in arguments[:2] else None


def below(command):
    """The commands of a command."""
    return command._get_command_table() if hasattr(command, "_get_command_table") else getattr(command, "subcommand_table", {})


def unread(driver, arguments):
    error = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(error):
        try:
            # The sample would have a further page, and that again.
            code = driver.main([*arguments, "--no-paginate"])
        except SystemExit as end:
            code = end.code
    return error.getvalue().strip()[-500:] if code else None


def sample(model, **_):
    shape = model.output_shape
    return types.SimpleNamespace(status_code=200), ArgumentGenerator(use_member_names=True).generate_skeleton(shape) if shape else {}


aws = create_clidriver()
aws.session.register("before-call", sample)
for line in sys.stdin:
    print(json.dumps(refused(aws, json.loads(line))))
