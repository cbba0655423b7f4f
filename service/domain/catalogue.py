"""The catalogue of `paywall.toml`: features, plans, tiers, rules, meters and offers, frozen and cross-checked.

These are plain values. `service.settings.policy_file` reads them from the file and rejects names that are not defined, so
the rules can rely on every name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Literal, NamedTuple

DAY = 86_400
HOUR = 3_600
READER_METADATA = ("reader_id",)
"""The metadata keys at Stripe that name a reader, unless the policy has others."""


MeterLimits = tuple[tuple[str, int], ...]
"""Pairs of a meter and how many stories it allows."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A named set of features and limits of meters, and what readers pay for it (`prices`: Stripe price IDs or lookup keys).

    While a reader holds the plan, `meters` are their limits where these are higher than the meter's own.
    """

    id: str
    name: str
    features: tuple[str, ...]
    prices: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    grace_days: int = 14
    pass_hours: int | None = None
    seats: bool = False
    gifts_per_month: int = 0
    trial_days: int | None = None
    """Free days of a subscription, for a reader who never held this plan by one."""
    meters: MeterLimits = ()

    @property
    def is_on_sale(self) -> bool:
        """Return whether readers can buy it; a plan without prices and products is only granted by admins."""
        return bool(self.prices or self.products)


@dataclass(frozen=True, slots=True)
class Tier:
    """How a story is sold: any feature of `requires` opens every part, or signing in does. Without both, it is free.

    `sign_in`: every signed-in reader (`any`), or every one whose address the site has verified. `sign_in_offer` is shown
    where signing in would open the story, `offer` otherwise.
    """

    name: str
    requires: tuple[str, ...] = ()
    open_parts: tuple[str, ...] = ()
    meter: str | None = None
    sign_in: Literal["any", "verified"] | None = None
    offer: str | None = None
    sign_in_offer: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Assigns a tier to a story that names none. Every condition that is set must hold; ages are seconds."""

    tier: str
    sections: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    older_than: int | None = None
    newer_than: int | None = None


@dataclass(frozen=True, slots=True)
class MeterPolicy:
    """Free stories in a window. `window` is `day`, `week`, `month` (calendar, at `zone`'s midnight) or `rolling`."""

    name: str
    visitors: int
    readers: int
    window: Literal["day", "week", "month", "rolling"]
    zone: tzinfo
    length: int = 0
    """Seconds of a rolling window; 0 for a calendar one."""

    @property
    def rolling(self) -> bool:
        """Return whether each story counts for its own `length`."""
        return self.window == "rolling"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the upsell box shows. `benefits` are feature names, `links` pairs of text and URL."""

    id: str
    heading: str
    benefits: tuple[str, ...]
    button: str
    plans: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """What readers and visitors see while the store is unavailable; `known_for` in seconds."""

    readers: Literal["full", "upsell"] = "full"
    visitors: Literal["full", "upsell"] = "upsell"
    known_for: int = DAY


@dataclass(frozen=True, slots=True)
class GrantPolicy:
    """What admins can grant. `longest` and `confirm_length` in seconds; `None` means no limit."""

    plans: tuple[str, ...] | None = None
    longest: int | None = None
    confirm_readers: int | None = None
    confirm_length: int | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """Another billing system that reports subscriptions, such as a print system or an app store."""

    id: str
    name: str
    largest_drop: float = 0.2
    """The share of the running sources that a snapshot may end without being forced."""
    expected_every: int | None = None
    """Seconds after which a snapshot is overdue; `None` if none is expected."""


@dataclass(frozen=True, slots=True)
class CheckoutPolicy:
    """What every Checkout session of this site asks for, named as in Stripe's Checkout Session."""

    automatic_tax: bool = False
    tax_id_collection: bool = False
    allow_promotion_codes: bool = False
    billing_address_collection: Literal["auto", "required"] | None = None
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long history is kept, in seconds. `audit` `None`: until an owner deletes old records."""

    history: int = 400 * DAY
    audit: int | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """A story as the website describes it; `published_at` in epoch seconds."""

    id: str
    section: str | None = None
    tags: tuple[str, ...] = ()
    tier: str | None = None
    published_at: float | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownStory:
    """What the site last said of a story, and when (epoch seconds, at most an hour before it last asked)."""

    story: Story
    asked_at: float


class TierOrigin(NamedTuple):
    """A story's tier at a moment, and where it comes from: the site's request, a rule (they count from 1) or the default."""

    tier: str
    source: Literal["request", "rule", "default"]
    rule: int | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All of `paywall.toml`, by name. `revision` identifies this policy in every decision made by it."""

    site_name: str
    zone: tzinfo
    origins: tuple[str, ...]
    features: Mapping[str, str]
    plans: Mapping[str, Plan]
    tiers: Mapping[str, Tier]
    default_tier: str
    rules: tuple[Rule, ...] = ()
    meters: Mapping[str, MeterPolicy] = field(default_factory=dict)
    offers: Mapping[str, Offer] = field(default_factory=dict)
    failure: FailurePolicy = FailurePolicy()
    grants: GrantPolicy = GrantPolicy()
    checkout: CheckoutPolicy = CheckoutPolicy()
    retention: RetentionPolicy = RetentionPolicy()
    providers: Mapping[str, Provider] = field(default_factory=dict)
    livemode: bool = False
    leeway: int = 48 * HOUR
    reader_metadata: tuple[str, ...] = READER_METADATA
    """In order: the first that holds a valid ID names the reader, and Checkout writes the first."""
    revision: str = ""
    story_url: str | None = None
    """The address of a story, with `{story}` for its ID; links of story passes begin with it."""

    def plan_for(self, price: str | None, lookup_key: str | None, product: str | None) -> Plan | None:
        """Return the plan that a Stripe price buys: by its ID, else its lookup key, else its product."""
        plans = self.plans.values()
        for name in (price, lookup_key):
            if (named := next((plan for plan in plans if name in plan.prices), None)) is not None:
                return named
        return next((plan for plan in plans if product in plan.products), None)

    def offer_for(self, tier: Tier) -> Offer | None:
        """Return the tier's own offer, else the one named after its first feature, else the first that has plans."""
        if tier.offer is not None:
            return self.offers[tier.offer]
        named = self.offers.get(tier.requires[0]) if tier.requires else None
        return named or next((offer for offer in self.offers.values() if offer.plans), None)

    def tier_of(self, story: Story, now: float) -> Tier:
        """Return the tier that the story names, else the first matching rule's, else the default.

        Raises: KeyError, if the story names a tier that does not exist.
        """
        return self.tiers[story.tier if story.tier is not None else self.tier_origin(story, now).tier]

    def tier_origin(self, story: Story, now: float) -> TierOrigin:
        """Return the name of a story's tier, which need not exist where the story names it, and where it comes from."""
        if story.tier is not None:
            return TierOrigin(story.tier, "request")
        for number, rule in enumerate(self.rules, 1):
            if rule_matches(rule, story, now):
                return TierOrigin(rule.tier, "rule", number)
        return TierOrigin(self.default_tier, "default")

    def tier_turns_at(self, story: Story, now: float) -> float | None:
        """Return the first moment after `now` at which the story's age changes its tier; `None` if it never does."""
        moments = self.age_limits(story, now)
        if not moments:
            return None
        current = self.tier_of(story, now)
        return next((at for at in moments if self.tier_of(story, at) != current), None)

    def age_limits(self, story: Story, now: float) -> list[float]:
        """Return the moments after `now` at which the story reaches an age that a rule names, the earliest first."""
        if story.tier is not None or story.published_at is None:
            return []
        published = story.published_at
        ages = (age for rule in self.rules for age in (rule.older_than, rule.newer_than) if age is not None)
        return sorted({published + age for age in ages if published + age > now})

    def ageing_tiers(self) -> frozenset[str]:
        """Return the tiers that a story can leave by its age for one with another meter."""
        by_age = any(rule.older_than is not None or rule.newer_than is not None for rule in self.rules)
        names = {self.default_tier, *(rule.tier for rule in self.rules)} if by_age else set()
        later = {self.tiers[name].meter for name in names} - {None}
        return frozenset(tier.name for tier in self.tiers.values() if later - {tier.meter})

    def later_meters(self, story: Story, now: float) -> set[str]:
        """Return the meters of all tiers that the story's age will give it."""
        tiers = [self.tier_of(story, at) for at in self.age_limits(story, now)]
        return {tier.meter for tier in tiers if tier.meter is not None}


def rule_matches(rule: Rule, story: Story, now: float) -> bool:
    """Return whether a story has one of the sections, one of the tags, and the age that a rule asks for."""
    if rule.sections and story.section not in rule.sections:
        return False
    if rule.tags and not any(tag in rule.tags for tag in story.tags):
        return False
    if rule.older_than is None and rule.newer_than is None:
        return True
    if story.published_at is None:
        return False
    age = now - story.published_at
    if rule.older_than is not None and age < rule.older_than:
        return False
    return rule.newer_than is None or age < rule.newer_than
