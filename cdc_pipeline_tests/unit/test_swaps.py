"""What is written down of a replacement is read back as it was: by its text one knows it again."""

from cdc_pipeline.model import TableId
from cdc_pipeline.swaps import Swap


def test_an_intent_is_read_back_as_it_was_written() -> None:
    source, target, shadow = TableId("shop", "users"), TableId("public", "shop_users"), TableId("new", "shop_users")
    swap = Swap("0a", source, target, "topic", shadow, True, "{}", '{"a": "ä"}', {0: 7, 1: 2**40}, 3, 4, 0.1 + 0.2)
    again = Swap.from_text(swap.to_text())
    assert again == swap
    assert again.to_text() == swap.to_text()
