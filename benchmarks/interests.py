"""Stated interests: is what comes back what was asked for?

    python benchmarks/interests.py --bundle quality-work/…/bundle --prepared quality-work/…/prepared \\
        --judged shared/datasets/amazon-beauty/interests --foreign shared/datasets/movielens-100k/items.parquet

Three kinds of questions, each with its table:
- made of the catalogue, on which the constants of scoring.relevance were chosen: names of categories, searched among titles alone
  (the categories are what is asked for); two to four words of a title, as they are and with a slip of the pen; two categories
  in one sentence; titles of a foreign catalogue, which nothing here fits.
- the next item (--prepared): validation users, with 0, 1 or all of their items, say the category of what they choose next. How
  well the next item is found, by the weight of relevance beside behaviour.
- judged (--judged): queries.parquet (query_id, query, kind; kind "none" is what the catalogue does not have) and qrels.parquet
  (query_id, item_id, grade 0 to 3). nDCG@10 with gains 2 ** grade - 1 over the ideal order of all that is judged; what nobody
  judged counts as grade 0, its share is said. Nothing is chosen here.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from longtail.contracts.errors import EXIT_CODE, UserError
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.metrics.significance import mean_intervals
from longtail.scoring import scorer as scoring
from longtail.scoring.bundle import LIKENESS, TEXT_VECTORS, load_bundle
from longtail.scoring.lexicon import Lexicon, parts_of, words_of
from longtail.scoring.likeness import Likeness
from longtail.scoring.query import Query
from longtail.scoring.recommender import Recommender
from longtail.scoring.relevance import DEFAULT_WEIGHTS, MATCHES, NOTHING, Relevance, Weights, load_text_vectors
from longtail.scoring.rows import standardised, unit_vectors
from longtail.scoring.top import top_items
from longtail.system.machine import available_cores

K = 10
LEAST, MOST = 10, 0.05  # items of a category that is asked for: so many, and at most such a share of the catalogue
QUESTIONS = 300  # of each kind that is made
PEOPLE = 10  # whose histories stand beside every judged query
USERS = 800
WEIGHTS = [Weights(words, 0.0) for words in (0.0, 1.0, 2.5, 4.0, 6.0)]
WEIGHTS += [Weights(2.5, feedback) for feedback in (0.3, 0.6, 1.0)] + [Weights(words, 0.6) for words in (1.5, 4.0)]
BESIDE = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)  # weights of relevance beside behaviour
NONE = np.zeros(0, np.int32)
Grades = Mapping[int, int]  # item code -> grade


class Question(NamedTuple):
    text: str
    grades: Grades


def best(scores: NDArray[np.float32], excluded: NDArray[np.integer] = NONE) -> list[int]:
    return [int(item) for item in top_items(scores, K, excluded)]


def ndcg(items: Sequence[int], grades: Grades) -> float:
    """Gains 2 ** grade - 1; over the ideal order of all grades."""
    discounts = 1 / np.log2(np.arange(2, K + 2))
    gains = np.array([2.0 ** grades.get(item, 0) - 1 for item in items])
    ideal = np.array(sorted((2.0**grade - 1 for grade in grades.values()), reverse=True)[:K])
    return float(gains @ discounts[: len(gains)] / (ideal @ discounts[: len(ideal)]))


class Catalogue:
    """The bundle's items, and questions made of them."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = load_bundle(bundle)
        self.scorer = scoring.Scorer(self.bundle, threads=1)
        self.rng = np.random.default_rng(0)
        self.titles = [title or "" for title in self.bundle.titles]
        held: dict[str, list[int]] = {}
        for item, names in enumerate(self.bundle.item_attributes):
            if names:
                held.setdefault(names[-1], []).append(item)
        most = MOST * len(self.titles)
        self.categories = {name: items for name, items in held.items() if LEAST <= len(items) <= most}

    def of_categories(self) -> list[Question]:
        return [Question(name, dict.fromkeys(items, 1)) for name, items in self.categories.items()]

    def of_titles(self) -> list[Question]:
        questions = []
        for item in self.rng.permutation(len(self.titles)):
            words = words_of(self.titles[item])
            count = int(self.rng.integers(2, 5))
            if len(words) > count and len(questions) < QUESTIONS:
                begin = int(self.rng.integers(0, len(words) - count + 1))
                questions.append(Question(" ".join(words[begin : begin + count]), {int(item): 1}))
        return questions

    def misspelt(self, questions: Sequence[Question]) -> list[Question]:
        """Those with a long word, of which a letter is left out, doubled, or changed with the one before."""
        return [Question(slip, of.grades) for of in questions if (slip := self._slip(of.text))]

    def _slip(self, text: str) -> str | None:
        words = text.split()
        places = [place for place, word in enumerate(words) if len(word) > 5 and word.isalpha()]
        if not places:
            return None
        place = int(self.rng.choice(places))
        word, at = words[place], int(self.rng.integers(1, len(words[place]) - 1))
        slips = (
            word[:at] + word[at + 1 :],
            word[:at] + word[at - 1 :],
            f"{word[: at - 1]}{word[at]}{word[at - 1]}{word[at + 1 :]}",
        )
        words[place] = slips[self.rng.integers(3)]
        return " ".join(words)

    def doubles(self) -> list[tuple[str, str]]:
        names = list(self.categories)
        pairs = self.rng.choice(len(names), (min(QUESTIONS, len(names)), 2))
        return [(names[one], names[other]) for one, other in pairs if one != other]

    def vectors_of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Pretrained vectors of texts, unit rows."""
        frozen = load_text_vectors(self.bundle.path / TEXT_VECTORS)
        batches = [self.scorer.text_vectors(texts[begin : begin + 64]) for begin in range(0, len(texts), 64)]
        return unit_vectors(np.concatenate(batches)[:, : frozen.shape[1]])


class Asked:
    """Questions read once, asked with different weights of one catalogue of texts."""

    def __init__(self, catalogue: Catalogue, vectors: NDArray[np.float32], texts: Sequence[str]) -> None:
        self._scorer = catalogue.scorer
        self._index = Relevance(vectors, texts, self._encode, self._scorer.is_word)
        self._read: dict[str, NDArray[np.float32]] = {}

    def of(self, text: str, weights: Weights = DEFAULT_WEIGHTS) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Relevance of each item, to order by and of the question alone."""
        self._index.weights = weights
        return self._index.of(self._index.corrected(text))

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in texts if text not in self._read]
        self._read |= dict(zip(new, self._scorer.text_vectors(new) if new else ()))
        return np.array([self._read[text] for text in texts])

    def ndcg(self, questions: Sequence[Question], weights: Weights) -> float | None:
        return _mean(ndcg(best(self.of(one.text, weights)[0]), one.grades) for one in questions)


def made(catalogue: Catalogue, foreign: Sequence[str]) -> dict[str, Any]:
    """What the constants were chosen by."""
    titles = Asked(catalogue, catalogue.vectors_of(catalogue.titles), catalogue.titles)
    texts = Asked(catalogue, load_text_vectors(catalogue.bundle.path / TEXT_VECTORS), catalogue.bundle.item_texts())
    categories, fragments = catalogue.of_categories(), catalogue.of_titles()
    slips = catalogue.misspelt(fragments)
    grid = {
        f"{weights.words:g} {weights.feedback:g}": {
            "categories": titles.ndcg(categories, weights),
            "titles": texts.ndcg(fragments, weights),
            "misspelt": texts.ndcg(slips, weights),
        }
        for weights in WEIGHTS
    }
    said = [
        (value >= MATCHES, bool(one.grades.get(item)))
        for one in categories
        for ranking, direct in [titles.of(one.text)]
        for item in best(ranking)
        for value in [direct[item]]
    ]
    both = [
        all(any(item in catalogue.categories[name] for item in found) for name in pair)
        for pair in catalogue.doubles()
        for found in [best(texts.of(f"{pair[0]} and {pair[1]}")[0])]
    ]
    greatest = {"categories": [titles.of(one.text)[1].max() for one in categories]}
    greatest["foreign"] = [texts.of(text)[1].max() for text in foreign]
    return {
        "questions": {"categories": len(categories), "titles": len(fragments), "misspelt": len(slips)},
        "grid": grid,
        "said to match": {"share": _mean(s for s, _ in said), "right": _mean(right for s, right in said if s)},
        "all answers right": _mean(right for _, right in said),
        "both categories among ten": _mean(both),
        "nothing fits": {
            name: _mean(value < NOTHING for value in values) for name, values in greatest.items() if values
        },
    }


def _mean(values: Any) -> float | None:
    found = list(values)
    return round(float(np.mean(found)), 4) if found else None


def next_items(catalogue: Catalogue, prepared: Path) -> dict[str, dict[str, float]]:
    """Validation NDCG@10 of users who say the category of what they choose next, by items shown and weight of relevance."""
    data = PreparedDataset(prepared)
    if data.item_ids != catalogue.bundle.item_ids:
        raise UserError(f"--prepared {prepared}: is not what the bundle learnt from")
    targets = data.targets(Split.VALIDATION)
    users = [
        row
        for row in np.random.default_rng(1).permutation(len(targets.users)).tolist()
        if catalogue.bundle.item_attributes[targets.items[row][0]]
    ][:USERS]
    found: dict[str, dict[str, float]] = {}
    for shown in (0, 1, None):
        gains = {weight: list[float]() for weight in BESIDE}
        for row in users:
            history, target = targets.histories[row], int(targets.items[row][0])
            history = history if shown is None else history[len(history) - min(shown, len(history)) :]
            said = catalogue.bundle.item_attributes[target][-1]
            behaviour = standardised(catalogue.scorer.behaviour([Query(history, (), said)]))[0]
            relevance = catalogue.scorer.relevance(said).ranking
            for weight in BESIDE:
                gains[weight].append(ndcg(best(behaviour + np.float32(weight) * relevance, history), {target: 1}))
        found["all" if shown is None else str(shown)] = {
            f"{weight:g}": _mean(of) or 0.0 for weight, of in gains.items()
        }
    return found


def systems(catalogue: Catalogue, texts: Sequence[str]) -> Iterator[tuple[str, list[NDArray[np.float32]]]]:
    """Scores of the judged queries by every system."""
    scorer, asked = catalogue.scorer, [Query(NONE, (), text) for text in texts]
    frozen = load_text_vectors(catalogue.bundle.path / TEXT_VECTORS)
    raw = scorer.text_vectors(texts)
    likeness = Likeness.load(catalogue.bundle.path / LIKENESS)
    lexicon = Lexicon(catalogue.bundle.item_texts())
    yield "the answers", [scorer.score([one])[0] for one in asked]
    yield "relevance alone", [scorer.relevance(text).ranking for text in texts]
    yield "without the best items' say", [scorer.relevance(text).direct for text in texts]
    yield "behaviour alone", [scorer.behaviour([one])[0] for one in asked]
    yield "pretrained vectors, cosine", list(unit_vectors(raw[:, : frozen.shape[1]]) @ frozen.T)
    yield "adapted vectors, cosine", list(likeness.adapted(raw) @ likeness.text_vectors.T)
    yield "words alone (BM25)", [lexicon.coverage(text) for text in texts]


def read_judged(catalogue: Catalogue, folder: Path) -> tuple[list[Any], dict[str, dict[int, int]], dict[str, int]]:
    """Queries, their grades by item code, and the items' codes."""
    queries = pq.read_table(folder / "queries.parquet").to_pylist()
    codes = {item: code for code, item in enumerate(catalogue.bundle.item_ids)}
    grades: dict[str, dict[int, int]] = {one["query_id"]: {} for one in queries}
    for row in pq.read_table(folder / "qrels.parquet").to_pylist():
        if row["item_id"] in codes:
            grades[row["query_id"]][codes[row["item_id"]]] = int(row["grade"])
    return queries, grades, codes


def judged(catalogue: Catalogue, folder: Path) -> dict[str, Any]:
    queries, grades, codes = read_judged(catalogue, folder)
    servable = [one for one in queries if one["kind"] != "none"]
    texts = [one["query"] for one in servable]
    table: dict[str, Any] = {}
    by_kind: dict[str, list[float]] = {}
    for name, scores in systems(catalogue, texts):
        rows = []
        for one, of in zip(servable, scores):
            known, items = grades[one["query_id"]], best(of)
            found = [known.get(item, 0) for item in items]
            rows.append([ndcg(items, known), np.mean([g >= 2 for g in found]), np.mean([g == 0 for g in found])])
            rows[-1].append(np.mean([item not in known for item in items]))
            if name == "the answers":
                by_kind.setdefault(one["kind"], []).append(rows[-1][0])
        means = mean_intervals(np.array(rows), 2000, 0.95, 0)
        table[name] = {
            measure: [round(float(value), 3) for value in (means.mean[c], means.low[c], means.high[c])]
            for c, measure in enumerate(("ndcg@10", "precision@10", "useless", "unjudged"))
        }
    return {
        "queries": len(servable),
        "systems": table,
        "ndcg@10 by kind": {kind: [len(values), round(float(np.mean(values)), 3)] for kind, values in by_kind.items()},
        "reasons": _reasons(catalogue, queries, grades, codes),
    }


def beside_histories(catalogue: Catalogue, folder: Path, prepared: Path) -> dict[str, dict[str, float | None]]:
    """nDCG@10 of the judged queries where behaviour has a say, by items of other people's histories and weight of relevance."""
    queries, grades, _ = read_judged(catalogue, folder)
    servable = [one for one in queries if one["kind"] != "none"]
    histories = [history for history in PreparedDataset(prepared).train_sequences() if len(history) >= 3]
    people = [histories[row] for row in np.random.default_rng(2).permutation(len(histories))[:PEOPLE]]
    found: dict[str, dict[str, float | None]] = {}
    for shown in (0, 1, 3):
        gains = {weight: list[float]() for weight in BESIDE}
        for history in people if shown else people[:1]:
            for one in servable:
                query = Query(history[len(history) - shown :], (), one["query"])
                behaviour = standardised(catalogue.scorer.behaviour([query]))[0]
                relevance = catalogue.scorer.relevance(one["query"]).ranking
                for weight in BESIDE:
                    scores = behaviour + np.float32(weight) * relevance
                    gains[weight].append(ndcg(best(scores), grades[one["query_id"]]))
        found[str(shown)] = {f"{weight:g}": _mean(of) for weight, of in gains.items()}
    return found


def _reasons(
    catalogue: Catalogue, queries: Sequence[Any], grades: Mapping[str, Grades], codes: Mapping[str, int]
) -> dict[str, Any]:
    """What is said, and how often that is so; which queries are said to fit nothing; milliseconds of an answer, and of a core."""
    recommender = Recommender(catalogue.bundle, threads=1)
    recommender.recommend(interests="a first question")
    said: dict[str, list[int | None]] = {}
    nothing, took = list[tuple[str, str]](), dict[str, list[tuple[float, float]]]()
    for one in queries:
        start, worked = time.perf_counter(), time.process_time()
        answer = recommender.recommend(interests=one["query"])
        spans = 1000 * (time.perf_counter() - start), 1000 * (time.process_time() - worked)
        took.setdefault("one wish" if len(parts_of(one["query"])) < 2 else "several", []).append(spans)
        if answer.nothing_fits:
            nothing.append((one["query"], one["kind"]))
        for item in answer.items:
            grade = grades[one["query_id"]].get(codes[item.item_id])
            said.setdefault(item.reason.split()[0], []).append(grade)
    return {
        "said": {
            word: {
                "answers": len(found),
                "right": _mean((grade or 0) >= 2 for grade in found),
                "right of judged": _mean(grade >= 2 for grade in found if grade is not None),
            }
            for word, found in said.items()
        },
        "nothing fits": nothing,
        "milliseconds, of a core": {
            wishes: np.median(spans, axis=0).round(1).tolist() for wishes, spans in took.items()
        },
    }


def markdown(results: Mapping[str, Any]) -> str:
    grid = results["made"]["grid"]
    lines = ["| words, feedback | " + " | ".join(next(iter(grid.values()))) + " |", "|---|---|---|---|"]
    lines += [f"| {key} | " + " | ".join(f"{value:.3f}" for value in row.values()) + " |" for key, row in grid.items()]
    lines += ["", *(f"{key}: {value}" for key, value in results["made"].items() if key != "grid")]
    for name in ("next items", "judged beside histories"):
        if name in results:
            lines += ["", f"| {name}, items shown | " + " | ".join(f"weight {weight:g}" for weight in BESIDE) + " |"]
            lines += ["|" + "---|" * (1 + len(BESIDE))]
            for shown, row in results[name].items():
                lines.append(f"| {shown} | " + " | ".join(f"{value:.4f}" for value in row.values()) + " |")
    if "judged" in results:
        lines += ["", "| system | nDCG@10 | precision@10 | useless | unjudged |", "|---|---|---|---|---|"]
        for name, row in results["judged"]["systems"].items():
            shown = [f"{mean:.3f} ({low:.3f} to {high:.3f})" for mean, low, high in row.values()]
            lines.append(f"| {name} | " + " | ".join(shown) + " |")
        lines += ["", *(f"{key}: {value}" for key, value in results["judged"].items() if key != "systems")]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--prepared", type=Path, help="what the bundle learnt from, for the next items")
    parser.add_argument("--judged", type=Path, help="folder with queries.parquet and qrels.parquet")
    parser.add_argument("--foreign", type=Path, help="items.parquet of another kind of catalogue")
    parser.add_argument("--json", type=Path, help="file to write")
    given = parser.parse_args()
    try:
        catalogue = Catalogue(given.bundle)
        foreign = list[str]()
        if given.foreign:
            titles = [title for title in pq.read_table(given.foreign).column("title").to_pylist() if title]
            foreign = [str(title) for title in np.random.default_rng(0).permutation(titles)[:QUESTIONS]]
        results: dict[str, Any] = {"command": " ".join(sys.argv), "date": time.strftime("%Y-%m-%d")}
        results["machine"] = f"{platform.machine()}, {available_cores()} cores"
        parts: dict[str, Callable[[], dict[str, Any]]] = {"made": lambda: made(catalogue, foreign)}
        if given.prepared:
            parts["next items"] = lambda: next_items(catalogue, given.prepared)
        if given.judged:
            parts["judged"] = lambda: judged(catalogue, given.judged)
        if given.judged and given.prepared:
            parts["judged beside histories"] = lambda: beside_histories(catalogue, given.judged, given.prepared)
        for name, part in parts.items():
            print(f"{time.strftime('%H:%M:%S')} {name} …", file=sys.stderr, flush=True)
            results[name] = part()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE)
    print(markdown(results))
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
