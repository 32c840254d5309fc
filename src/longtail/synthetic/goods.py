"""The demo shop's items: readable titles, descriptions, attributes and prices from the words in ``goods.yaml``."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from longtail.contracts.columns import Columns


@dataclass(frozen=True)
class Catalogue:
    """Items and what each is about. All arrays ``[items]``; codes index the lists of names."""

    table: pa.Table
    categories: list[str]
    families: list[str]
    styles: list[str]
    category: NDArray[np.int64]
    family: NDArray[np.int64]
    style: NDArray[np.int64]
    accessory: NDArray[np.bool_]  # follows a main product of its family
    season: NDArray[np.float64]  # [categories] time of the year (0..1) when the category sells best


@cache
def words() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((files(__package__) / "goods.yaml").read_text(encoding="utf-8"))
    return loaded


def make_catalogue(rng: np.random.Generator, count: int) -> Catalogue:
    """``count`` items, spread evenly over families; titles are unique."""
    text = words()
    styles = list(text["styles"])
    families = [(category, name) for category, facts in text["categories"].items() for name in facts["families"]]
    categories = list(text["categories"])
    family = rng.permutation(np.arange(count) % len(families))  # [items]
    place = np.zeros(count, dtype=np.int64)  # how many items of the family came before
    rows, seen = [], set[str]()
    style, accessory = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=bool)
    category = np.array([categories.index(families[code][0]) for code in family])
    counts = [0] * len(families)
    for item, code in enumerate(family):
        place[item] = counts[code]
        counts[code] += 1
        shelf, name = families[code]
        accessory[item] = place[item] % 5 >= 3  # two in five
        row = _item(rng, text, shelf, name, int(place[item]), bool(accessory[item]), seen)
        style[item] = styles.index(row.pop("style"))
        rows.append({Columns.ITEM: f"{shelf[:3].upper()}-{item + 1:04d}"} | row)
    schema = pa.schema(
        [
            (Columns.ITEM, pa.string()),
            (Columns.TITLE, pa.string()),
            (Columns.DESCRIPTION, pa.string()),
            (Columns.ATTRIBUTES, pa.list_(pa.string())),
            ("price", pa.float64()),
        ]
    )
    return Catalogue(
        table=pa.Table.from_pylist(rows, schema=schema),
        categories=categories,
        families=[name for _, name in families],
        styles=styles,
        category=category,
        family=family,
        style=style,
        accessory=accessory,
        season=np.array([text["categories"][name]["season"] for name in categories]),
    )


def _item(
    rng: np.random.Generator,
    text: dict[str, Any],
    category: str,
    family: str,
    place: int,
    accessory: bool,
    seen: set[str],
) -> dict[str, Any]:
    shelf = text["categories"][category]
    facts = shelf["families"][family]
    products = facts["accessories" if accessory else "main"]
    product = products[(place // 5 * (2 if accessory else 3) + place % 5 - 3 * accessory) % len(products)]
    for _ in range(1000):
        brand = str(rng.choice(list(shelf["brands"])))
        # most of a brand is in its own style
        style = shelf["brands"][brand] if rng.random() < 0.8 else str(rng.choice(list(text["styles"])))
        look = text["styles"][style]
        adjective, material = str(rng.choice(look["words"])), str(rng.choice(shelf["materials"]))
        colour = str(rng.choice(text["colours"]))
        title = f"{brand} {adjective} {product}"
        if title not in seen:
            break
        title = f"{title}, {colour}"
        if title not in seen:
            break
    else:
        raise ValueError(f"the words for {product!r} do not make enough different titles; ask for fewer items")
    seen.add(title)
    price = facts["price"] * look["price"] * (0.3 if accessory else 1.0) * rng.lognormal(0.0, 0.25)
    description = f"{facts['use']}. {product} in {colour}, with {material}. {look['says']}"
    return {
        Columns.TITLE: title,
        Columns.DESCRIPTION: None if rng.random() < 0.04 else description,
        Columns.ATTRIBUTES: [category, family, f"brand: {brand}", style, material, colour],
        "price": round(max(price, 2.0) * 2) / 2 - 0.01,
        "style": style,
    }
