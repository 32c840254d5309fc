import re
from html.parser import HTMLParser

import pytest
from helpers_evaluation import CUTOFFS, METRICS, QUALITY, SYSTEMS, entry, evaluation, real_history, worth

from longtail.components.evaluate.plots import revealed_plot, segment_plot
from longtail.components.evaluate.reading import by_revealed, by_segment
from longtail.components.evaluate.report import render_report

VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """Text, attribute values and table rows of a page; fails on tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.attributes += [(name, found or "") for name, found in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(name, found or "") for name, found in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += f" {data}" if self.open[-1] == "small" else data

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_report(evaluation()))


def test_verdict_comes_first_with_its_reasons():
    passed, failed = (Page(render_report(evaluation(found))).text for found in (True, False))
    assert "Yes: the gate passed" in passed and "No: the gate failed" in failed
    assert passed.index("gate passed") < passed.index("better than item CF <by .0287>") < passed.index("Revealed")
    assert "There was no champion" in passed and "Bundle bbbbbbbbbbbb" in passed


def test_first_table_is_that_of_the_verdicts(page):
    assert page.rows[0] == ["the student is, beside", "all", "cold", "tail", "torso", "head"]
    assert page.rows[1] == ["popularity", "better", "too few users", "not worse", "unclear", "worse"]


def test_whom_the_incumbent_fails():
    result = evaluation()
    result["incumbent"] = {
        "address": "lists.parquet",
        "reach": 10,
        "metric": "ndcg@10",
        "counts": {"rows": 20},
        "users_without_list": {"all": 3, "cold": 3, "tail": 0},
        "groups": [
            {
                "group": "gender=F",
                "users": 1200,
                "incumbent": 0.01,
                "student": 0.03,
                "difference": 0.02,
                "interval": [0.01, 0.03],
                "verdict": "better",
            }
        ],
        "warnings": ["<Too good>."],
    }
    found = Page(render_report(result))
    assert ["gender=F", "1,200", ".0100", ".0300", "+.0200 +.0100 to +.0300", "better"] in found.rows
    assert "<Too good>." in found.text and "Users without a list: 3 all, 3 cold." in found.text


def test_page_loads_nothing_from_elsewhere(page):
    assert not [found for name, found in page.attributes if name in ("src", "href", "srcset", "xlink:href")]
    assert not re.search(r"url\(|@import|https?://", render_report(evaluation()))


def test_texts_of_the_data_are_escaped():
    result = evaluation()
    result["data"]["rejected"] = {"<script>alert(1)</script>": 4}
    result["systems"] = {name.replace("tfidf", "<b>"): found for name, found in result["systems"].items()}
    result["revealed"] = {
        k: {name.replace("tfidf", "<b>"): found for name, found in entries.items()}
        for k, entries in result["revealed"].items()
    }
    html = render_report(result)
    assert "<script>" not in html and "<b>" not in html
    assert "&lt;script&gt;alert(1)" in html and "&lt;b&gt;" in html


def test_revealed_table_before_segments(page):
    student = [row for row in page.rows if row[0] == "student" and len(row) == 6]
    assert student[0][1:3] == [".0068 .0048-.0088", ".0542 .0522-.0562"]
    assert student[1] == [
        "student",
        *[".0678 .0658-.0698", "–", ".0678 .0658-.0698", ".0678 .0658-.0698"],
        ".0500 .0480-.0520",
    ]
    assert "The same 20,000 of the 22,363 test users and their targets in every column" in page.text


def test_paired_differences_with_interval(page):
    differences = [row for row in page.rows if row[0] == "CF+TF-IDF+text" and len(row) == 6][4]
    assert differences[1:3] == ["+.0114 +.0104 to +.0124", "–"]
    assert differences[5] == "-.0064 -.0074 to -.0054"


def test_says_how_much_better_and_whom_it_fails(page):
    assert "+20%" in page.text and "NDCG@10 .0678 against .0564 of CF+TF-IDF+text" in page.text
    # hit rate of heads: 1.5 * .05; of all others 1.5 * .0678
    assert "Head users are served worst: 92.5% of them" in page.text
    assert "For head users it is worse than CF+TF-IDF+text." in page.text
    assert "No test user is cold" in page.text


def test_every_metric_of_every_segment_and_system(page):
    header = [
        "metric",
        "student",
        "teacher",
        "popularity",
        "item CF",
        "TF-IDF",
        "frozen text",
        "CF+TF-IDF",
        "CF+TF-IDF+text",
    ]
    assert page.rows.count(header) == 4  # nobody is cold
    order = ("student", "teacher", "popularity", "item_cf", "tfidf", "frozen_text", "cf_tfidf", "cf_tfidf_text")
    expected = [1.5 * QUALITY[system] for system in order]  # all other metrics are 1.5 times NDCG@10
    for name in (f"{metric}@{k}" for metric in METRICS for k in CUTOFFS if (metric, k) != ("ndcg", 10)):
        rows = [row[1:] for row in page.rows if row[0] == name]
        assert len(rows) == 4
        assert [float(cell) for cell in rows[0]] == pytest.approx(expected, abs=6e-5)


def test_beyond_accuracy_rejected_rows_protocol_settings(page):
    assert ["student", ".7100", "62.0%", "33.0%"] in page.rows
    assert ["unknown item", "17"] in page.rows and ["bad timestamp", "3"] in page.rows
    for text in ("leave-last-out, full catalogue", '"gate_margin": 10.0', "seed 7", "training events come before"):
        assert text in page.text


def test_nobody_to_measure_and_nothing_rejected():
    result = evaluation()
    result["systems"] = {
        s: {segment: entry(s, 0) for segment in ("all", "cold", "tail", "torso", "head")}
        | {"beyond": {"all": dict.fromkeys(("diversity@10", "coverage@10", "long_tail_share@10"))}}
        for s in SYSTEMS
    }
    result["revealed"] = {"0": {s: entry(s, 0) for s in SYSTEMS}}
    result["data"]["rejected"] = {}
    text = Page(render_report(result)).text
    assert "There is no user to measure on." in text
    assert "No test user is cold or tail or torso or head" in text
    assert "Rejected rows None." in text


def test_real_histories_come_before_cut_ones_with_users_lead_and_verdict():
    found = Page(render_report(evaluation() | real_history()))
    assert found.text.index("Real histories") < found.text.index("Revealed histories")
    assert "All 22,363 test users at the moment of asking" in found.text
    start = found.rows.index(["NDCG@10", "0", "1", "4", "5+"])  # nobody has 2 or 3
    assert found.rows[start + 1] == ["users", "900", "800", "600", "20,000"]
    assert found.rows[start + 2][:2] == ["student", ".0068 .0048-.0088"]
    minus = next(row for row in found.rows if row[0] == "- best baseline")
    assert minus[2] == "+.0091 +.0081 to +.0101 CF+TF-IDF+text"  # .8 * (.0678 - .0564)
    assert ["the student is", "better", "better", "better", "better"] in found.rows
    assert "history=0, ties of scores at random: student .0102" in found.text


def test_verdicts_by_segment_are_folded_away_beside_real_histories():
    verdict = {"popularity": {"verdict": "better", "metric": "ndcg@10", "users": 900}}
    result = evaluation()
    result["verdicts"] |= {"history=0": verdict, "k=0": verdict}
    alone, both = Page(render_report(result)), Page(render_report(result | real_history()))
    assert alone.rows[0][-2:] == ["head", "k=0"]
    assert both.rows[0] == ["the student is, beside", "all", "history=0"]
    assert ["the student is, beside", "cold", "tail", "torso", "head", "k=0"] in both.rows


def test_two_columns_of_real_histories_are_no_table():
    columns = {name: {s: entry(s, 0 if name == "0" else 50) for s in SYSTEMS} for name in ("0", "4", "5+")}
    assert "Real histories" not in render_report(evaluation() | {"by_history": columns})


def test_evaluation_of_an_earlier_version_has_no_table_of_real_histories_and_attributes(page):
    assert "Real histories" not in page.text and "What attributes are worth" not in page.text


def test_what_attributes_are_worth():
    found = Page(render_report(evaluation() | worth()))
    assert ["exchanged", "cold: loss", "it", "all: loss", "it"] in found.rows
    assert ["gender", "+.0100 +.0050 to +.0150", "helps", "+.0000 -.0010 to +.0010", "unclear"] in found.rows
    assert ["day (context)", "+.0000 -.0010 to +.0010", "unclear", "-.0030 -.0050 to -.0010", "harms"] in found.rows
    assert "No attribute helps newcomers" not in found.text
    assert "cold: 900 users without a history, all: 5,000 users as they are." in found.text
    unclear = Page(render_report(evaluation() | {"attributes": worth()["attributes"][1::2]}))
    assert "No attribute helps newcomers here" in unclear.text


def test_without_revealed_histories():
    assert "No user has a history that long." in Page(render_report(evaluation() | {"revealed": {}})).text


def points(svg: str, system: str, count: int) -> list[list[float]]:
    group = next(part for part in svg.split("<g ")[1:] if f"<title>{system}" in part)
    found = re.search(r'polyline class="line" points="([^"]+)"', group)
    assert found
    pairs = [[float(x) for x in pair.split(",")] for pair in found.group(1).split()]
    assert len(pairs) == count
    return pairs


def test_revealed_plot_puts_higher_scores_higher_on_one_scale():
    svg = str(revealed_plot(by_revealed(evaluation())))
    student, tfidf = points(svg, "student", 5), points(svg, "TF-IDF", 5)
    assert [x for x, _ in student] == [x for x, _ in tfidf]
    zero, top = 400 - 44, 16
    height = [(zero - y) / (zero - top) for _, y in student]
    highest = (0.0681 * 0.95 + 0.002) * 1.05  # the teacher's upper bound at k = 4, and 5 % of air
    assert height == pytest.approx([0.0678 * s / highest for s in (0.1, 0.8, 0.85, 0.9, 0.95)], abs=0.001)


def test_segment_plot_leaves_empty_segments_empty():
    svg = str(segment_plot(by_segment(evaluation())))
    assert svg.count('class="whisker"') == 4 * len(SYSTEMS)
    assert svg.count("no such user") == 1
