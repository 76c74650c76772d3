"""The process that decides, in place of the pytest that was started; its argument is the request."""

import gc
import sys

from pytest_deploygate.judge.main import main

if __name__ == "__main__":
    status = main(sys.argv[1])
    gc.freeze()  # the interpreter looks at all that is not frozen when it ends, and somebody waits for that
    sys.exit(status)
