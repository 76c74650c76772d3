"""What the platform answers, printed and written down without what tells of a project or of a person."""

import json
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tests.contract.target.staged_function import AnyTarget

RECORDINGS = "DEPLOYGATE_GCP_RECORDINGS"
"""Names the folder that recordings are written to."""
_HIDDEN = re.compile(r"(Bearer |Signature=|X-Goog-Credential=)[^\"&\s]+")
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*|ya29\.[\w.-]+")
_PERSON = re.compile(r"[\w.+-]+@(?![\w.-]*gserviceaccount\.com)[\w-]+(\.[\w-]+)+")
_NUMBER = re.compile(r"(?<![\w.])\d{9,13}(?!\w)")
"""A project's number; no part of a digest, nor of a second."""


def say(text: str) -> None:
    """What a person who runs this on Google reads (with ``-s``)."""
    sys.stdout.write(f"\n{text}\n")


def sanitised(text: str, project: str) -> str:
    """``text`` without the project's name and number, people, and anything that is signed."""
    clean = _TOKEN.sub("***", _HIDDEN.sub(r"\1***", text)).replace(project, "project-1")
    clean = clean.replace(project.replace("-", "--"), "project--1")  # in the names of images
    return _PERSON.sub("somebody@example.com", _NUMBER.sub("123456789012", clean))


def keep(check: str, answer: requests.Response, project: str) -> None:
    """Print an answer, and write it down where the caller wants recordings."""
    try:
        text = json.dumps(answer.json(), indent=1)
    except ValueError:
        text = answer.text
    clean = sanitised(text, project)
    say(f"{check}: {answer.status_code}\n{clean}")
    write(check, clean)


def write(name: str, clean: str) -> None:
    """Write a recording down where the caller wants recordings; a later one replaces it."""
    if folder := os.environ.get(RECORDINGS):
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        (path / f"{name}.json").write_text(clean + "\n", encoding="utf-8")


def record_all(target: AnyTarget, name: str) -> None:
    """Record the last answer of each resource that ``target`` asks for or changes."""
    project = target.spec.project

    def record(answer: requests.Response, *_: object, **__: object) -> None:
        if "json" not in answer.headers.get("content-type", ""):
            return
        words = urlsplit(answer.url).path.split("/")[-2:]
        check = f"{name}-{answer.request.method}-{'-'.join(words)}".replace(":", "-")
        write(sanitised(check, project), sanitised(answer.text, project))

    target._clients.session.hooks["response"].append(record)
