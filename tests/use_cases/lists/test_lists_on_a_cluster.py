"""Test that the index is spread over a cluster and answers lists there."""

from __future__ import annotations

import pytest

from tests.in_process_app import MakeApp
from tests.running_service import ADMIN_KEY, POLICY
from tests.store_clusters import ON_BOTH_KINDS, BuildCluster
from tests.use_cases.lists.conftest import Listed


@pytest.mark.full
@ON_BOTH_KINDS
def test_lists_work_on_a_cluster(build_cluster: BuildCluster, make_app: MakeApp, kind: str) -> None:
    cluster = build_cluster(kind)
    listed = Listed(make_app(cluster.url, POLICY, PAYWALL_ADMIN_KEYS=f"ann:{ADMIN_KEY}", PAYWALL_SECRETS="s" * 32))
    for number in range(40):
        listed.app.grant(f"r-{number:02d}")
    rows = "".join(f"m-{number:02d},vip,never,press\n" for number in range(40))
    body = f"reader,plan,until,reason\n{rows}".encode()
    answer = listed.app.call("POST", "/v1/grants/import", admin=True, data=body, content_type="text/csv")
    listed.app.service.imports.finish(answer.get_json()["id"])
    assert listed.app.call("POST", "/v1/readers/r-01/merge", {"from": "r-00"}, admin=True).status_code == 200
    assert listed.app.call("DELETE", "/v1/readers/r-39?reason=asked", admin=True).status_code == 200
    listed.settle()
    expected = [f"m-{number:02d}" for number in range(40)] + [f"r-{number:02d}" for number in range(1, 39)]
    assert listed.names(limit=9) == expected
    assert len(listed.grants(status="active")) == 79
    assert listed.app.service.reader_lists.updates.rebuild().readers == 78
    assert listed.names(plan="vip", access="true") == expected
    for master in cluster.masters:
        assert master.admin().keys("pw:{index:*"), "every master holds a part of the index"
