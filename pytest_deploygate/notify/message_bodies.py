"""What a channel is sent, by its form. Texts are cleaned of secrets before they get here."""

import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple
from urllib.parse import quote

from pytest_deploygate.core.notification import Delivery, NotifyEvent
from pytest_deploygate.core.printable import one_line
from pytest_deploygate.core.record import RolloutRecord

SCHEMA: Final = 1
"""Version of the document that a webhook is sent."""
_CDEVENTS: Final = "0.5.1"
_CDEVENT_VERSION: Final = "0.3.0"
"""Of the types of service events in that version of the specification."""
_CDEVENT_TYPES: Final[Mapping[NotifyEvent, tuple[str, ...]]] = {
    NotifyEvent.PROMOTED: ("deployed", "published"),
    NotifyEvent.ROLLED_BACK: ("rolledback",),
    NotifyEvent.WATCH_ROLLBACK: ("rolledback",),
}
"""Types of CDEvents, "Continuous Deployment"; there is none for a rollout that is stranded or held."""
_HEADINGS: Final = {
    NotifyEvent.PROMOTED: "promoted",
    NotifyEvent.ROLLED_BACK: "rolled back",
    NotifyEvent.STRANDED: "STRANDED: an operator must look",
    NotifyEvent.HELD: "held at {percent} %",
    NotifyEvent.WATCH_ROLLBACK: "what served was rolled back",
}


class Message(NamedTuple):
    """One request to a channel; ``message_id`` is the same each time that it is sent."""

    message_id: str
    content_type: str
    body: bytes


def messages_of(form: str, record: RolloutRecord, delivery: Delivery) -> tuple[Message, ...]:
    """What is sent, in order; nothing where the form has no word for it."""
    if form == "cdevents":
        return tuple(_cdevents(record, delivery.event))
    document = {
        "slack": slack_document,
        "teams": teams_document,
        "webhook": webhook_document,
    }[form](record, delivery.event)
    return (_json_message(document, "/".join(delivery.key)),)


def _json_message(
    document: Mapping[str, object], key: str, content_type: str = "application/json"
) -> Message:
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"deploygate:{key}"))
    return Message(identity, content_type, json.dumps(document).encode())


def heading(record: RolloutRecord, event: NotifyEvent) -> str:
    """One line that says it all."""
    return one_line(f"{record.environment}: {_HEADINGS[event].format(percent=record.step_percent)}")


def webhook_document(record: RolloutRecord, event: NotifyEvent) -> dict[str, object]:
    """The documented JSON body of a webhook."""
    return {
        "schema": SCHEMA,
        "event": event.value,
        "environment": record.environment,
        "rollout_id": record.rollout_id,
        "purpose": record.purpose,
        "state": record.state.value,
        "reason_code": record.reason_code,
        "reason": record.reason,
        "baseline_revision": record.baseline or "",
        "candidate_revision": record.candidate or "",
        "serving_revision": record.serving or "",
        "step_percent": record.step_percent,
        "url": record.url,
        "began_at": record.began_at.isoformat(),
        "ended_at": record.ended_at.isoformat() if record.ended_at is not None else None,
        "duration_seconds": record.duration_s,
        "rollback_seconds": record.rollback_s,
        "actor": str(record.actor),
        "overrides": dict(record.overrides),
        "gates": {name: str(gate) for name, gate in record.gates.items()},
        "warnings": dict(record.warnings),
        "steps": [
            {
                "percent": step.percent,
                "decision": step.decision,
                "reason": step.reason,
                "candidate_requests": step.candidate_requests,
                "baseline_requests": step.baseline_requests,
                "is_undecided": step.is_undecided,
            }
            for step in record.steps
        ],
    }


def _facts(record: RolloutRecord) -> Iterator[tuple[str, str]]:
    facts = (
        ("serving", record.serving or "not known"),
        ("reason", record.reason),
        ("warnings", "; ".join(f"{rule}: {text}" for rule, text in record.warnings.items())),
        ("rollout", record.rollout_id),
        ("by", str(record.actor)),
    )
    return ((name, one_line(text)) for name, text in facts if text)


def slack_document(record: RolloutRecord, event: NotifyEvent) -> dict[str, object]:
    """A message for an incoming webhook of Slack, in which nothing is a link, a mention or markup."""
    text = "\n".join(f"*{name}:* {_for_slack(value)}" for name, value in _facts(record))
    head = _for_slack(heading(record, event))
    return {
        "text": head,
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": f"*{head}*\n{text}"[:2900]}}
        ],
    }


def _for_slack(text: str) -> str:
    """Slack reads these three, and ``*_~`` and the backtick as markup (a zero-width space keeps them apart)."""
    for old, new in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(old, new)
    return "".join(f"\u200b{c}\u200b" if c in "*~`" else c for c in text)


def teams_document(record: RolloutRecord, event: NotifyEvent) -> dict[str, object]:
    """An Adaptive Card for a workflow of Teams that posts to a channel."""
    facts = [{"title": name, "value": value} for name, value in _facts(record)]
    color = {NotifyEvent.PROMOTED: "good", NotifyEvent.HELD: "warning"}.get(event, "attention")
    title = {
        "type": "TextBlock",
        "text": heading(record, event),
        "weight": "bolder",
        "size": "medium",
        "color": color,
        "wrap": True,
    }
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [title, {"type": "FactSet", "facts": facts}],
    }
    content_type = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": content_type, "content": card}]}


def _cdevents(record: RolloutRecord, event: NotifyEvent) -> Iterator[Message]:
    """CDEvents in the structured form of CloudEvents."""
    source = f"/pytest-deploygate/{quote(record.environment)}"
    at = (record.ended_at or datetime.now(UTC)).isoformat()
    for word in _CDEVENT_TYPES.get(event, ()):
        kind = f"dev.cdevents.service.{word}.{_CDEVENT_VERSION}"
        key = f"{record.rollout_id}/{word}"
        identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"deploygate:{key}"))
        service = (record.serving or record.candidate or "").rpartition("-")[0].rpartition("-")[0]
        content: dict[str, object] = {"environment": {"id": record.environment, "source": source}}
        if word != "published":
            content["artifactId"] = _artifact(record, service, word)
        data = {
            "context": {
                "specversion": _CDEVENTS,
                "id": identity,
                "source": source,
                "type": kind,
                "timestamp": at,
            },
            "subject": {
                "id": service or "service",
                "source": source,
                "content": content,
            },
            "customData": webhook_document(record, event),
            "customDataContentType": "application/json",
        }
        envelope = {
            "specversion": "1.0",
            "id": identity,
            "source": source,
            "type": kind,
            "subject": service or "service",
            "time": at,
            "datacontenttype": "application/json",
            "data": data,
        }
        yield _json_message(envelope, key, "application/cloudevents+json")


def _artifact(record: RolloutRecord, service: str, word: str) -> str:
    """The package URL of what is deployed now: of its image where that is known, else of its source."""
    if word == "rolledback":
        digest = record.restore_point.digest if record.restore_point is not None else ""
        return _source_url(service, digest)
    image = record.build.image if record.build is not None else ""
    place, _, digest = image.partition("@")
    if digest:
        name = quote(place.rpartition("/")[2], safe="")
        return f"pkg:oci/{name}@{quote(digest, safe='')}?repository_url={quote(place, safe='')}"
    return _source_url(service, record.digest)


def _source_url(service: str, digest: str) -> str:
    return f"pkg:generic/{quote(service or 'service', safe='')}@{digest or 'unknown'}"
