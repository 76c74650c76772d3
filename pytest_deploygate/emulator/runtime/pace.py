"""How long the platform takes for what an emulator does in moments: latencies as recorded, scaled by a factor.

Sources: builds of functions 60 to 120 s, revisions from an image 4.5 to 44 s (public logs of 2026), policies "typically
2 minutes" and metrics up to 4 minutes late (Google's documentation).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

PACES: Final = ("moments", "google")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds that each takes at least; 0 is as fast as this machine."""

    build_s: float = 0.0
    revision_s: float = 0.0
    access_s: float = 0.0
    """Until a changed policy holds."""
    traffic_s: float = 0.0
    monitoring_lag_s: float = 0.0


def pace_of(name: str, factor: float) -> Pace:
    """The pace called ``name``, each of its latencies times ``factor``."""
    if name != "google":
        return Pace()
    return Pace(
        build_s=90.0 * factor,
        revision_s=20.0 * factor,
        access_s=120.0 * factor,
        traffic_s=2.0 * factor,
        monitoring_lag_s=240.0 * factor,
    )


@asynccontextmanager
async def lasting(seconds: float) -> AsyncIterator[None]:
    """Let what is done inside take ``seconds`` at least, also where it fails, as on the platform."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    try:
        yield
    except Exception:
        await asyncio.sleep(ends - loop.time())
        raise
    await asyncio.sleep(ends - loop.time())
