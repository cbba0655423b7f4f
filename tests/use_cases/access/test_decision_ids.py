"""Decision IDs: IDs that an earlier version sealed still open, and hold the same decision."""

from __future__ import annotations

import pytest

from service.domain.decision import Decision
from service.domain.meter import MeterStanding
from service.domain.sources import Holding, Reason, Standing
from service.use_cases.access.decision_ids import VALID_FOR, DecisionIds, SealedDecision
from tests.in_process_app import InProcessApp

AT = 3_562_394_400
"""20 November 2082, 10:00 UTC."""
RESETS_AT = 3_563_326_800
"""1 December 2082 in New York."""
FEATURES = ("notebook", "no_ads", "no_autoplay", "newsmaker_events")
OPEN, LOCKED = (("facts", True), ("notebook", True)), (("facts", True), ("notebook", False))

# Sealed by commit 5f2dcd8, where the record was a list by position, with the secret and the policy of these tests.
COUNTED = (
    "NHuLYOjjzMrBl1ruI_5QrBLodP81RuJzwAR0sIoHTwoDb-cl6c4jxPgjvsmgpePmM9mLQiLxL_nFpmLTs__wY3wcyJrZPQdfrKhp"
    "4LEStr-y-9HHlmdXRi_12PaBnti0Xxk2y7pXwqchFoUrZ312iOm0wJ62ad3GzmLEYGGSLflE6AOvNcfn40KlUjt0SA9glMHLh96c"
    "UwULUTR-3dIVrpG2MYxIrwnPN3xuZKriY4vJoBXl7JDaP-kH"
)
ENTITLED = (
    "PbYJ5seuue0JkMnps8AkTGmGxwnpo5dgoSeRBww-ozL6-tw0waQRqTVi8k9UOVYxNpWeKkc12e0g6613s8GtYjRmZXFlAnFeCFtw"
    "Em3AIrPbgtvhKZ5bg69m6zTesCYgf9AeOTdkzCaOjGdrSpOTFFeNwlBChrFZdy8KHePmb_mKA2uri7EMvuWb-uh1MD-z7nLLE77h"
    "6i5mPEgvmcAKTLeEdKZIaBWiyXoLaYOen582Ti0T6UfS4ns9w1kpOpM_GhQOapzf7NP8KhWubzWRB_vQdCckSoG3bkNp-2eR7nOv"
    "exQ7d9BfeyCb4_myFpTrfFhw3HbZMXXdkloU84Op0ZGynzNkHPpFYkG_jom6Piq2DeEQwaECWGEqNUQ2TFl6rg"
)
USED_UP = (
    "h_64Fo8UJ1NHgXY_PzEqvjV7evhZS0fJmPHNu8aMYOnBiY367E-iFGCRr-6Cm-Z7pfCgHaUe3c_Wuz2yBqKowQY_OwQwZerYqthR"
    "8XNtNL6rhxFn9KScoY4pYhHZf7TtwG_Sb7gsF3W8RHjLMRK0bDcPGCoPo14qeeqaXhT6o1Rc54imUudXFJhLzpXLQcH08E3LIejN"
    "4hIHjbXDX6fm7ADiC5hlPFsT_Hmmwqc_o8bVuC2ZqIDOt-ONyv4JJHtZTA"
)
DEGRADED = (
    "Goy9mVtUbUIcjv6Ks0BnS-VrhyFni6ZqSvwadTwy1YBfr7mrlhaJvz5lpDnZrf9YJB8SGTMLeuZPnhmsRBPPNYrwIuemnpAe9Oh9"
    "geH5934FS3L066h7l8c1DiC8dI0jWuLiz4APLqsge3ZwYXA8BIhMTF__UKcQQfvFhxF-eG7OO6V9KXpVA-fQO9iFdxQIzeNSw378"
    "fdp2qLxu2z4iwLPYqeGAkU6RevjCVHn4r5-fMwyPaHN5KXfPiwz9KEWxF_hg4kwb4iKLUauTtMc"
)
LONG = (
    "8rqCUowLVoEJL6quiJAWndhmWTgKN06wksmsWm4RGhirbJm7hTjJfqxLpB_bHo2PiUKd51VsW9qok7f46m5P36yIl257SI6H7Nc5"
    "YsYkIpodXQaE-JFzDqpEltbSoZd5AIGcodYwanXJtvREUe9A1_o7MhHrF1BZzMOtkQvKiK8TdDf2iTA2loZM5u9Y7bfaj_hpa55x"
    "GUWn0qQfKmYT_kJGRiy38dIK9GmGTUNQahIvKisymjZlYUp7exGz2_7YCto-d96IxcjL5EP6TJ6I5ZIw6GxpbFzSSdz_bfuVF3pV"
    "vTP1pE-ttaKMVHpZFxJBs65TJqcq-ZrtIuvjtmBSOQuSC6e8o_mjeyfNhMiXHdxFpPQi13XB8JDkovsRnkJ7kt71F0FNo-lEJPo5"
    "wys"
)

SOURCE_ID, SOURCE_END = "sub_1MowQVLkdIwHu7ixraBm864M", 3_565_072_800

DECISIONS = {
    COUNTED: Decision(
        "full",
        Reason.METERED,
        "metered",
        OPEN,
        meter=MeterStanding("stories", 5, 2, True, RESETS_AT, counted=True),
        refresh_after=RESETS_AT,
    ),
    ENTITLED: Decision(
        "full",
        Reason.SUBSCRIPTION,
        "metered",
        OPEN,
        held=tuple((name, SOURCE_END) for name in FEATURES),
        source=Holding(
            "subscription",
            SOURCE_ID,
            "supporter",
            (),
            "",
            Standing.GOOD,
            Reason.SUBSCRIPTION,
            start=None,
            until=SOURCE_END,
        ),
        refresh_after=SOURCE_END,
    ),
    USED_UP: Decision(
        "upsell",
        Reason.METER_USED_UP,
        "metered",
        LOCKED,
        meter=MeterStanding("stories", 2, 2, False, RESETS_AT),
        refresh_after=RESETS_AT,
    ),
    DEGRADED: Decision(
        "full",
        Reason.STORE_UNAVAILABLE,
        "metered",
        OPEN,
        held=(("notebook", None), ("gone_feature", AT + 60)),
        refresh_after=AT + 60,
        degraded=True,
    ),
    LONG: Decision(
        "upsell", Reason.NO_ENTITLEMENT, "supporters", tuple((f"part-{number}", False) for number in range(80))
    ),
}


@pytest.fixture
def decision_ids(valkey_app: InProcessApp) -> DecisionIds:
    return valkey_app.service.decision_ids


def opened(decision_ids: DecisionIds, decision_id: str) -> SealedDecision:
    record = decision_ids.open(decision_id)
    assert record is not None
    return record


@pytest.mark.parametrize("decision_id", DECISIONS, ids=("counted", "entitled", "used_up", "degraded", "long"))
def test_id_of_earlier_version_opens_as_the_same_decision(decision_ids: DecisionIds, decision_id: str) -> None:
    record = opened(decision_ids, decision_id)
    assert (record.at, record.story) == (AT, "s-1")
    assert record.decision(FEATURES) == DECISIONS[decision_id]


def test_id_of_earlier_version_names_who_asked(decision_ids: DecisionIds) -> None:
    asked = [(record.reader, record.visitor) for record in (opened(decision_ids, each) for each in DECISIONS)]
    assert asked == [("r-1", "v-1"), ("r-1", None), (None, "v-2"), ("r-1", "v-1"), ("r-1", None)]


def test_route_explains_id_of_earlier_version_until_it_expires(valkey_app: InProcessApp) -> None:
    valkey_app.clock.now = AT + VALID_FOR - 1
    answer = valkey_app.call("GET", f"/v1/decisions/{ENTITLED}", admin=True).get_json()
    assert (answer["at"], answer["show"], answer["reason"]) == ("2082-11-20T10:00:00Z", "full", "subscription")
    assert answer["source"] == {"type": "subscription", "id": SOURCE_ID, "plan": "supporter"}
    assert [step["step"] for step in answer["explain"]] == ["free", "entitlement"]
    valkey_app.clock.now = AT + VALID_FOR
    assert valkey_app.call("GET", f"/v1/decisions/{ENTITLED}", admin=True).status_code == 404


def test_decision_of_the_end_of_a_second_is_of_that_second(valkey_app: InProcessApp) -> None:
    valkey_app.clock.now = AT + 0.9996
    found = valkey_app.call("POST", "/v1/access", {"story": {"id": "s-1"}, "reader": "r-1"}).get_json()
    explained = valkey_app.call("GET", f"/v1/decisions/{found['decision_id']}", admin=True).get_json()
    assert explained["at"] == "2082-11-20T10:00:00Z"


def test_feature_of_policy_that_is_not_kept_is_named_by_its_place(decision_ids: DecisionIds) -> None:
    held = opened(decision_ids, DEGRADED).decision(None).held
    assert [name for name, _ in held] == ["feature 0", "gone_feature"]
