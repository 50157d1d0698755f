"""A document of Cachet 3's API → flat, typed rows, the same for a page of a list and for a single answer.

`{human, value}` becomes the value and its label, `{human, string}` a UTC timestamp named `<name>_at`;
the relative human text of a time is dropped, since it changes at every request. What is included for a
row (its updates, its links to components) comes with the page, so it costs no request of its own. One
thing a page cannot tell: `included` is de-duplicated by type and id, so a component's status within an
incident is right only for the first incident on the page that names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cachet_dagster.source.errors import NotCachet
from cachet_dagster.source.listing import Parsed, TableMapping
from cachet_dagster.source.rows import Row, RowContext, data_of, personal, row_id, storable, timestamp
from cachet_dagster.source.tables import CALC_TYPE, TABLES

_DROPPED = re.compile(r"pivot|updateable_(id|type)|\w+_(count|exists)")


def parse(document: Any, mapping: TableMapping, context: RowContext) -> Parsed:
    """Return the rows of a page or of a single answer.

    Raises:
        NotCachet: The document is not one of Cachet's API, or a row has no usable id.
    """
    resources = data_of(document, context.endpoint)
    included = _included(document)
    parsed = Parsed({table: [] for table in (mapping.table, mapping.updates, mapping.links) if table})
    seen: set[Any] = set()
    for resource in resources if isinstance(resources, list) else [resources]:
        row = flatten(resource, context)
        parsed.rows[mapping.table].append(row)
        if mapping.updates:
            for update in _related(resource, "updates", included):
                child = flatten(update, context)
                parsed.rows[mapping.updates].append({**child, f"{mapping.parent}_id": row["id"]})
        if mapping.links:
            components = _related(resource, "components", included)
            if "component_status" in {column.name for column in TABLES[mapping.links].columns}:
                parsed.unproven |= {
                    (row["id"], row_id(component, context.endpoint))
                    for component in components
                    if component.get("id") in seen
                }
            seen.update(component.get("id") for component in components)
            parsed.rows[mapping.links].extend(
                _link(component, f"{mapping.parent}_id", row["id"], context) for component in components
            )
    return parsed


def observation(document: Any, mapping: TableMapping, context: RowContext) -> Parsed:
    """Return the one row of an answer that is no list and has no id, such as `version`."""
    data = data_of(document, context.endpoint)
    return Parsed({mapping.table: [{name: storable(value) for name, value in data.items()}]})


def flatten(resource: Any, context: RowContext) -> Row:
    """Return one JSON:API resource as one flat row, its id as an integer, attributes nobody foresaw included."""
    attributes = resource.get("attributes") if isinstance(resource, dict) else None
    if not isinstance(attributes, dict):
        raise NotCachet("a row has no `attributes`, as Cachet's rows have", "", context.endpoint)
    row: Row = {"id": row_id(resource, context.endpoint)}
    for name, value in attributes.items():
        if not dropped(name):
            _put(row, name, value, context)
    for name, relation in (resource.get("relationships") or {}).items():
        data = relation.get("data") if isinstance(relation, dict) else None
        if not isinstance(data, list):
            row["component_group_id" if name == "group" else f"{name}_id"] = (
                row_id(data, context.endpoint) if data else None
            )
    if "email" in row:
        row["email"] = personal(row["email"], context)
    return row


@lru_cache(maxsize=1024)
def dropped(name: str) -> bool:
    """Return whether an attribute is no column: the id, which every row has, and what tells nothing of its own."""
    return name == "id" or _DROPPED.fullmatch(name) is not None


def _put(row: Row, name: str, value: Any, context: RowContext) -> None:
    """Put an attribute into a row, as the column or the columns that it becomes."""
    if isinstance(value, dict) and "human" in value:
        _put_labelled(row, name, value, context)
    elif name == "calc_type":
        # The only enumeration that Cachet 3 prints without its words.
        row[name] = storable(value)
        row[f"{name}_label"] = CALC_TYPE.get(value) if isinstance(value, int) else None
    elif name == "meta":
        # PHP prints an empty object as an empty list.
        row[name] = storable(value) or {}
    else:
        row[name] = storable(value)


def _put_labelled(row: Row, name: str, value: Mapping[str, Any], context: RowContext) -> None:
    """Put a code with its label, or a time; what else stands beside them gets columns of its own."""
    if "string" in value:
        at = timestamp(storable(value["string"]), context.zone)
        row[name if name.endswith("_at") else f"{name}_at"] = at
    elif "value" in value:
        row[name] = storable(value["value"])
        row[f"{name}_label"] = storable(value["human"])
    else:
        row[name] = storable(value)
        return
    if len(value) > 2:
        others = (
            value.keys() - ("human", "string") if "string" in value else value.keys() - ("human", "value")
        )
        row.update({f"{name}_{other}": storable(value[other]) for other in sorted(others)})


def _included(document: Any) -> dict[tuple[Any, Any], Any]:
    included = document.get("included") or [] if isinstance(document, dict) else []
    return {(item.get("type"), item.get("id")): item for item in included if isinstance(item, dict)}


def _related(resource: Mapping[str, Any], name: str, included: Mapping[tuple[Any, Any], Any]) -> list[Any]:
    """Return the resources that a relation names, each once, with what is included of them."""
    relation = (resource.get("relationships") or {}).get(name) or {}
    references = {(item.get("type"), item.get("id")): item for item in relation.get("data") or []}
    return [included.get(key, reference) for key, reference in references.items()]


def _link(component: Any, parent: str, parent_id: int, context: RowContext) -> Row:
    attributes = component.get("attributes") or {}
    row: Row = {
        parent: parent_id,
        "component_id": row_id(component, context.endpoint),
        "component_name": storable(attributes.get("name")),
    }
    pivot = attributes.get("pivot")
    if isinstance(pivot, dict) and "component_status" in pivot:
        status = pivot["component_status"]
        if isinstance(status, dict):
            _put(row, "component_status", status, context)
        else:
            row.update({"component_status": status, "component_status_label": None})
    return row
