"""The campaign's page says what the plan holds, counts by hand, opens without a network, and escapes what users wrote."""

import re

import numpy as np
import pandas as pd
import pytest
from helpers_campaign_page import facts, plan

from longtail.campaign.effect_quality import Resampling, describe_treatment
from longtail.campaign.returning import describe
from longtail.components.campaign.report import NOT_CHOSEN, examples, left_out, proposal, render_report
from longtail.contracts.campaign import LEFT
from longtail.metrics.uplift import Trial

TITLES = {"i1": "Tea & <b>Cups</b>", "i2": "Lamp"}


def learnt(learner: str = "t") -> dict[str, object]:
    rng = np.random.default_rng(0)
    effect = rng.normal(0.1, 0.1, 2000)
    treated = rng.random(2000) < 0.5
    outcome = (rng.random(2000) < 0.3 + effect * treated).astype(float)
    quality = describe_treatment(effect, Trial.of(outcome, treated), Resampling(100, 0.95, 0))
    return {"greeting": quality | {"learner": learner}}


def shown(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]).split())


def test_the_proposal_is_one_sentence_of_counts_and_costs() -> None:
    assert proposal(plan()) == "Contact 4 of 8 users for 2.00, and hold out 1 more to measure what it brings"


def test_who_is_left_out_is_counted_by_reason() -> None:
    assert left_out(plan()) == {"no consent": 2, NOT_CHOSEN: 1}


def test_examples_show_every_kind_before_a_second_of_one() -> None:
    assert [row["user_id"] for row in examples(plan())] == ["u2", "u4", "u3", "u1"]
    assert len(examples(pd.concat([plan()] * 3, ignore_index=True))) == 5


def test_without_a_log_the_page_says_that_the_effect_is_unknown() -> None:
    text = shown(render_report(plan(expected=False), facts(), TITLES))
    assert "Nobody knows." in text
    assert "What does it bring? unknown There is no log of random contacts" in text
    assert "Uplift of" not in text
    assert "Contact 4 of 8 users for 2.00" in text
    assert "1 held out 20.0% of those who would be contacted" in text
    assert "expected worth" not in text


def test_with_a_log_the_page_has_qini_curve_band_and_calibration() -> None:
    page = render_report(plan(), facts(effects=learnt(), expected=15.0), TITLES)
    text = shown(page)
    assert "+15.0" in text
    assert "Uplift of greeting" in text
    assert page.count('class="band"') == 1
    assert page.count('class="whisker"') == 10  # deciles
    assert "Qini coefficient +" in text
    alike = "this plan takes the average for everybody"
    assert alike not in text
    assert alike in shown(render_report(plan(), facts(effects=learnt("none"), expected=15.0), TITLES))


def test_who_comes_back_anyway_is_shown_where_it_was_learnt() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.random(2000)
    quality = describe(predicted, rng.random(2000) < predicted)
    page = render_report(plan(), facts(returning=quality), TITLES)
    assert page.count('class="whisker"') == len(quality["reliability"]) == 10
    assert "Learnt from 2,000 users one horizon earlier" in shown(page)
    assert "Who comes back" not in render_report(plan(), facts(), TITLES)


def test_segments_and_states_are_counted() -> None:
    page = render_report(plan(), facts(), TITLES)
    cells = re.findall(r"<th>tail</th>(.*?)</tr>", page, re.DOTALL)[0]
    assert shown(f"<body>{cells}") == "– – 2 of 3 1 of 1 3 of 4"  # never, active, at risk, dormant, all


def test_texts_are_escaped_and_nothing_comes_from_elsewhere() -> None:
    page = render_report(plan(), facts(), TITLES)
    assert "Tea &amp; &lt;b&gt;Cups&lt;/b&gt;" in page
    assert "Hello, &lt;u2&gt;" in page
    assert "i3" in page  # an item without a title is shown by its id
    assert not re.search(r"https?://|<script|<link|@import|url\(", page)


@pytest.mark.parametrize(
    "changes", [{"budget": None}, {"budget_curve": []}, {"hold_out": {**facts()["hold_out"], "detectable": None}}]
)  # type: ignore[dict-item]
def test_what_may_be_missing_is_left_out(changes: dict[str, object]) -> None:
    assert "Who is contacted" in shown(render_report(plan(), facts(**changes), TITLES))


def test_a_campaign_of_nobody_has_a_page() -> None:
    text = shown(render_report(plan().assign(arm=LEFT), facts(spent=0.0, budget_curve=[]), TITLES))
    assert "Contact 0 of 8 users for 0.00" in text
    assert "Nobody is contacted." in text
