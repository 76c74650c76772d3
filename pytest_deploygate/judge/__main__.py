"""The process that decides, in place of the pytest that was started; its argument is the request."""

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # until the checks are collected: what is loaded stays, and takes a fifth longer with it
    from pytest_deploygate.judge.main import main

    status = main(sys.argv[1])
    gc.freeze()  # the interpreter looks at all that is not frozen when it ends, and somebody waits for that
    sys.exit(status)
