"""Messages from templates (``string.Template``: names alone, no code), for plain text and for mail."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template

from longtail.contracts.errors import UserError

PLACEHOLDERS = ("title", "titles", "reason", "item", "price", "offer", "channel", "user")
MARKUP = ("mail", "email", "e-mail")  # channels whose messages are HTML: what comes from data is escaped there


@dataclass(frozen=True)
class Item:
    """An item that a user is offered. price: None where it is not known."""

    item_id: str
    title: str
    reason: str
    price: float | None = None


def check_template(template: str, offer: str) -> None:
    """Refuse a template that could not be filled.

    Raises:
        UserError: a placeholder that is not known, or a lone dollar.
    """
    found = Template(template)
    if not found.is_valid():
        raise UserError(f"template of {offer!r}: holds a $ that begins no name; write $$ for a dollar")
    if unknown := [name for name in found.get_identifiers() if name not in PLACEHOLDERS]:
        raise UserError(f"template of {offer!r}: does not know ${unknown[0]}; known are ${', $'.join(PLACEHOLDERS)}")


def is_markup(channel: str) -> bool:
    """Whether messages of a channel are HTML."""
    return channel.lower() in MARKUP


def filled(template: str, user: str, offer: str, channel: str, items: Sequence[Item], as_text: bool = False) -> str:
    """A user's message. Titles, reasons and ids are one line each, escaped where the channel's messages are HTML, but not ``as_text``."""
    first = items[0] if items else Item("", "", "")
    values = {
        "title": first.title,
        "titles": ", ".join(item.title for item in items),
        "reason": first.reason,
        "item": first.item_id,
        "price": "" if first.price is None else f"{first.price:.2f}",
        "offer": offer,
        "channel": channel,
        "user": user,
    }
    escape = html.escape if is_markup(channel) and not as_text else str
    return Template(template).substitute({name: escape(" ".join(value.split())) for name, value in values.items()})
