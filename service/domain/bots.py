"""User agents of programs, not people: they never use an opening of a story pass.

The list names agents that identify themselves; it cannot find those that hide. Some phones and apps contain similar words
but are people: `Cubot` is a phone; `FBAN`, `LinkedInApp`, `Pinterest/iOS`, `Snapchat` and `Twitter for iPhone` are apps.
Headless browsers are not listed: scanners that render pages hide that they are, and newsrooms test with them. A browser
marks a prefetch or prerender with `Sec-Purpose`, which only the website sees: it then asks with `count: false`.
"""

from __future__ import annotations

import re
from functools import lru_cache

BOTS: dict[str, str] = {
    # Names that end in "bot": Googlebot, bingbot, Applebot, GPTBot, AhrefsBot, YandexBot, UptimeRobot, …
    r"(?<!cu)bot\b": "crawlers, and most previews (Slackbot, Twitterbot, Discordbot, LinkedInBot, TelegramBot, Pinterestbot)",
    r"(?<!cu)bot[_\d]": "the same, where a number follows without a break",
    r"robot": "crawlers and monitors that spell it out",
    r"crawl": "crawlers (Common Crawl, heritrix's kind)",
    r"spider": "crawlers (Baiduspider, Bytespider, Sogou)",
    r"slurp": "Yahoo's crawler",
    r"mediapartners-google|adsbot-google|google-inspectiontool|googleother|google-extended": "Google beside Googlebot",
    r"google-read-aloud|google-safety|google web preview|chrome-lighthouse": "Google fetching on its own behalf",
    r"ia_archiver|archive\.org": "archives",
    r"facebookexternalhit|facebookcatalog|meta-externalagent|meta-externalfetcher": "previews of Facebook and Instagram",
    r"\bfacebot\b": "Facebook's crawler, and what Apple's Messages calls itself when it previews",
    r"^whatsapp/": "previews of WhatsApp; its users read in their own browser",
    r"slack-imgproxy|slack-ss": "Slack, beside Slackbot",
    r"skypeuripreview|microsoftpreview|bingpreview|teamsbot": "previews of Microsoft Teams, Skype, Outlook and Bing",
    r"\biframely\b|embedly|opengraph|metainspector": "services that make previews for others",
    r"snap url preview": "previews of Snapchat",
    r"viber\b.*preview|\bkakaotalk-scrap|line-poker|vkshare|bitlybot|redditbot|mastodon/|pleroma|misskey": "previews elsewhere",
    r"url ?preview|link ?preview|linkexpand|unfurl": "previews that say what they are",
    r"googleimageproxy|yahoomailproxy": "mail that fetches pictures ahead",
    r"barracuda|mimecast|proofpoint|urldefense|safelinks|messagelabs|trendmicro|fortiguard|ironport|paloaltonetworks": (
        "scanners that follow the links of a mail before its reader does"
    ),
    r"virustotal|urlscan|phishtank|netcraft": "scanners of addresses",
    r"feedfetcher|feedly|feedbin|newsblur|inoreader": "readers of feeds that fetch for many",
    r"pingdom|statuscake|site24x7|datadog|newrelicpinger|zabbix": "monitors",
    r"^curl/|^wget/|^python-|^python/|aiohttp|^go-http-client|^java/|libwww-perl|^axios/|node-fetch|^undici|guzzlehttp": (
        "programs, as many a scanner of links is; no person reads through them"
    ),
}
"""Patterns to search for in the lower-case user agent, and which agents each one matches."""

_LONGEST = 512
"""The characters of a user agent that are searched and cached: it comes from outside, and can have any length."""

_ANY = "|".join(f"(?:{pattern})" for pattern in BOTS)


def is_bot(user_agent: str) -> bool:
    """Return whether this user agent is a program: a crawler, a link preview, a scanner or a monitor."""
    return _is_bot(user_agent[:_LONGEST])


@lru_cache(maxsize=4_096)
def _is_bot(user_agent: str) -> bool:
    return re.search(_ANY, user_agent.lower()) is not None
