"""The exports of other systems: a module for each reads a row into an `ExportedMember`."""

from __future__ import annotations

from service.use_cases.takeover.formats.export_format import ExportFormat
from service.use_cases.takeover.formats.ghost import GHOST
from service.use_cases.takeover.formats.leaky import LEAKY
from service.use_cases.takeover.formats.pmp import PMP
from service.use_cases.takeover.formats.stripe import STRIPE
from service.use_cases.takeover.formats.woocommerce import WOOCOMMERCE

FORMATS: dict[str, ExportFormat] = {form.name: form for form in (GHOST, LEAKY, PMP, WOOCOMMERCE, STRIPE)}
