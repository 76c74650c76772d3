"""The process that decides, in place of the pytest that was started; its argument is the request."""

import sys

from pytest_deploygate.judge.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
