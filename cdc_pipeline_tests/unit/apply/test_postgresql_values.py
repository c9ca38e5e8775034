"""PostgreSQL's geometric types, as the connectors 3.7.0 and 3.6.1 send them, become the server's own text."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from cdc_pipeline.apply.values import converter
from cdc_pipeline.errors import ValueNotRepresentable
from cdc_pipeline.model import Column, ColumnType, Kind

LINE_STRING, POLYGON = 2, 3


def wkb(kind: int, *points: tuple[float, float]) -> str:
    rings = struct.pack("<I", 1) if kind == POLYGON else b""
    numbers = [number for point in points for number in point]
    head = struct.pack("<BI", 1, kind) + rings + struct.pack("<I", len(points))
    return base64.b64encode(head + struct.pack(f"<{len(numbers)}d", *numbers)).decode()


def shape(kind: int, *points: tuple[float, float], **extensions: str) -> dict[str, Any]:
    return {"wkb": wkb(kind, *points), "srid": None, "extensions": extensions}


def text(native: str, value: Any) -> str | None:
    return converter(Column("c", native, ColumnType(Kind.TEXT, native=f"postgresql:{native}")))(value)


@pytest.mark.parametrize(
    ("native", "value", "canonical"),
    [
        ("line", {"a": 1.5, "b": "NaN", "c": 1e-4}, "{1.5,NaN,0.0001}"),
        ("circle", {"center": {"x": 1, "y": -0.0, "wkb": "", "srid": None}, "radius": "Infinity"}, "<(1,-0),Infinity>"),
        ("lseg", shape(LINE_STRING, (1, 2), (3, 4.25), type="lseg"), "[(1,2),(3,4.25)]"),
        ("box", shape(POLYGON, (3, 4), (3, 2), (1, 2), (1, 4), (3, 4), type="box"), "(3,4),(1,2)"),
        ("path", shape(LINE_STRING, (1, 2), type="path", closed="true"), "((1,2))"),
        ("path", shape(LINE_STRING, (1, 2), (3e15, 0.1), type="path", closed="false"), "[(1,2),(3e+15,0.1)]"),
    ],
)
def test_a_geometric_value_becomes_the_servers_text(native: str, value: Any, canonical: str) -> None:
    assert text(native, value) == canonical
    assert text(native, canonical.replace("e+15", "E15").encode().hex()) == canonical, "3.6.1"


def test_a_polygon_is_refused_since_nobody_tells_whether_its_last_point_is_its_own() -> None:
    with pytest.raises(ValueNotRepresentable, match=r"Column c: .* is not a value of polygon"):
        text("polygon", shape(POLYGON, (1, 2), (3, 4), (1, 2), type="polygon"))
    assert text("polygon", b"((1.0,2.0),(3.0,4.0))".hex()) == "((1,2),(3,4))", "3.6.1"
