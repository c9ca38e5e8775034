"""Which indexes a shadow can be without while it is loaded, by the table's SHOW CREATE TABLE."""

import pytest

from cdc_pipeline.databases.mysql.replacer import _secondary

COLUMNS = "CREATE TABLE `t` (\n  `id` int NOT NULL{number},\n  `n``m` int DEFAULT NULL COMMENT '\\n  KEY `x` (`y`)',\n"
END = "\n) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4"


@pytest.mark.parametrize(
    ("number", "keys", "expected"),
    [
        ("", ["PRIMARY KEY (`id`)"], []),
        ("", ["PRIMARY KEY (`id`)", "KEY `a` (`n``m`)"], ["a"]),
        ("", ["PRIMARY KEY (`id`)", "UNIQUE KEY `a``b` (`n``m` DESC)", "FULLTEXT KEY `c` (`n``m`)"], ["a``b", "c"]),
        ("", ["KEY `f` ((lower(`n``m`)))"], ["f"]),
        (" AUTO_INCREMENT", ["PRIMARY KEY (`id`)", "KEY `a` (`id`,`n``m`)"], ["a"]),
        (" AUTO_INCREMENT", ["PRIMARY KEY (`n``m`)", "KEY `needed` (`id`)", "KEY `a` (`n``m`)"], ["a"]),
        (" AUTO_INCREMENT", ["KEY `needed` (`id`)"], []),
    ],
)
def test_all_but_what_numbering_needs(number: str, keys: list[str], expected: list[str]) -> None:
    lines = ",\n".join(f"  {key}" for key in keys)
    written = COLUMNS.format(number=number) + lines + END
    assert [name for name, _ in _secondary(written)] == expected
    assert [line for _, line in _secondary(written)] == [k for k in keys if any(f"KEY `{e}` " in k for e in expected)]
