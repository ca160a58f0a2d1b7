"""Burns CPU time in the interpreter, until SIGTERM or the end of its time."""

import time


def tg_python_spin():
    total = 0
    for value in range(100_000):
        total += value & 7
    return total


begin = time.monotonic()
while time.monotonic() - begin < 180:
    tg_python_spin()
