"""The form in which verdicts are kept."""

from __future__ import annotations

import json
import math

from maskrcnn_exp.diagnose.diagnosis import diagnose
from maskrcnn_exp.diagnose.verdict import Evidence, Verdict, at_least
from tests.diagnose.recorded import recorded


def test_a_verdict_comes_back_from_json_as_it_was() -> None:
    for verdict in diagnose(recorded("shapes_mult_0.02")).verdicts:
        text = json.dumps(verdict.to_json(), allow_nan=False)
        again = Verdict.from_json(json.loads(text))
        assert again.key == verdict.key
        assert again.prescription == verdict.prescription
        assert [one.name for one in again.evidence] == [one.name for one in verdict.evidence]


def test_what_was_not_recorded_is_null_and_infinity_is_named() -> None:
    verdict = Verdict("rule", "mask", "info", 1.0, 1, "", "", evidence=(Evidence("x", (1.5, math.nan, math.inf)),))
    assert verdict.to_json()["evidence"][0]["values"] == [1.5, None, "inf"]
    values = Verdict.from_json(verdict.to_json()).evidence[0].values
    assert values[0] == 1.5
    assert math.isnan(values[1])
    assert values[2] == math.inf


def test_severities_have_an_order() -> None:
    assert at_least("severe", "warning")
    assert at_least("warning", "warning")
    assert not at_least("info", "warning")
