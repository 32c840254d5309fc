"""The server's ``/openapi.json``: KServe's own, with what V1 may be asked and answers, every key described, and examples."""

from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from longtail.components.predict.request import MAX_INSTANCES, Instance
from longtail.scoring.recommender import Answer

Schema = dict[str, Any]

PREDICT = "/v1/models/{model_name}:predict"
REF = "#/components/schemas/{model}"
ATTRIBUTE = {"type": "object", "additionalProperties": {"type": ["string", "number"], "minLength": 1}}

DESCRIPTIONS: dict[str, dict[str, str]] = {  # of every key of every object
    "Questions": {"instances": "A question for each user."},
    "Instance": {
        "history": "What the user chose: item ids, oldest first, or events in any order. All are left out of the answer.",
        "attributes": 'What is known of the user: {"gender": "F", "age": 25} or ["gender=F", "age=25"].',
        "context": "What is known of the moment, written as attributes are.",
        "interests": "Words of the user's own: a product, a need, a taste, what it should be without.",
        "k": "How many items; 10 where left out, or all where the catalogue has fewer.",
        "similar_to": "Item ids that those given are to be like.",
        "candidates": "Item ids: only these are ranked. Null: the whole catalogue.",
        "exclude": "Item ids that are not given.",
        "filters": "What items must say of themselves.",
        "diversity": "0 orders by score alone, 1 by how unlike the items before it each one is.",
        "diversity_by": "mmr: the next item is weighed against what is nearest before it; dpp: against the whole list.",
        "diversity_on": "What makes items alike: vectors, attributes, or both; left out: vectors where the model has trained some.",
        "fold": "Of items whose titles say the same only the best is given.",
        "explain": "False leaves out reason, source and about, which are then not computed.",
        "max_per": "Items at most with an attribute, or with each value of a name: "
        '{"brand": 2} where attributes are written "brand: Lux".',
        "explore": "How often what is not ranked first is shown; it goes with none of diversity, max_per and fold.",
    },
    "HistoryEvent": {
        "item_id": "What was chosen.",
        "timestamp": "When: seconds since 1970, or a text with its zone, such as 2026-11-28T09:30:00+01:00.",
        "event": "Its kind, such as view or purchase, of those that the model has learnt from.",
    },
    "ItemFilters": {
        "all": "Attributes that an item must have, each of them.",
        "any": "Attributes of which an item must have one.",
        "none": "Attributes that an item must not have.",
        "ranges": "Bounds by the name of a numeric column of the items table.",
    },
    "Bounds": {"min": "The least that is allowed.", "max": "The greatest that is allowed."},
    "Exploration": {
        "epsilon": "Probability with which a place is filled by a draw.",
        "temperature": "Instead: places are drawn by the scores; the greater, the more even.",
        "new_items": "Draws are among items that nobody had chosen in training; with epsilon.",
        "thompson": "True: places are drawn by what a policy learnt from a log believes (longtail policy learn); models without one refuse it.",
    },
    "Answers": {"predictions": "An answer to each question, in their order."},
    "Answer": {
        "items": "The best items that may be given, best first.",
        "segment": "cold, tail, torso or head, by the known items of the history.",
        "unknown_items": "Ids of the question that the catalogue does not hold.",
        "unknown_attributes": "Attributes and context that the model has not seen.",
        "nothing_fits": "Whether nothing quite fits the interests; what comes nearest is given.",
        "fewer_than_k": "What left how many items, where they are fewer than asked for.",
        "degraded": "What could not be answered as it was asked.",
        "rules": "Names of the shop's rules that acted on this list.",
        "unmet": "Quotas of the shop's rules that could not be met, in words.",
        "changed_by_shop": "Whether rules or availability made this list another than the model's own.",
        "bundle_version": "Id of the bundle that answered.",
        "request_id": "The header X-Request-Id, or the server's own.",
    },
    "Recommendation": {
        "item_id": "The item.",
        "title": "Its title, where it has one.",
        "score": "What orders this answer; scores of two questions are not comparable.",
        "reason": "Why it is recommended, in words; null with the next two where the question did without.",
        "source": "What brought it.",
        "about": "What the reason names: an item's id, words, an attribute or a rule.",
        "propensity": "Where it was explored: the probability of this item at this place, given those before it.",
        "folded": "Near-duplicates that it stands for, where any were folded.",
    },
    "Refusal": {"error": "What is wrong, and where; one line."},
}

EXAMPLES: dict[str, tuple[str, Schema]] = {
    "newcomer": ("A user of whom nothing is known", {}),
    "history": ("What a user chose, of which one is unknown", {"history": ["a", "z"], "k": 2}),
    "events": (
        "What a user chose, and when",
        {"history": [{"item_id": "b", "timestamp": 1764320400}, {"item_id": "a", "timestamp": "2025-11-01T08:00:00Z"}]},
    ),
    "attributes": ("A user without a history", {"attributes": {"gender": "F"}, "context": ["occasion=party"], "k": 3}),
    "interests": ("Words", {"interests": "red lamp", "k": 2}),
    "shelf": (
        "What may be given",
        {"filters": {"any": ["lamp"], "ranges": {"price": {"max": 30}}}, "exclude": ["b"], "max_per": {"brand": 1}},
    ),
    "product page": ("Items like one, varied", {"similar_to": ["a"], "candidates": ["b", "c", "d"], "diversity": 0.3}),
    "no floods": (
        "Near-duplicates folded, by attributes unlike, without reasons",
        {"fold": True, "diversity": 0.3, "diversity_on": "attributes", "diversity_by": "dpp", "explain": False},
    ),
    "exploring": ("Something else now and then", {"explore": {"epsilon": 0.2, "new_items": True}, "k": 2}),
}
ANSWER: Schema = {
    "items": [
        {
            "item_id": "b",
            "title": "Blue lamp",
            "score": 1.0499999523162842,
            "reason": "because of Red lamp in your history",
            "source": "co-occurrence",
            "about": "a",
            "propensity": None,
            "folded": None,
        }
    ],
    "segment": "tail",
    "unknown_items": ["z"],
    "unknown_attributes": [],
    "nothing_fits": False,
    "fewer_than_k": None,
    "degraded": None,
    "rules": [],
    "unmet": [],
    "changed_by_shop": False,
    "bundle_version": "4d2d3970d3b74c09",
    "request_id": "order-7",
}


def describe(app: FastAPI) -> None:
    """Let ``app`` tell of V1 what KServe leaves open."""
    kserves = app.openapi

    def whole() -> Schema:
        if app.openapi_schema is None:
            document = deepcopy(kserves())
            document["paths"][PREDICT]["post"] |= _operation()
            document.setdefault("components", {}).setdefault("schemas", {}).update(schemas())
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi_schema = None
    app.openapi = whole  # type: ignore[method-assign]


def schemas() -> dict[str, Schema]:
    """JSON schemas (2020-12) of what V1 is asked and answers, by name."""
    kinds: list[Any] = [("", "validation", TypeAdapter(Instance)), ("", "serialization", TypeAdapter(Answer))]
    made: dict[str, Schema] = {}
    for kind in kinds:
        made |= TypeAdapter.json_schemas([kind], ref_template=REF)[1]["$defs"]
    asked = made.keys() & {"Instance", "HistoryEvent", "ItemFilters", "Bounds", "Exploration"}
    for name in asked:
        made[name]["properties"] = {key: _or_null(schema) for key, schema in made[name]["properties"].items()}
    for key in ("attributes", "context"):
        made["Instance"]["properties"][key]["anyOf"].append(ATTRIBUTE)
    made["Answer"]["properties"] |= {"bundle_version": {"type": "string"}, "request_id": {"type": "string"}}
    made["Answer"]["required"] += ["bundle_version", "request_id"]
    many = {"type": "array", "minItems": 1, "maxItems": MAX_INSTANCES}
    made["Questions"] = _object({"instances": many | {"items": _ref("Instance")}})
    made["Answers"] = _object({"predictions": many | {"items": _ref("Answer")}})
    made["Refusal"] = _object({"error": {"type": "string"}})
    for name, described in DESCRIPTIONS.items():
        for key, schema in made[name]["properties"].items():
            schema.pop("title", None)
            schema["description"] = described[key]
        made[name]["description"] = ABOUT[name]
    return made


ABOUT = {
    "Questions": "What is asked for one or more users.",
    "Instance": "One user. Every key may be left out or null; a user of whom nothing is known gets what newcomers like.",
    "ItemFilters": "What items must say of themselves.",
    "HistoryEvent": "That the user chose an item.",
    "Bounds": "Of a number of items, both allowed; at least one is given.",
    "Exploration": "epsilon, temperature or thompson, one of the three.",
    "Answers": "What is answered.",
    "Answer": "What is answered for one user.",
    "Recommendation": "One item.",
    "Refusal": "Why nothing is answered.",
}


def _operation() -> Schema:
    examples = {
        name: {"summary": summary, "value": {"instances": [instance]}} for name, (summary, instance) in EXAMPLES.items()
    }
    answered = {"application/json": {"schema": _ref("Answers"), "example": {"predictions": [ANSWER]}}}
    refused = {"application/json": {"schema": _ref("Refusal")}}
    return {
        "summary": "Recommend",
        "description": f"The items that each of 1 to {MAX_INSTANCES} users will most likely choose next.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref("Questions"), "examples": examples}},
        },
        "responses": {
            "200": {"description": "Answered.", "content": answered},
            "400": {"description": "Something asked is wrong.", "content": refused},
            "404": {"description": "There is no model of that name.", "content": refused},
            "503": {"description": "Too much at once; Retry-After says when to ask again."},
        },
    }


def _ref(model: str) -> Schema:
    return {"$ref": REF.format(model=model)}


def _object(properties: dict[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _or_null(schema: Schema) -> Schema:
    """A key that is null counts as left out."""
    options = schema.pop("anyOf", None) or [{key: value for key, value in schema.items() if key != "default"}]
    kept = {"default": schema["default"]} if "default" in schema else {}
    return {**kept, "anyOf": [*(option for option in options if option != {"type": "null"}), {"type": "null"}]}
