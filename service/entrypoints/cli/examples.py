"""Examples of each command, which its `--help` shows. A test parses them, so that they stay true."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "approvals confirm": ("paywall approvals confirm ap_1a2b3c",),
    "approvals list": ("paywall approvals list",),
    "approvals refuse": ('paywall approvals refuse ap_1a2b3c --reason "Not agreed with sales"',),
    "audit export": ("paywall audit export audit.jsonl", "paywall audit export | gzip > audit.jsonl.gz"),
    "audit list": ("paywall audit list --reader r-1042", "paywall audit list --actor ann --action grant.create"),
    "audit prune": ("paywall audit export audit.jsonl && paywall audit prune --older-than 400d",),
    "audit verify": ("paywall audit verify", f"paywall audit verify --head 1042:{'9f' * 32}"),
    "backup": ("paywall backup paywall-2026-11-29.backup",),
    "check-config": ("paywall check-config", "paywall check-config /etc/paywall"),
    "completion": (
        'eval "$(paywall completion bash)"',
        "paywall completion zsh > ~/.zfunc/_paywall",
        "paywall completion fish > ~/.config/fish/completions/paywall.fish",
    ),
    "demo": ("paywall demo", "PAYWALL_PORT=9000 PAYWALL_DATA=/tmp/demo paywall demo"),
    "digest": ("paywall digest", "paywall digest --check || notify-the-team"),
    "doctor": ("paywall doctor", "paywall doctor --json"),
    "events list": ("paywall events list --dead",),
    "events replay": ("paywall events replay evt_1NG8Du2eZvKYlo2C",),
    "events show": ("paywall events show evt_1NG8Du2eZvKYlo2C",),
    "explain": (
        "paywall explain --reader r-1042 --story harbour-contract",
        "paywall explain --reader r-1042 --story harbour-contract --at 2026-11-20",
    ),
    "grants add": (
        'paywall grants add --reader r-1042 --plan vip --until 2027-01-01 --reason "Press card"',
        'paywall grants add --reader r-1042 --feature no_ads --until 30d --reason "Complaint about ads"',
    ),
    "grants change": ('paywall grants change gr_1a2b3c --reader r-1042 --until 90d --reason "Card renewed"',),
    "grants import": (
        "paywall grants import --template > grants.csv",
        "paywall grants import grants.csv --dry-run",
        "paywall grants import grants.csv",
    ),
    "grants import-show": ("paywall grants import-show im_1a2b3c",),
    "grants import-undo": ('paywall grants import-undo im_1a2b3c --reason "Wrong file"',),
    "grants list": ("paywall grants list --plan vip --status active", "paywall grants list --ends-before 30d"),
    "grants revoke": ('paywall grants revoke gr_1a2b3c --reader r-1042 --reason "Left the jury"',),
    "keys add": ("paywall keys add support-team --role granter",),
    "keys end": ("paywall keys end support-team", "paywall keys end support-team --yes"),
    "keys list": ("paywall keys list",),
    "links import": ("paywall links import links.csv --dry-run", "paywall links import links.csv"),
    "links import-show": ("paywall links import-show im_1a2b3c",),
    "links import-undo": ('paywall links import-undo im_1a2b3c --reason "Wrong file"',),
    "passes add": (
        'paywall passes add --story harbour-contract --openings 100 --until 14d --reason "Newsletter of the week"',
    ),
    "passes list": ("paywall passes list",),
    "passes revoke": ("paywall passes revoke sp_1a2b3c",),
    "passes show": ("paywall passes show sp_1a2b3c",),
    "readers erase": ('paywall readers erase r-1042 --reason "Asked by e-mail"',),
    "readers export": ("paywall readers export r-1042 > r-1042.json",),
    "readers link": ("paywall readers link r-1042 --customer cus_NffrFeUfNV2Hib",),
    "readers list": ("paywall readers list --plan vip --access true", "paywall readers list --standing grace"),
    "readers merge": ("paywall readers merge r-1042 --from r-2077",),
    "readers show": ("paywall readers show r-1042", "paywall readers show r-1042 --at 2026-11-01"),
    "readers unlink": ("paywall readers unlink r-1042 --customer cus_NffrFeUfNV2Hib",),
    "reconcile": ("paywall reconcile --dry-run", "paywall reconcile --catch-up"),
    "reindex": ("paywall reindex",),
    "restore": ("paywall restore paywall-2026-11-29.backup",),
    "seats give": ("paywall seats give sub_1MowQVLkdIwHu7ix r-1042",),
    "seats list": ("paywall seats list sub_1MowQVLkdIwHu7ix",),
    "seats take": ("paywall seats take sub_1MowQVLkdIwHu7ix r-1042",),
    "serve": ("paywall serve", "PAYWALL_HOST=0.0.0.0 PAYWALL_PORT=9000 paywall serve --no-worker"),
    "sign-in-link": (
        "paywall sign-in-link",
        "paywall sign-in-link --key support-team --url https://paywall.example.news",
    ),
    "stories show": ("paywall stories show harbour-contract",),
    "worker": ("paywall worker", "paywall worker --once"),
}
"""Command, as its words are typed → command lines."""
