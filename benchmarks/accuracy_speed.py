"""How long it takes to align and score line items.

The extraction is shuffled; besides a perfect one there is one with 3 % of the codes misread and 2 % of the prices wrong
(the ordinary case), one whose prices are shifted by a row, and one with every code misread (the worst for pairing).
"""

import json
import random
import time
from collections.abc import Callable
from decimal import Decimal

from benchmarks.figures import Figure, spread
from pytest_deploygate.checks.accuracy import Record
from suites.support.rows import compare_lines

TARGET_MS = 50
_RUNS = 25
_SEED = 20250117
_WORDS = (
    *("Metal", "Ballerina", "Ornament", "Stoneware", "Jug", "Cotton", "Pillow", "Pleats", "Floral"),
    *("Photo", "Frame", "Embossed", "Glass", "Green", "Round", "Square", "Set", "Candle", "Wreath"),
    *(
        "Paper",
        "Wood",
        "Tray",
        "Bunny",
        "Angel",
        "Velvet",
        "Garland",
        "Tin",
        "Ivory",
        "Brass",
        "Hook",
    ),
)


def golden(count: int) -> list[Record]:
    """``count`` invoice lines with distinct codes and UPCs."""
    chance = random.Random(_SEED)
    return [
        {
            "code": f"XS{n:05d}A",
            "upc": f"1910{n:08d}",
            "description": f'{n % 90}"H ' + " ".join(chance.choices(_WORDS, k=5)),
            "price": str(Decimal(chance.randrange(100, 9000)) / 100),
            "quantity": chance.randrange(1, 48),
        }
        for n in range(count)
    ]


def misread(records: list[Record], codes: float, prices: float) -> list[Record]:
    """A shuffled copy with that share of codes (one letter) and prices read wrongly."""
    chance = random.Random(_SEED + 1)
    copy = [dict(record) for record in records]
    for record in copy:
        if chance.random() < codes:
            code = str(record["code"])
            place = chance.randrange(2, 7)
            record["code"] = code[:place] + "B" + code[place + 1 :]
        if chance.random() < prices:
            record["price"] = "1.60"
    chance.shuffle(copy)
    fresh: list[Record] = json.loads(
        json.dumps(copy)
    )  # as it comes from elsewhere: equal texts, other objects
    return fresh


def shifted(records: list[Record]) -> list[Record]:
    """Every line with the price of the next."""
    prices = [record["price"] for record in records]
    return [
        {**record, "price": price}
        for record, price in zip(records, prices[1:] + prices[:1], strict=True)
    ]


def _times(work: Callable[[], object], runs: int) -> list[float]:
    """CPU seconds of each run."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return times


def figures(count: int = 20_000) -> list[Figure]:
    """Extractions as they come, against the target; wholly broken ones beside them."""
    truth = golden(count)
    cases = {
        "perfect": (misread(truth, 0, 0), TARGET_MS),
        "3 % codes, 2 % prices wrong": (misread(truth, 0.03, 0.02), TARGET_MS),
        "every price wrong": (shifted(truth), None),
        "every code misread": (misread(truth, 1, 0), None),
    }
    found = []
    for name, (extracted, target) in cases.items():
        times = _times(lambda data=extracted: compare_lines(truth, data), runs=_RUNS)  # type: ignore[misc]
        figure = Figure(
            topic="accuracy",
            what=f"{count:,} line items aligned and scored, {name} (CPU, best)",
            value=min(times) * 1000,
            unit="ms",
            at_most=target,
            note=spread(times, "ms", 1000),
        )
        found.append(figure)
    return found
