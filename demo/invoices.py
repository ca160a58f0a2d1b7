"""Renders invoices, again and again: python3 invoices.py SECONDS."""

import sys
import time
from decimal import Decimal

TAX = Decimal("0.19")


def priced_lines(customer):
    return [(f"item {n}", n % 7 + 1, Decimal(customer * n % 9973) / 100) for n in range(1, 40)]


def render_invoice(customer):
    lines = priced_lines(customer)
    net = sum(count * price for _, count, price in lines)
    rows = [f"{name:<20}{count:>5}{price:>10.2f}{count * price:>12.2f}" for name, count, price in lines]
    return "\n".join([f"Invoice for customer {customer}", *rows, f"{net * (1 + TAX):>47.2f}"])


def main():
    end = time.monotonic() + float(sys.argv[1])
    customer = 0
    while time.monotonic() < end:
        customer += 1
        render_invoice(customer)
        time.sleep(0.001)


if __name__ == "__main__":
    main()
