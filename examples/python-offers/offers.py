"""A competitor of location and brand. It hooks into the running system, and nobody there knows it."""

import logging
import signal
from datetime import datetime, timedelta, timezone

import boto3

import rapids

SERVICE = "python-offers"
# Event type: what its payload has to say; then rule, title, price, margin in cents and likelihood of the offer.
OFFERS = {
    "ViewPage": ({}, "baseline", "Vintage scooter by the hour", "12.00", 700, 0.12),
    "CustomerSegmented": ({"segment": "RoadWarrior"}, "segment", "Camper van, one way", "89.00", 1500, 0.21),
}


def offers(cause, now):
    """What an event comes to: an offer, or nothing."""
    kind, said = cause.get("eventType") or cause.get("eventName"), cause.get("payload") or {}
    if kind not in OFFERS:
        return []
    wanted, rule, title, amount, value, likelihood = OFFERS[kind]
    payload = {"slot": "rental", "basis": rule, "facts": [cause["eventId"]], "title": title, "value": value,
               "price": {"amount": amount, "currency": "USD"}, "likelihood": likelihood,
               "expiresAt": rapids.time_text(now + timedelta(minutes=30))}
    offer = rapids.answer(cause, SERVICE, "OfferProposed", rule, payload, now)
    payload["offerId"] = offer["eventId"]
    interested = all(said.get(field) == wish for field, wish in wanted.items())
    return [offer] if interested and offer["hops"] <= rapids.HOPS_MAX else []


def handle(kinesis, sqs, queue, messages):
    """Answers a batch. It is deleted when its answers are on the rapids: after a crash it comes again."""
    handled, answers = [], []
    for message in messages:
        try:
            answers += offers(rapids.read(message), datetime.now(timezone.utc))
            handled.append({"Id": str(len(handled)), "ReceiptHandle": message["ReceiptHandle"]})
        except (ValueError, KeyError, TypeError, AttributeError):
            logging.exception("no event: left to the queue, which puts it into its dead-letter queue in the end")
    rapids.put(kinesis, f"Rapids-{rapids.STAGE}", [(answer["correlationId"], answer) for answer in answers])
    if handled:
        sqs.delete_message_batch(QueueUrl=queue, Entries=handled)


kinesis, sqs = boto3.client("kinesis"), boto3.client("sqs")
queue = rapids.hook_in(kinesis, sqs, SERVICE, OFFERS)
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))  # Heeded when the poll or the batch is over.
while not stopped:
    polled = sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5, MessageAttributeNames=["arm"]
    )
    handle(kinesis, sqs, queue, polled.get("Messages", []))
