"""How much load is sent to a function on this machine at most; known without loading what sends it."""

from typing import Final

MOST_PER_S: Final = 200
MOST_SECONDS: Final = 3600
