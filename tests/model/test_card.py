"""What a card says that its model has seen."""

from __future__ import annotations

from mcsdr.model.card import Card

PHANTOMS = {"kind": "phantom", "n": 8000, "seed": 16, "population": "flat"}
SELECTED = {"kind": "phantom", "n": 200, "seed": 6, "population": "flat"}


def test_data_that_a_training_went_on_without_were_seen() -> None:
    changes = [
        {"step": 100, "settings": {"optim.lr": [1e-3, 1e-4], "data.train.population": ["adult", "flat"]}},
        {
            "step": 250,
            "settings": {"data.train.n": [9000, 8000], "data.train.seed": [15, 16], "data.val.n": [400, 200]},
        },
        {"step": 300, "settings": {"optim.epochs": [12, 14]}},
    ]
    data = {"train": PHANTOMS, "val": SELECTED}
    card = Card(name="m", training_data="", synthetic=True, config={"data": data}, changes=changes)
    then = {**PHANTOMS, "n": 9000, "seed": 15}
    assert [(record["role"], record["data"]) for record in card.seen()] == [
        ("trained", PHANTOMS),
        ("selected", SELECTED),
        ("trained", then),
        ("selected", {**SELECTED, "n": 400}),
        ("trained", {**then, "population": "adult"}),
    ]
