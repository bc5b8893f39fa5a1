"""Calls of AWS: who makes which on what, written down on their way to an emulator, and whether policies allow them."""

import fnmatch
import http.client
import http.server
import itertools
import json
import re
import sys
import threading
import urllib.parse

from harness import complain

ACCOUNT, REGION = "000000000000", "us-east-1"


class Recorder:
    """Passes calls on to the emulator behind it. Each caller has an access key of its own, which is its name."""

    def __init__(self, behind):
        self.lock, self.seen, self.iterators = threading.Lock(), {}, {}
        address = urllib.parse.urlsplit(behind)
        server = Server(("127.0.0.1", 0), type("HandlerOfThis", (Handler,), {"recorder": self, "behind": address}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"

    def of(self, who):
        with self.lock:
            return set(self.seen.get(who, ()))

    def note(self, who, service, action, given):
        with self.lock:
            seen = self.seen.setdefault(who, set())
            seen |= {(f"{service}:{one}", resource) for one, resource in CALLS.get(service, unknown)(action, given, self)}

    def stream(self, given):
        named = given.get("StreamARN") or given.get("StreamName") and arn("kinesis", f"stream/{given['StreamName']}")
        return named or self.iterators.get(given.get("ShardIterator"), "?")

    def follow(self, given, answer):
        """Who reads names an iterator, and its stream only when it asks for the first one."""
        stream = self.stream(given)
        self.iterators |= {answer[name]: stream for name in ("ShardIterator", "NextShardIterator") if answer.get(name)}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        scope = re.search(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/", self.headers.get("authorization", ""))
        who, service = scope.groups() if scope else ("?", "?")
        action, given = self.asked(service, body)
        self.recorder.note(who, service, action, given)
        emulator = http.client.HTTPConnection(self.behind.hostname, self.behind.port, timeout=60)
        emulator.request(self.command, self.path, body, dict(self.headers))
        answer = emulator.getresponse()
        text = answer.read()
        emulator.close()
        if action in ("GetShardIterator", "GetRecords") and answer.status == 200:
            self.recorder.follow(given, json.loads(text))
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        # What HEAD tells of is not sent.
        self.send_header("content-length", answer.getheader("content-length", "0") if self.command == "HEAD" else str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

    def asked(self, service, body):
        if service == "s3":
            return self.command, {"path": urllib.parse.urlsplit(self.path).path}
        if "x-amz-target" in self.headers:
            return self.headers["x-amz-target"].rpartition(".")[2], json.loads(body or b"{}")
        given = {name: values[0] for name, values in urllib.parse.parse_qs(body.decode(errors="replace")).items()}
        return given.get("Action", "?"), given

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        # Programs end with calls under way, and so does the emulator.
        if not isinstance(sys.exc_info()[1], (OSError, http.client.HTTPException)):
            complain(f"the recorder failed: {sys.exc_info()[1]!r}")


# -- Which permissions a call needs


def arn(service, resource):
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def kinesis(action, given, recorder):
    yield action, recorder.stream(given)


def dynamodb(action, given, _):
    if action == "TransactWriteItems":
        names = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
        for item in given["TransactItems"]:
            for kind, it in item.items():
                yield names[kind], arn("dynamodb", f"table/{it['TableName']}")
        return
    index = f"/index/{given['IndexName']}" if "IndexName" in given else ""
    for table in [given["TableName"]] if "TableName" in given else given.get("RequestItems", "?"):
        yield action, arn("dynamodb", f"table/{table}{index}")


def sqs(action, given, _):
    # The permissions of batches are those of their single calls.
    yield action.removesuffix("Batch"), arn("sqs", given.get("QueueName") or given.get("QueueUrl", "?").rsplit("/", 1)[-1])


def sns(action, given, _):
    # Those that name a subscription are allowed or refused by its topic: "not authorized to perform: SNS:Unsubscribe on
    # resource: arn:aws:sns:REGION:ACCOUNT:TOPIC".
    named = given.get("TopicArn") or given.get("ResourceArn") or given.get("SubscriptionArn") or arn("sns", given.get("Name", "?"))
    yield action.removesuffix("Batch"), ":".join(named.split(":")[:6])


def s3(method, given, _):
    bucket, _, name = given["path"].lstrip("/").partition("/")
    if name:
        action = {"GET": "GetObject", "HEAD": "GetObject", "DELETE": "DeleteObject"}.get(method, "PutObject")
        yield action, f"arn:aws:s3:::{bucket}/{name}"
    elif method == "GET":
        yield "ListBucket", f"arn:aws:s3:::{bucket}"
    else:
        yield "DeleteObject", f"arn:aws:s3:::{bucket}/any"


def unknown(action, _given, _recorder):
    yield action, "?"


CALLS = {"kinesis": kinesis, "dynamodb": dynamodb, "sqs": sqs, "sns": sns, "s3": s3}


# -- Which calls a permission is for


def permissions(document):
    """Actions with their resources."""
    for statement in document["Statement"]:
        actions, its = (it if isinstance(it, list) else [it] for it in (statement["Action"], statement["Resource"]))
        yield from itertools.product(actions, its)


def covers(permission, call):
    return all(map(fnmatch.fnmatchcase, call, permission))


def refused(calls, allowed):
    return [call for call in sorted(calls) if not any(covers(permission, call) for permission in allowed)]
