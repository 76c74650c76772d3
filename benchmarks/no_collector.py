"""A plugin of pytest that collects no garbage (see :mod:`benchmarks.instructions`)."""

import gc

gc.disable()
