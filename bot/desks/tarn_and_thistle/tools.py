"""Look-ups of the demo shop: orders, stock and prices, in an SQLite file made from the checked-in CSV files.

The CSV's calendar is moved by whole weeks to the day the file is made, and what is on its way is expected on a day that
lies ahead, so that a newcomer's first look-up is news whenever they start. A look-up tells how an order stands, never
whose it is or where it goes: an order number alone proves nobody's identity.
"""

import csv
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool, tool

HERE = Path(__file__).parent
CSV_TODAY = date(2026, 11, 23)
LATE_AFTER, LOST_AFTER = 2, 10  # working days after the expected date
DATES = ("placed_on", "shipped_on", "expected_on", "delivered_on", "refunded_on")


def make_tools(home: Path, today: date) -> list[BaseTool]:
    """Return the desk's tools; the database lies in `home` and is made on first use."""
    database = home / "orders.sqlite"
    if not database.exists():
        _make_database(database, today)

    def first(query: str, value: str) -> dict[str, Any] | None:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            row = connection.execute(query, (value,)).fetchone()
        return dict(row) if row else None

    find = partial(first, "SELECT * FROM orders WHERE order_number = ?")
    find_product = partial(first, "SELECT * FROM products WHERE lower(product) = lower(?)")

    @tool
    def look_up_order(order_number: str) -> dict[str, str]:
        """Say how an order stands: its status, carrier, tracking number and dates."""
        order = find(order_number)
        if order is None:
            return {"outcome": "not_found"}
        is_overdue = order["status"] == "shipped" and date.fromisoformat(order["expected_on"]) < today
        return _tell("delayed" if is_overdue else order["status"], order)

    @tool
    def check_late(order_number: str) -> dict[str, str]:
        """Say whether an order is on time, past its date, late, lost, waiting to be collected or delivered."""
        order = find(order_number)
        return _tell(_lateness(order, today), order) if order else {"outcome": "not_found"}

    @tool
    def check_changeable(order_number: str) -> dict[str, str]:
        """Say whether an order can still be changed or cancelled."""
        order = find(order_number)
        stages = {"processing": "open", "packed": "packed", "delivered": "delivered"}
        stages |= dict.fromkeys(("shipped", "out_for_delivery", "delayed", "awaiting_pickup"), "on_its_way")
        return _tell(stages.get(order["status"], "closed"), order) if order else {"outcome": "not_found"}

    @tool
    def look_up_refund(order_number: str) -> dict[str, str]:
        """Say how the refund of an order stands."""
        order = find(order_number)
        stages = {"refunded": "refunded", "return_received": "received", "cancelled": "cancelled"}
        stages |= {"delivered": "no_return", "awaiting_pickup": "not_delivered"}
        return _tell(stages.get(order["status"], "not_delivered"), order) if order else {"outcome": "not_found"}

    @tool
    def check_stock(product: str) -> dict[str, str]:
        """Say whether a product is in stock, and in which sizes."""
        found = find_product(product)
        if found is None:
            return {"outcome": "unknown_product"}
        if found["sizes_in_stock"] == "one size":
            return {"outcome": f"{found['stock']}_one_size", "product": found["product"]}
        return {"outcome": found["stock"], "product": found["product"], "sizes": found["sizes_in_stock"]}

    @tool
    def check_price(product: str) -> dict[str, str]:
        """Say what a product costs, and whether it can be had."""
        found = find_product(product)
        if found is None:
            return {"outcome": "unknown_product"}
        outcome = "sold_out" if found["stock"] == "sold_out" else "for_sale"
        return {"outcome": outcome, "product": found["product"], "price": f"£{found['price']}"}

    return [look_up_order, check_late, check_changeable, look_up_refund, check_stock, check_price]


def _lateness(order: dict[str, Any], today: date) -> str:
    status = order["status"]
    if status in ("delivered", "awaiting_pickup"):
        return str(status)
    if status in ("processing", "packed"):
        return "not_shipped"
    if status in ("cancelled", "return_received", "refunded"):
        return "closed"
    expected = date.fromisoformat(order["expected_on"])
    if today <= expected:
        return "on_time"
    overdue = _working_days(expected, today)
    return "lost" if overdue >= LOST_AFTER else "late" if overdue >= LATE_AFTER else "past_date"


def _working_days(start: date, end: date) -> int:
    """Return how many working days lie after `start` up to `end`; 0 where `end` is not later."""
    days = range(1, (end - start).days + 1)
    return sum((start + timedelta(days=day)).weekday() < 5 for day in days)


def _working_day_after(day: date) -> date:
    return next(later for later in (day + timedelta(days=ahead) for ahead in (1, 2, 3)) if later.weekday() < 5)


def _tell(outcome: str, order: dict[str, Any]) -> dict[str, str]:
    """Return what may be said about an order, in words: dates as people say them, no names, no addresses."""
    told = {"outcome": outcome, "order_number": order["order_number"], "items": _items(order["items"])}
    told |= {key: order[key] for key in ("carrier", "tracking_number") if order[key]}
    for key in DATES:
        if order[key]:
            day = date.fromisoformat(order[key])
            told[key] = f"{day:%A} {day.day} {day:%B}"
    if order["refund_amount"]:
        told["refund_amount"] = f"£{float(order['refund_amount']):.2f}"
    return told


def _items(text: str) -> str:
    items = [item.split(" (")[0].strip() for item in text.split(";")]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _make_database(path: Path, today: date) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    shift = timedelta(days=(today - CSV_TODAY).days // 7 * 7)  # whole weeks: weekdays stay as they are
    with sqlite3.connect(draft) as connection:
        for name in ("orders", "products"):
            with (HERE / f"{name}.csv").open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            for row in rows:
                for key in DATES:
                    if row.get(key):
                        row[key] = (date.fromisoformat(row[key]) + shift).isoformat()
                if row.get("status") == "shipped":
                    row["expected_on"] = max(row["expected_on"], _working_day_after(today).isoformat())
            columns = list(rows[0])
            marks = ", ".join("?" for _ in columns)
            connection.execute(f"CREATE TABLE {name} ({', '.join(columns)}, PRIMARY KEY ({columns[0]}))")
            values = [[row[column] for column in columns] for row in rows]
            connection.executemany(f"INSERT INTO {name} VALUES ({marks})", values)
    connection.close()
    draft.replace(path)
