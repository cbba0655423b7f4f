"""User agents that read for no person: they never spend an opening of a story pass.

A small list, by what such agents call themselves; whoever hides is no business of a list. Phones and apps with a browser
inside carry similar words and are people: `Cubot` is a phone, `FBAN`, `LinkedInApp`, `Pinterest/iOS`, `Snapchat` and
`Twitter for iPhone` are apps. Headless browsers are not listed: a scanner that renders pages hides that, while the
newsroom's own tests tell it. What a browser fetches ahead (prefetch, prerender) says so in `Sec-Purpose`, which the
website sees and we do not: it asks with `count: false`.
"""

from __future__ import annotations

import re
from functools import lru_cache

BOTS: dict[str, str] = {
    # Whatever calls itself so: Googlebot, bingbot, Applebot, GPTBot, AhrefsBot, YandexBot, UptimeRobot, …
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
"""What is looked for, in lower case, and who that is."""

_ANY = "|".join(f"(?:{pattern})" for pattern in BOTS)


@lru_cache(maxsize=4_096)
def is_bot(user_agent: str) -> bool:
    """Whether this user agent reads for no person: a crawler, a preview, a scanner, a monitor."""
    return re.search(_ANY, user_agent.lower()) is not None
