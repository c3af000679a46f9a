from __future__ import annotations

import math

import pytest

from bot.demo.expressions import History, Scrape, UnknownExpression, parse_exposition
from bot.demo.rules import RECORDED, RULES

TARGET = {"job": "checkout", "instance": "127.0.0.1:1"}


def scrape(at: float, *, good: float, bad: float, depth: float = 4) -> Scrape:
    text = f"""# TYPE checkout_requests_total counter
checkout_requests_total{{code="202"}} {good}
checkout_requests_total{{code="503"}} {bad}
# TYPE checkout_queue_depth gauge
checkout_queue_depth {depth}
# TYPE checkout_queue_capacity gauge
checkout_queue_capacity 40
"""
    up = frozenset({**TARGET, "__name__": "up"}.items())
    return Scrape(at, {**parse_exposition(text, TARGET), up: 1.0})


@pytest.fixture
def history() -> History:
    history = History()
    history.add(scrape(100, good=0, bad=0))
    history.add(scrape(102, good=30, bad=10, depth=36))
    return history


@pytest.mark.parametrize(
    ("expression", "values"),
    (
        ("checkout_queue_depth", [36]),
        ('checkout_queue_depth{job="checkout"}', [36]),
        ('checkout_queue_depth{job="other"}', []),
        ('checkout_requests_total{code=~"5..|4.."}', [10]),
        ('checkout_requests_total{code!="202", job="checkout"}', [10]),
        ('checkout_requests_total{code!~"5.."}', [30]),
        ("checkout_queue_depth / checkout_queue_capacity", [0.9]),
        ("checkout_queue_depth/checkout_queue_capacity > 0.95", []),
        ("sum(rate(checkout_requests_total[5s]))", [20]),
        ('rate(checkout_requests_total{code="503"}[5s])', [5]),
        ("checkout:error_ratio", [0.25]),
        (RECORDED["checkout:error_ratio"], [0.25]),
        ("checkout:error_ratio > 0.1", [0.25]),
        ("checkout:error_ratio <= 0.1", []),
        ("up == 1", [1]),
        ('up{job="checkout"} == 0', []),
        ("no_such_metric", []),
    ),
)
def test_an_understood_expression_has_the_value_prometheus_gives(
    history: History, expression: str, values: list[float]
) -> None:
    assert [sample.value for sample in history.query(expression)] == values


@pytest.mark.parametrize(
    "expression",
    (
        "",
        "sum(checkout_queue_depth",
        "checkout_queue_depth)",
        "avg(checkout_queue_depth)",
        "rate(checkout_requests_total)",
        "checkout_requests_total[5s]",
        'up{job="a} == 0',
        'up{job=~"("}',
        "a / b / c",
        "checkout_queue_depth + 1",
    ),
)
def test_anything_else_is_refused(history: History, expression: str) -> None:
    with pytest.raises(UnknownExpression):
        history.query(expression)


def test_labels_are_kept_as_prometheus_keeps_them(history: History) -> None:
    name = {"__name__": "checkout_queue_depth"}
    assert history.query("checkout_queue_depth > 1")[0].labels == TARGET | name
    ratio = history.query("checkout_queue_depth / checkout_queue_capacity")
    assert ratio[0].labels == TARGET
    assert history.query("sum(rate(checkout_requests_total[5s]))")[0].labels == {}


def test_a_counter_that_starts_anew_does_not_give_a_negative_rate(history: History) -> None:
    history.add(scrape(104, good=10, bad=0))
    assert history.query("sum(rate(checkout_requests_total[5s]))")[0].value == (40 + 10) / 4


def test_no_traffic_is_no_error_rate() -> None:
    history = History()
    history.add(scrape(100, good=5, bad=5))
    history.add(scrape(101, good=5, bad=5))
    assert math.isnan(history.query("checkout:error_ratio")[0].value)
    assert history.query("checkout:error_ratio > 0.1") == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_is_understood_even_before_the_first_scrape(rule: object) -> None:
    assert History().query(rule.expression) == []  # type: ignore[attr-defined]
