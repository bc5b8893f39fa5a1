#!/usr/bin/env python3
"""The Grafana dashboards, as code. Writes helm/rapids/dashboards/*.json, for the chart and for docker compose.

    monitoring/dashboards.py            writes them
    monitoring/dashboards.py --check    says which are not as this program makes them

A panel is a question that somebody has, its description the answer's meaning. What has to have data in a system that is
well shows it: a rate of errors is 0, not nothing. `.ci/dashboards` runs every query on a real Prometheus.
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "helm/rapids/dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
REAL = 'synthetic="false"'

# -- Pieces


def target(query, legend="", table=False):
    made = {"datasource": SOURCE, "expr": query, "legendFormat": legend or "__auto", "refId": "A", "editorMode": "code"}
    return {**made, "format": "table", "instant": True} if table else {**made, "range": True}


def steps(thresholds):
    """`[(value, colour), …]`, the first for everything below the second."""
    return {"mode": "absolute", "steps": [{"color": colour, "value": value} for value, colour in thresholds]}


PLAIN = [(None, "blue")]


def panel(kind, title, description, unit, queries, width, height, thresholds=PLAIN, options=None, custom=None, decimals=None):
    if isinstance(queries, str):
        queries = [(queries, "")]
    defaults = {"unit": unit, "thresholds": steps(thresholds), "color": {"mode": "palette-classic"}}
    if kind in ("stat", "gauge"):
        defaults["color"] = {"mode": "thresholds"}
    if decimals is not None:
        defaults["decimals"] = decimals
    if custom:
        defaults["custom"] = custom
    targets = [{**target(query, legend, kind == "table"), "refId": chr(65 + n)} for n, (query, legend) in enumerate(queries)]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options or {},
        "targets": targets,
        "gridPos": {"w": width, "h": height, "x": 0, "y": 0},
    }


def stat(title, description, unit, query, thresholds=PLAIN, width=4, decimals=None, sparkline=True):
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area" if sparkline else "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }
    return panel("stat", title, description, unit, query, width, 5, thresholds, options, decimals=decimals)


def graph(title, description, unit, queries, width=8, stacked=False, thresholds=PLAIN):
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if thresholds is not PLAIN else "off"},
    }
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, description, unit, queries, width, 8, thresholds, options, custom)


def table(title, description, unit, query, width=12):
    options = {"showHeader": True, "cellHeight": "sm"}
    made = panel("table", title, description, unit, query, width, 8, options=options)
    made["transformations"] = [{"id": "organize", "options": {"excludeByName": {"Time": True, "instance": True, "job": True}}}]
    return made


def text(words, height=2):
    return {
        "type": "text",
        "title": "",
        "description": "",
        "transparent": True,
        "options": {"mode": "markdown", "content": words},
        "gridPos": {"w": WIDTH, "h": height, "x": 0, "y": 0},
    }


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": WIDTH, "h": 1, "x": 0, "y": 0}}


def place(panels):
    """From left to right, and down when a row is full."""
    x = y = below = 0
    for number, one in enumerate(panels, 1):
        grid = one["gridPos"]
        if x + grid["w"] > WIDTH:
            x, y = 0, below
        grid["x"], grid["y"] = x, y
        x, below = x + grid["w"], max(below, y + grid["h"])
        one["id"] = number
    return panels


def variable(name, label, query):
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        # Also what has no such label, as outside of Kubernetes.
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "options": [],
    }


NAMESPACE = variable("namespace", "Namespace", "label_values(rapids_build_info, namespace)")
RIVER = variable("river", "River", 'label_values(rapids_river_messages_total{namespace=~"$namespace"}, river)')
SERVICE = variable("service", "Service", 'label_values(rapids_build_info{namespace=~"$namespace"}, service)')
ARM = variable("arm", "Arm", 'label_values(offers_selected_total{namespace=~"$namespace", arm!=""}, arm)')
DATASOURCE = {
    "type": "datasource",
    "name": "datasource",
    "label": "Data source",
    "query": "prometheus",
    "current": {},
    "options": [],
    "refresh": 1,
    "regex": "",
    "multi": False,
    "includeAll": False,
}
DEPLOYED = {
    "name": "Deployments",
    "datasource": SOURCE,
    "enable": True,
    "iconColor": "purple",
    "expr": 'changes(process_start_time_seconds{namespace=~"$namespace"}[$__interval]) > 0',
    "titleFormat": "started",
    "textFormat": "{{instance}}",
    "step": "60s",
}


def dashboard(uid, title, description, panels, variables=()):
    return {
        "uid": f"rapids-{uid}",
        "title": f"Rapids / {title}",
        "description": description,
        "tags": ["rapids"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"},
        "links": [
            {
                "type": "dashboards",
                "title": "Rapids",
                "tags": ["rapids"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "",
                "url": "",
            }
        ],
        "annotations": {"list": [DEPLOYED]},
        "templating": {"list": [DATASOURCE, NAMESPACE, *variables]},
        "panels": place([text(f"**{title}.** {description}"), *panels]),
    }


# -- Queries

N = 'namespace=~"$namespace"'
R = f'{N}, river=~"$river"'
RATE = "[$__rate_interval]"
GREEN_BELOW = lambda warn, bad: [(None, "green"), (warn, "orange"), (bad, "red")]  # noqa: E731
GREEN_ABOVE = lambda bad, warn: [(None, "red"), (bad, "orange"), (warn, "green")]  # noqa: E731


def rate(metric, labels="", by=""):
    inside = ", ".join(it for it in (N, labels) if it)
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{inside}}}{RATE}))"


def quantile(q, metric, labels="", by=""):
    inside = ", ".join(it for it in (N, labels) if it)
    return f"histogram_quantile({q}, sum by ({', '.join(filter(None, ['le', by]))}) (rate({metric}_bucket{{{inside}}}{RATE})))"


def quantiles(metric, labels=""):
    return [(quantile(q, metric, labels), f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)]


def whose(metric, service):
    """Series of the Kinesis consumer do not say whose they are; rapids_build_info does."""
    return f'{metric} * on (namespace, instance) group_left (service) rapids_build_info{{{N}, service="{service}"}}'


def ratio(part, whole):
    """Of nothing, all is well; of what nobody counts, nothing is known."""
    return f"({part}) / ({whole} > 0) or ({whole} == 0) + 1"


COVERED = ratio(
    f'sum(increase(offers_views_judged_total{{{N}, result="offered", {REAL}}}[$__range]))',
    f"sum(increase(offers_views_judged_total{{{N}, {REAL}}}[$__range]))",
)
FRESH = ratio(
    f'sum(rate(rapids_river_event_age_seconds_bucket{{{N}, le=~"2(\\\\.0)?", river!~"archive.*"}}{RATE}))',
    f'sum(rate(rapids_river_event_age_seconds_count{{{N}, river!~"archive.*"}}{RATE}))',
)
PROBES = ratio(
    f'sum(increase(rapids_probe_runs_total{{{N}, outcome="passed"}}[$__range]))',
    f"sum(increase(rapids_probe_runs_total{{{N}}}[$__range]))",
)
MISSING = f'sum(increase(rapids_audit_events_total{{{N}, outcome="missing"}}[$__range])) or 0 * sum(rapids_audit_pending_events{{{N}}})'

# -- Dashboards


# Grafana leaves a block of code as it is: no fonts, no plugin, no picture to load.
FLOW = """```
 who emits ──▶ RAPIDS ──▶ reader ──▶ SNS topic ──▶ RIVERS ──▶ services ──▶ offers
 channels,     Kinesis:   carries    filters by    a queue    location, brand, segmentation, membership answer;
 probes,       every      each to    event type    for each   the offer engine waits for 2 s and chooses
 services      event      the topic                service          │
   ▲           (1)        (2)                      (3)         (4)  │            (5)
   └──────────────────── answers are events again ◀─────────────────┘
```
The five numbers below are these five places. A number that stays behind the one before it shows where events wait: *Rapids and reader* for 1 and 2,
*Rivers* for 3, *Service* for 4, *Offers* for 5. What could not be handled is in quarantine, with its reason: nothing is thrown away."""


def overview():
    return dashboard(
        "overview",
        "Overview",
        "Is it well? Four numbers of the business and the way, then the flow from producers to offers.",
        [
            stat("Offer coverage", "Views that got an offer within 5 s, of all views in the time shown, without synthetic customers. Objective: 99 %.", "percentunit", COVERED, GREEN_ABOVE(0.98, 0.99), 4),
            stat("Time to offer, p95", "19 of 20 selections are made this long after their view, or sooner, without synthetic customers. Objective: the window of 2 s and one more.", "s", quantile(0.95, "offers_time_to_offer_seconds", REAL), GREEN_BELOW(2.5, 3), 4),
            stat("Fresh events", "Events that are handled within 2 s of their timestamp. Objective: 99.9 %.", "percentunit", FRESH, GREEN_ABOVE(0.99, 0.999), 4, 2),
            stat("Synthetic customers", "Probes that passed all their stages, of those in the time shown. Objective: 99.5 %.", "percentunit", PROBES, GREEN_ABOVE(0.98, 0.995), 4),
            stat("Events missing", "Audited events (one of eight) that a river never accounted for, in the time shown. Any is one too many.", "short", MISSING, [(None, "green"), (1, "red")], 4, 0),
            stat("Monitor behind", "How old the newest event is that the monitor has heard of. Without it, nothing is known of the numbers beside: no data is no good sign.", "s", f"max(rapids_monitor_lag_seconds{{{N}}})", GREEN_BELOW(30, 60), 4, 0),
            row("The flow"),
            text(FLOW, 9),
            stat("1 · From the rapids", "Records that readers take from the stream.", "rps", rate("rapids_reader_records_total"), width=5),
            stat("2 · Carried on", "Deliveries by the reader, to SNS or straight to queues; one to SNS may feed several rivers.", "rps", rate("rapids_reader_route_total", 'outcome="delivered"'), width=5),
            stat("3 · Waiting in rivers", "Messages that no service has received yet.", "short", f'sum(rapids_river_depth{{{N}, state="visible"}})', GREEN_BELOW(1_000, 10_000), 5, 0),
            stat("4 · Handled", "Events that services have settled.", "rps", rate("rapids_river_messages_total", 'outcome=~"ok|ignored|duplicate|pong"'), width=5),
            stat("5 · Selections", "Selections for views, synthetic customers included.", "opm", f"60 * {rate('offers_selected_total')}", width=4),
            graph("Views and selections", "Without synthetic customers. Two lines that part are views without an answer.", "opm", [(f"60 * {rate('offers_page_views_total', REAL)}", "views"), (f"60 * {rate('offers_selected_total', REAL)} or vector(0)", "selections")]),
            graph("Age of events when handled", "From the event's timestamp to the end of its handler, over all rivers but the archive, which gathers on purpose.", "s", quantiles("rapids_river_event_age_seconds", 'river!~"archive.*"')),
            graph("Waiting in rivers", "Messages that nobody has received yet. A line that rises is a service that does not keep up.", "short", [(f'sum by (river) (rapids_river_depth{{{N}, state="visible"}})', "{{river}}")]),
            graph("Reader behind the tip", "How far behind the newest record each stream's slowest shard is read.", "s", [(f"max by (service) ({whose('kcl_shard_behind_seconds', 'rapids-reader')})", "{{service}}")]),
            graph("In quarantine", "Messages in dead-letter queues. They are kept for 14 days, with their reasons: `rapids dlq list RIVER`.", "short", [(f"sum by (river) (rapids_dlq_depth{{{N}}})", "{{river}}")], thresholds=GREEN_BELOW(1, 1)),
            graph("Processes", "Processes whose heartbeats are heard, by service.", "short", [(f'sum by (service) (rapids_service_instances{{{N}, state="up"}})', "{{service}}")]),
            table("Alerts that fire", "`none` when all is well. Each has a page in docs/runbooks.", "short", [('count by (alertname, severity, river, service) (ALERTS{alertstate="firing"}) or label_replace(vector(0) unless on () count(ALERTS{alertstate="firing"}), "alertname", "none", "", "")', "")], 24),
        ],
    )


def reader():
    mine = lambda metric: whose(metric, "rapids-reader")  # noqa: E731
    return dashboard(
        "reader",
        "Rapids and reader",
        "Records from the Kinesis stream to SNS and to queues: rate, errors and duration by shard, leases, and what is held in memory.",
        [
            stat("Records", "Records that readers are done with.", "rps", rate("rapids_reader_records_total"), width=6),
            stat("Behind the tip", "The slowest shard.", "s", f"max({mine('kcl_shard_behind_seconds')})", GREEN_BELOW(10, 60), 6),
            stat("Key space without a lease", "For how long some part of the stream is read by nobody.", "s", f"max({mine('kcl_hash_range_hole_seconds')})", GREEN_BELOW(10, 60), 6),
            stat("Quarantined", "Records in the time shown that could not be carried: `rapids dlq list Rapids`.", "short", f"sum(increase(rapids_reader_quarantined_total{{{N}}}[$__range])) or vector(0)", [(None, "green"), (1, "red")], 6, 0),
            graph("Records by what became of them", "`published` went to all that were to get them; `quarantined` could not go to some.", "rps", [(rate("rapids_reader_records_total", by="outcome"), "{{outcome}}")], stacked=True),
            graph("Records by shard", "A shard that has much more than the others is hot: its partition keys are too few, or one of them is too busy.", "rps", [(rate("rapids_reader_records_total", by="shard"), "{{shard}}")]),
            graph("Deliveries by way", "By the SNS topic, or straight to a river's queue; retried ones were not accepted at first.", "rps", [(rate("rapids_reader_route_total", by="mode, outcome"), "{{mode}} {{outcome}}")]),
            graph("Behind the tip, by shard", "Seconds between the newest record of a shard and the one that was read last.", "s", [(f"max by (shard) ({mine('kcl_shard_behind_seconds')})", "{{shard}}")]),
            graph("Age of the checkpoint, by shard", "A crash at that moment reads so much again.", "s", [(f"max by (shard) ({mine('kcl_shard_checkpoint_age_seconds')})", "{{shard}}")]),
            graph("Leases", "By state, as each worker sees the table. Expired ones are taken within seconds.", "short", [(f"max by (state) ({mine('kcl_leases')})", "{{state}}")]),
            graph("Leases got and lost", "Per minute. Many of both are workers that steal from each other, or restarts.", "short", [(f"60 * sum by (how) (rate(kcl_leases_got_total{{{N}}}{RATE}))", "got: {{how}}"), (f"60 * sum by (reason) (rate(kcl_leases_lost_total{{{N}}}{RATE})) or vector(0)", "lost: {{reason}}")]),
            graph("Fill of publish requests", "Entries in a request, of the ten that SNS takes: fuller is cheaper.", "percentunit", [(f"sum(rate(rapids_reader_batch_fill_ratio_sum{{{N}}}{RATE})) / sum(rate(rapids_reader_batch_fill_ratio_count{{{N}}}{RATE}))", "mean")]),
            graph("Time of calls to Kinesis and DynamoDB, p95", "Of each operation, tries again included.", "s", [(quantile(0.95, "kcl_call_seconds", by="api"), "{{api}}")]),
            graph("Calls refused as too many", "More shards, or on-demand capacity, help against those that last.", "reqps", [(f"{rate('kcl_throttled_total', by='api')} or vector(0)", "{{api}}")]),
            graph("Records held in memory", "Bytes that are held or made room for, and the most that may be.", "bytes", [(f"sum({mine('kcl_bytes_in_flight')})", "held"), (f"sum({mine('kcl_bytes_in_flight_max')})", "at most")]),
            graph("Rivers fed directly", "Rivers whose events do not go by SNS, and routes that cannot be read.", "short", [(f"max(rapids_reader_routes{{{N}}})", "direct"), (f"max(rapids_reader_routes_unreadable{{{N}}})", "unreadable")]),
        ],
    )


def rivers():
    return dashboard(
        "rivers",
        "Rivers",
        "What waits, how long, and what becomes of it. The monitor looks into the queues; the services tell the rest.",
        [
            stat("Waiting", "Messages that nobody has received yet.", "short", f'sum(rapids_river_depth{{{R}, state="visible"}})', GREEN_BELOW(1_000, 10_000), 6),
            stat("In quarantine", "Messages in the dead-letter queues of these rivers.", "short", f"sum(rapids_dlq_depth{{{R}}})", [(None, "green"), (1, "orange")], 6),
            stat("Waited, p95", "Time in the queue until the first receipt.", "s", quantile(0.95, "rapids_river_queue_seconds", 'river=~"$river"'), GREEN_BELOW(1, 10), 6),
            stat("Failed attempts", "Of all attempts.", "percentunit", f'({rate("rapids_river_messages_total", R.split(", ", 1)[1] + ", outcome=~" + chr(34) + "failed|retry" + chr(34))} or vector(0)) / {rate("rapids_river_messages_total", R.split(", ", 1)[1])}', GREEN_BELOW(0.01, 0.05), 6),
            graph("Waiting", "Messages that nobody has received yet, by river.", "short", [(f'sum by (river) (rapids_river_depth{{{R}, state="visible"}})', "{{river}}")]),
            graph("Being handled", "Received and not settled, as SQS counts.", "short", [(f'sum by (river) (rapids_river_depth{{{R}, state="in_flight"}})', "{{river}}")]),
            graph("In quarantine", "Messages in dead-letter queues by river. Kept for 14 days.", "short", [(f"sum by (river) (rapids_dlq_depth{{{R}}})", "{{river}}")]),
            graph("Settled, by outcome", "`ok`, `ignored`, `duplicate` and `pong` are good ends; `failed` and `retry` come again; all others lie in a dead-letter queue with this reason.", "ops", [(rate("rapids_river_messages_total", 'river=~"$river"', "river, outcome"), "{{river}} {{outcome}}")]),
            graph("Waited in the queue", "Quantiles over these rivers.", "s", quantiles("rapids_river_queue_seconds", 'river=~"$river"')),
            graph("Time to handle, p95", "By river, answers published.", "s", [(quantile(0.95, "rapids_river_handle_seconds", 'river=~"$river"', "river"), "{{river}}")]),
            graph("Age when handled, p95", "By river and event: where the time goes that freshness promises.", "s", [(quantile(0.95, "rapids_river_event_age_seconds", 'river=~"$river"', "river, event"), "{{river}} {{event}}")]),
            graph("In flight and limit", "Events handled at once, and how many may be: the limit halves when something behind the handler is under pressure.", "short", [(f"sum by (river) (rapids_river_inflight{{{R}}})", "{{river}} now"), (f"sum by (river) (rapids_river_concurrency_limit{{{R}}})", "{{river}} limit")]),
            graph("Locks", "Times that a message was kept hidden for longer, and messages that became visible to others while they were worked on.", "ops", [(rate("rapids_river_visibility_extensions_total", 'river=~"$river"'), "extended"), (rate("rapids_river_lock_lost_total", 'river=~"$river"'), "lost")]),
            graph("Pings, p95", "Through the rapids, the river and its service, and back.", "s", [(quantile(0.95, "rapids_ping_seconds", 'river=~"$river"', "river"), "{{river}}")]),
            graph("Audit", "Audited events, by whether the river accounted for them.", "ops", [(rate("rapids_audit_events_total", 'river=~"$river"', "river, outcome"), "{{river}} {{outcome}}")]),
            graph("Topics by status", "Subscriptions that are active, on their way, or refused.", "short", [(f"sum by (river, status) (rapids_subscriptions{{{R}}})", "{{river}} {{status}}")]),
        ],
        [RIVER],
    )


def service():
    info = f'rapids_build_info{{{N}, service=~"$service"}}'
    mine = lambda metric, labels="": f"{metric}{{{', '.join(filter(None, [N, labels]))}}} * on (namespace, instance) group_left (service) {info}"  # noqa: E731
    rated = lambda metric, labels="": f"rate({metric}{{{', '.join(filter(None, [N, labels]))}}}{RATE}) * on (namespace, instance) group_left (service) {info}"  # noqa: E731
    return dashboard(
        "service",
        "Service",
        "One service, or some: what it uses, and how it does.",
        [
            stat("Processes", "Processes that are scraped.", "short", f"count({info})", width=4, decimals=0),
            stat("Well", "Processes whose last self-check went well.", "percentunit", f"avg({mine('rapids_self_check_status')}) or vector(1)", GREEN_ABOVE(0.5, 1), 4),
            stat("Handled", "Events with a good end.", "ops", f"sum({rated('rapids_river_messages_total', 'outcome=~' + chr(34) + 'ok|ignored|duplicate|pong' + chr(34))}) or vector(0)", width=4),
            stat("Failed", "Attempts that failed; they come again.", "ops", f"sum({rated('rapids_river_messages_total', 'outcome=~' + chr(34) + 'failed|retry|lost' + chr(34))}) or vector(0)", GREEN_BELOW(0.1, 1), 4),
            stat("Memory", "Of all processes.", "bytes", f"sum({mine('process_resident_memory_bytes')})", width=4),
            stat("CPU", "Cores that all processes use.", "short", f"sum({rated('process_cpu_seconds_total')})", width=4, decimals=2),
            table("Versions", "Which build of which service runs, and how often.", "short", [(f"count by (service, version, revision) ({info})", "")], 8),
            graph("Heartbeats", "Time since anything was heard of the service's freshest process.", "s", [(f'max by (service) (rapids_service_heartbeat_age_seconds{{{N}, service=~"$service"}})', "{{service}}")], thresholds=GREEN_BELOW(45, 45)),
            graph("Settled, by outcome", "Messages of the services' rivers by what became of them.", "ops", [(f"sum by (service, outcome) ({rated('rapids_river_messages_total')})", "{{service}} {{outcome}}")]),
            graph("Time to handle, p95", "Of an event, its answers published.", "s", [(f"histogram_quantile(0.95, sum by (le, service) ({rated('rapids_river_handle_seconds_bucket')}))", "{{service}}")]),
            graph("Published", "Events put onto the rapids, by type and outcome.", "ops", [(f"sum by (service, event, outcome) ({rated('rapids_publish_total')})", "{{service}} {{event}} {{outcome}}")]),
            graph("In flight and limit", "Events handled at once, and how many may be.", "short", [(f"sum by (service) ({mine('rapids_river_inflight')})", "{{service}} now"), (f"sum by (service) ({mine('rapids_river_concurrency_limit')})", "{{service}} limit")]),
            graph("Memory", "Resident memory by process.", "bytes", [(mine("process_resident_memory_bytes"), "{{service}} {{instance}}")]),
            graph("CPU", "Cores by process.", "short", [(rated("process_cpu_seconds_total"), "{{service}} {{instance}}")]),
            graph("Open files", "By process, and the most that there may be is `process_max_fds`.", "short", [(mine("process_open_fds"), "{{service}} {{instance}}")]),
            graph("Reports dropped", "What services wanted to say about themselves and found no room for.", "ops", [(f"sum by (service) ({rated('rapids_reports_dropped_total')})", "{{service}}")]),
        ],
        [SERVICE],
    )


def control():
    return dashboard(
        "control-plane",
        "Control plane",
        "What is wanted of rivers, and what is. A command is carried out within seconds; what others change by hand is put back.",
        [
            stat("Rivers", "At the last look at all of them.", "short", f"max(rapids_control_rivers{{{N}}})", width=6, decimals=0),
            stat("Look after all rivers", "Control planes that do: one.", "short", f"sum(rapids_control_leads{{{N}}})", [(None, "red"), (1, "green"), (2, "orange")], 6, 0),
            stat("Topics not active", "Subscriptions that are on their way, or refused.", "short", f'sum(rapids_subscriptions{{{N}, status!="active"}}) or vector(0)', [(None, "green"), (1, "orange")], 6, 0),
            stat("Changed by hand", "Changes by other hands that were put back, in the time shown.", "short", f"sum(increase(rapids_control_drift_total{{{N}}}[$__range])) or vector(0)", [(None, "green"), (1, "orange")], 6, 0),
            graph("Commands", "Per minute, by kind and outcome. Quarantined ones are refused, with the reason: `rapids dlq list Control`.", "opm", [(f"60 * {rate('rapids_control_commands_total', by='command, outcome')}", "{{command}} {{outcome}}")]),
            graph("Time of a command, p95", "From its receipt until it is carried out.", "s", [(quantile(0.95, "rapids_control_command_seconds", by="command"), "{{command}}")]),
            graph("Time to reconcile a river, p95", "To bring one river to what is wanted.", "s", [(quantile(0.95, "rapids_control_reconcile_seconds"), "p95")]),
            graph("Refused", "Commands put into the quarantine, per minute, by reason.", "opm", [(f"60 * {rate('rapids_control_quarantined_total', by='reason')} or vector(0)", "{{reason}}")]),
            graph("Changed by hand", "Per minute, by what was changed.", "opm", [(f"60 * {rate('rapids_control_drift_total', by='kind')} or vector(0)", "{{kind}}")]),
            graph("Put off", "Looks at rivers that could not be brought to what is wanted, per minute: they are tried again.", "opm", [(f"60 * {rate('rapids_control_put_off_total')}", "put off")]),
            graph("Wanted and active topics", "By status.", "short", [(f"sum by (status) (rapids_subscriptions{{{N}}})", "{{status}}")], 12, True),
            table("Rivers", "Topics by river and status.", "short", [(f"sum by (river, status) (rapids_subscriptions{{{N}}})", "")], 12),
        ],
    )


def offers():
    per_minute = lambda metric, by, labels=REAL: f"60 * {rate(metric, labels, by)}"  # noqa: E731
    return dashboard(
        "offers",
        "Offers",
        "The business: who looks, what is offered, what is chosen, how soon, and what it is worth. Without synthetic customers.",
        [
            stat("Views", "Pages viewed, per minute.", "opm", per_minute("offers_page_views_total", ""), width=4),
            stat("Covered", "Views that got an offer within 5 s, in the time shown. Objective: 99 %.", "percentunit", COVERED, GREEN_ABOVE(0.98, 0.99), 4),
            stat("Offers per selection", "The mean of all selections, empty ones included.", "short", f"sum(rate(offers_per_view_sum{{{N}, {REAL}}}{RATE})) / sum(rate(offers_per_view_count{{{N}, {REAL}}}{RATE}))", width=4, decimals=1),
            stat("Time to offer, p95", "From the view to its selection. Objective: 3 s.", "s", quantile(0.95, "offers_time_to_offer_seconds", REAL), GREEN_BELOW(2.5, 3), 4),
            stat("Value", "Expected margin of the best offer of each selection, per minute, in minor units of the currency.", "short", per_minute("offers_value_total", ""), width=4),
            stat("Without any offer", "Views in the time shown that got an empty selection, or none.", "short", f'sum(increase(offers_views_judged_total{{{N}, {REAL}, result!="offered"}}[$__range]))', [(None, "green"), (1, "orange")], 4, 0),
            graph("Views, by what came of them", "Per minute. `offered`: in time; `empty`: a selection without offers; `missing`: none in time.", "opm", [(per_minute("offers_views_judged_total", "result"), "{{result}}")], stacked=True),
            graph("Selections", "Per minute, by version of the engine and result.", "opm", [(per_minute("offers_selected_total", "engine_version, result"), "{{engine_version}} {{result}}")]),
            graph("Time to offer", "Quantiles.", "s", quantiles("offers_time_to_offer_seconds", REAL)),
            graph("Offers made", "Per minute, by who makes them.", "opm", [(per_minute("offers_proposed_total", "offerer, version"), "{{offerer}} {{version}}")], stacked=True),
            graph("Offers made, by basis", "Per minute: for everybody, for a segment, for a segment and a tier.", "opm", [(per_minute("offers_proposed_total", "basis"), "{{basis}}")], stacked=True),
            graph("Late and amended", "Per minute: offers that came after their window, and selections that were put in the place of another.", "opm", [(f"60 * {rate('offer_engine_late_total', by='offerer, action')} or vector(0)", "late: {{offerer}} {{action}}"), (per_minute("offers_amended_total", ""), "amended")]),
            graph("Segments", "Customers per minute, by segment.", "opm", [(per_minute("segments_resolved_total", "segment"), "{{segment}}")], stacked=True),
            graph("Tiers", "Customers per minute, by tier.", "opm", [(per_minute("memberships_resolved_total", "tier"), "{{tier}}")], stacked=True),
            graph("Shown and accepted", "Offers per minute, as channels tell.", "opm", [(per_minute("offers_shown_total", ""), "shown"), (f"{per_minute('offers_accepted_total', '')} or vector(0)", "accepted")]),
            row("Synthetic customers"),
            graph("Probes", "Runs per minute, by kind and outcome.", "opm", [(f"60 * {rate('rapids_probe_runs_total', by='probe, outcome')}", "{{probe}} {{outcome}}")]),
            graph("Stages of probes, p95", "From a synthetic view to each of its stages.", "s", [(quantile(0.95, "rapids_probe_stage_seconds", by="stage"), "{{stage}}")]),
            graph("Stages that failed", "Per minute.", "opm", [(f"60 * {rate('rapids_probe_stage_failures_total', by='stage')}", "{{stage}}")]),
        ],
    )


def experiments():
    a = f'{REAL}, arm=~"$arm", arm!=""'
    arms = lambda outcome: f'sum by (experiment, arm) (increase(offers_by_arm_total{{{N}, outcome="{outcome}"}}[$__range]))'  # noqa: E731
    return dashboard(
        "experiments",
        "Experiments",
        "Arms side by side, as experiment:arm. An arm whose control converts better costs money: `rapids experiment report NAME` judges by statistics.",
        [
            graph("Selections", "Per minute, by arm: the weights of the arms, if all is well.", "opm", [(f"60 * {rate('offers_selected_total', a, 'arm')}", "{{arm}}")], 12),
            graph("Value per selection", "Expected margin of the best offer, in minor units of the currency.", "short", [(f"{rate('offers_value_total', a, 'arm')} / ({rate('offers_selected_total', a, 'arm')} > 0)", "{{arm}}")], 12),
            graph("Time to offer, p95", "From the view to its selection, by arm.", "s", [(quantile(0.95, "offers_time_to_offer_seconds", a, "arm"), "{{arm}}")]),
            graph("Without any offer", "Selections that are empty, of all, by arm.", "percentunit", [(f"1 - {rate('offers_selected_total', a + ', result=' + chr(34) + 'some' + chr(34), 'arm')} / ({rate('offers_selected_total', a, 'arm')} > 0)", "{{arm}}")]),
            graph("Shown", "Offers per minute, by arm, as channels tell.", "opm", [(f"60 * {rate('offers_shown_total', a, 'arm')}", "{{arm}}")]),
            stat("Conversion", "Offers accepted, of those shown, in the time shown, by experiment and arm.", "percentunit", [(f"{arms('accepted')} / ({arms('shown')} > 0)", "{{experiment}} {{arm}}")], width=12),
            stat("Enough data", "Offers shown in the time shown. Below 1000 for an arm, differences say nothing.", "short", [(arms("shown"), "{{experiment}} {{arm}}")], [(None, "orange"), (1_000, "green")], 12, 0),
        ],
        [ARM],
    )


def cost():
    hourly = lambda metric, price, labels="": f"3600 * {rate(metric, labels)} * {price} / 1e6"  # noqa: E731
    shards = f"count(count by (shard) ({whose('kcl_shard_behind_seconds', 'rapids-reader')}))"
    sqs = f"3600 * sum(rate(rapids_river_messages_total{{{N}}}{RATE})) * 3 * 0.40 / 1e6"
    return dashboard(
        "cost",
        "Cost",
        "An estimate in dollars an hour, at list prices of us-east-1: where the money goes, not what the bill says.",
        [
            stat("Kinesis", "Shards of the rapids that are read, at 0.015 dollars an hour each.", "currencyUSD", f"{shards} * 0.015", width=6, decimals=3),
            stat("SNS", "Publish requests at 0.50 dollars a million; deliveries to SQS are free.", "currencyUSD", f"3600 * sum(rate(rapids_reader_batch_fill_ratio_count{{{N}}}{RATE})) * 0.50 / 1e6", width=6, decimals=3),
            stat("SQS", "Send, receive and delete of each message at 0.40 dollars a million requests: the most, for ten go in a batch.", "currencyUSD", sqs, width=6, decimals=3),
            stat("DynamoDB, leases", "Capacity units of the lease tables, at 1.25 dollars a million writes (and a fifth for reads).", "currencyUSD", f"({hourly('kcl_dynamodb_capacity_units_total', 1.25, 'access=' + chr(34) + 'write' + chr(34))} or vector(0)) + ({hourly('kcl_dynamodb_capacity_units_total', 0.25, 'access=' + chr(34) + 'read' + chr(34))} or vector(0))", width=6, decimals=3),
            graph("Messages by river", "Each costs about three requests to SQS, and its handler's time.", "ops", [(rate("rapids_river_messages_total", by="river"), "{{river}}")], 12, True),
            graph("Bytes read from the rapids", "Kinesis bills written bytes; these are read once by the readers.", "Bps", [(rate("kcl_record_bytes_total", by="fate"), "{{fate}}")], 12),
            graph("Fill of publish requests", "Half as full costs twice as much SNS.", "percentunit", [(f"sum(rate(rapids_reader_batch_fill_ratio_sum{{{N}}}{RATE})) / sum(rate(rapids_reader_batch_fill_ratio_count{{{N}}}{RATE}))", "mean")], 12),
            graph("CPU by service", "Cores: what Fargate or nodes are paid for.", "short", [(f"sum by (service) (rate(process_cpu_seconds_total{{{N}}}{RATE}) * on (namespace, instance) group_left (service) rapids_build_info{{{N}}})", "{{service}}")], 12, True),
        ],
    )


def all_of_them():
    return {it["uid"].removeprefix("rapids-"): it for it in (overview(), reader(), rivers(), service(), control(), offers(), experiments(), cost())}


def main():
    check = "--check" in sys.argv[1:]
    FOLDER.mkdir(exist_ok=True)
    made = {FOLDER / f"{name}.json": json.dumps(it, indent=1, ensure_ascii=False) + "\n" for name, it in all_of_them().items()}
    stale = [path for path, words in made.items() if not path.exists() or path.read_text() != words]
    odd = set(FOLDER.glob("*.json")) - made.keys()
    if check:
        for path in [*stale, *odd]:
            print(f"{path.name} is not as monitoring/dashboards.py makes it: run that")
        sys.exit(bool(stale or odd))
    for path in odd:
        path.unlink()
    for path, words in made.items():
        path.write_text(words)


if __name__ == "__main__":
    main()
