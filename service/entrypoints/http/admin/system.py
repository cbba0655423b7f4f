"""The System page: whether the worker, the catch-up with Stripe and the store keep up, and how webhooks arrive."""

from __future__ import annotations

import time

from flask import Response

from service.adapters.redis.embedded.folder_lock import read_owner
from service.adapters.redis.service_state.coordination import LEADS_FOR
from service.entrypoints.http.admin.charts import Chart, system_charts
from service.entrypoints.http.admin.overview import chart_file
from service.entrypoints.http.admin.page_context import PageContext, render
from service.use_cases.reporting.alerts import CATCH_UP_LIMIT
from service.use_cases.reporting.statistics import DEFAULT_DAYS, Period, load_period


def register(context: PageContext) -> None:
    """Add the page, and the files of its charts."""
    service = context.service

    @context.page("GET /system", "viewer")
    def system() -> Response:
        at = time.time()
        state = service.state_metrics.read(at)
        heartbeat = state["paywall_worker_heartbeat_timestamp_seconds"][""]
        caught_up = state["paywall_last_catch_up_timestamp_seconds"][""]
        return render(
            "system.html",
            heartbeat_age=at - heartbeat if heartbeat else None,
            is_worker_late=at - heartbeat > 2 * LEADS_FOR,
            has_stripe=service.gateway is not None,
            caught_up=caught_up,
            is_catch_up_late=context.now - caught_up > CATCH_UP_LIMIT,
            swept=state["paywall_last_full_sync_timestamp_seconds"][""],
            events=state["paywall_stripe_events"],
            objects=state["paywall_stripe_objects_waiting"],
            audit_backlog=state["paywall_audit_entries_waiting"][""],
            imports=sum(state["paywall_imports"].values()),
            approvals=state["paywall_approvals_waiting"][""],
            store=service.store.link.info(),
            memory=service.store.link.memory(),
            snapshots=service.snapshots.list_reports(context.now),
            # `paywall serve` sets the embedded store's address in the settings of its processes.
            is_embedded=service.settings.redis_url in (None, read_owner(service.settings.data).url),
            charts=charts(),
        )

    @context.page("GET /system/<name>.csv", "viewer")
    def system_csv(name: str) -> Response:
        return chart_file(charts(), name)

    def charts() -> list[Chart]:
        period = Period.last_days(DEFAULT_DAYS, context.catalogue.zone, context.now)
        return system_charts(load_period(service.usage_counters.store, period))
