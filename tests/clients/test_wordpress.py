"""Test the WordPress plugin in a real WordPress (Debian's package) with a database of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.running_service import SITE_KEY, Paywall
from tests.store_servers import free_port, wait_until

SOURCE = Path("/usr/share/wordpress")
THEME = SOURCE / "wp-content/themes/twentytwentythree/style.css"
PLUGIN = Path(__file__).parents[2] / "clients" / "wordpress" / "paywall.php"
NOTEBOOK, DATA = "canary of the notebook", "canary of the data"
STORIES = {"old": 11, "new": 12, "protected": 13}

CONFIG = """<?php
define('DB_NAME', 'wordpress'); define('DB_USER', 'root'); define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:%(socket)s'); define('DB_CHARSET', 'utf8mb4'); define('DB_COLLATE', '');
define('WP_HTTP_BLOCK_EXTERNAL', true); define('WP_ACCESSIBLE_HOSTS', '127.0.0.1'); define('DISABLE_WP_CRON', true);
define('WP_DEBUG', true); define('WP_DEBUG_DISPLAY', true);
define('PAYWALL_URL', '%(paywall)s'); define('PAYWALL_SITE_KEY', '%(key)s');
define('PAYWALL_PARTS', ['notebook' => "The reporter's notebook", 'data' => 'The data']);
$table_prefix = 'wp_';
defined('ABSPATH') || define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
"""
INSTALL = """<?php
define('WP_INSTALLING', true); $_SERVER['HTTP_HOST'] = '127.0.0.1:%(port)d';
require '%(root)s/wp-load.php'; require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('The Ledger', 'editor', 'editor@example.org', true, '', 'password-of-the-editor');
update_option('siteurl', 'http://127.0.0.1:%(port)d'); update_option('home', 'http://127.0.0.1:%(port)d');
switch_theme('twentytwentythree'); update_option('active_plugins', ['paywall.php']);
wp_insert_user(['ID' => 0, 'user_login' => 'maya', 'user_pass' => 'password-of-maya', 'role' => 'subscriber']);
foreach ([11 => '-100 days', 12 => '-1 hour', 13 => '-100 days'] as $id => $when) {
    wp_insert_post(['import_id' => $id, 'post_title' => "Harbour $id", 'post_content' => 'The facts of the harbour.',
        'post_date' => gmdate('Y-m-d H:i:s', strtotime($when)), 'post_status' => 'publish', 'post_author' => 1,
        'post_password' => $id === 13 ? 'word' : '']);
    add_post_meta($id, '_paywall_notebook', '%(notebook)s'); add_post_meta($id, '_paywall_data', '%(data)s');
}
"""


@dataclass
class WordPress:
    """A WordPress that runs with the plugin, and the paywall that it asks."""

    url: str
    paywall: Paywall
    root: Path

    def get(self, query: str, session: requests.Session | None = None) -> requests.Response:
        answer = (session or requests).get(f"{self.url}/{query}", timeout=60)
        assert "Warning: " not in answer.text
        assert "Fatal error" not in answer.text
        return answer

    def sign_in(self, name: str) -> requests.Session:
        session = requests.Session()
        session.cookies.set("wordpress_test_cookie", "WP Cookie check")
        form = {"log": name, "pwd": f"password-of-{'the-editor' if name == 'editor' else name}", "testcookie": "1"}
        session.post(f"{self.url}/wp-login.php", form, timeout=60)
        assert any(cookie.startswith("wordpress_logged_in") for cookie in session.cookies.keys())  # noqa: SIM118 - iterating gives cookies
        return session


@pytest.fixture(scope="module")
def wordpress(paywall: Paywall, short_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WordPress]:
    """Install WordPress in a folder of its own, and serve it."""
    needed = ("php", "mariadbd", "mariadb-install-db", SOURCE / "wp-load.php", THEME)
    if missing := [str(path) for path in needed if shutil.which(path, os.F_OK) is None]:
        pytest.skip(f"{missing} of WordPress are not on this machine; `.ci/run` names the Debian packages")
    root, port = tmp_path_factory.mktemp("wordpress") / "site", free_port()
    shutil.copytree(SOURCE, root, ignore=shutil.ignore_patterns(".htaccess", "wp-config.php"), symlinks=False)
    (root / "wp-content" / "plugins" / "paywall.php").write_bytes(PLUGIN.read_bytes())
    database = short_folder / "wordpress"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    options = ["--no-defaults", f"--datadir={database}", *(["--user=root"] if os.geteuid() == 0 else [])]
    install = ["mariadb-install-db", *options, "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(install, check=True, **quiet)
    serve = ["mariadbd", *options, f"--socket={database}/s", "--skip-networking", "--innodb-flush-log-at-trx-commit=0"]
    server = subprocess.Popen(serve, **quiet)
    settings = {"socket": f"{database}/s", "paywall": paywall.url, "key": SITE_KEY}
    (root / "wp-config.php").write_text(CONFIG % settings)
    (root.parent / "install.php").write_text(INSTALL % {"port": port, "root": root, "notebook": NOTEBOOK, "data": DATA})
    wait_until(Path(database, "s").exists)
    create = "mysqli_query(mysqli_connect('localhost', 'root', '', '', 0, $argv[1]), 'CREATE DATABASE wordpress');"
    subprocess.run(["php", "-r", create, f"{database}/s"], check=True)
    subprocess.run(["php", "install.php"], cwd=root.parent, check=True, stdout=subprocess.DEVNULL)
    site = subprocess.Popen(
        ["php", "-d", "opcache.enable=0", "-S", f"127.0.0.1:{port}", "-t", str(root)],
        env={**os.environ, "PHP_CLI_SERVER_WORKERS": "4"},
        start_new_session=True,
        **quiet,
    )
    try:
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}/wp-includes/version.php"))
        yield WordPress(f"http://127.0.0.1:{port}", paywall, root)
    finally:
        os.killpg(site.pid, signal.SIGTERM)  # Its workers would outlive it.
        server.terminate()
        for process in (site, server):
            process.wait()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=60).status_code == 200
    except requests.ConnectionError:
        return False


SURFACES = {
    "story": "?p=11",
    "front page": "",
    "feed": "?feed=rss2",
    "Atom feed": "?feed=atom",
    "comments feed": "?p=11&feed=rss2",
    "REST": "?rest_route=/wp/v2/posts/11",
    "REST list": "?rest_route=/wp/v2/posts",
    "REST search": f"?rest_route=/wp/v2/search%26search={quote(NOTEBOOK)}".replace("%26", "&"),
    "search": f"?s={quote(NOTEBOOK)}",
    "sitemap": "?sitemap=posts&sitemap-subtype=post",
    "embed": "?p=11&embed=true",
    "oEmbed": "?rest_route=/oembed/1.0/embed&url=",
    "post with a password": "?p=13",
    "XML-RPC": "xmlrpc.php?rsd",
}


@pytest.mark.full
@pytest.mark.parametrize("surface", SURFACES)
def test_locked_text_is_on_no_page_of_wordpress(wordpress: WordPress, surface: str) -> None:
    query = SURFACES[surface]
    if surface == "oEmbed":
        query += quote(f"{wordpress.url}/?p=11")
    answer = wordpress.get(query)
    assert answer.status_code == 200
    shown = answer.text
    for searched in (NOTEBOOK, quote(NOTEBOOK), NOTEBOOK.replace(" ", "+")) if "earch" in surface else ():
        shown = shown.replace(searched, "")  # A search shows what was searched for.
    assert NOTEBOOK not in shown
    assert DATA not in shown
    if "earch" in surface:
        assert "Harbour 11" not in answer.text, "the search knows the locked text"
    if surface == "story":
        assert "The facts of the harbour." in answer.text
        assert "Unlock unlimited access" in answer.text
        assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.full
def test_entitled_reader_sees_the_locked_parts(wordpress: WordPress) -> None:
    maya = wordpress.sign_in("maya")
    assert NOTEBOOK not in wordpress.get("?p=11", maya).text
    wordpress.paywall.grant("2")
    shown = wordpress.get("?p=11", maya).text
    assert NOTEBOOK in shown
    assert DATA in shown
    assert "paywall-box" not in shown
    assert NOTEBOOK not in wordpress.get("?p=13", maya).text, "the post has a password"
    assert NOTEBOOK not in wordpress.get("?feed=rss2&p=11", maya).text


@pytest.mark.full
def test_visitor_reads_within_the_meter_and_rereading_is_free(wordpress: WordPress) -> None:
    with requests.Session() as visitor:
        for _ in range(4):
            assert NOTEBOOK in wordpress.get("?p=12", visitor).text
        (cookie,) = (cookie for cookie in visitor.cookies if cookie.name == "paywall_visitor")
        assert cookie.has_nonstandard_attr("HttpOnly")
        asked = {"story": {"id": "another", "parts": ["notebook"]}, "visitor": cookie.value, "count": False}
        assert wordpress.paywall.post("/v1/access", asked).json()["meter"]["used"] == 1


@pytest.mark.full
def test_price_has_the_decimals_of_its_currency(wordpress: WordPress) -> None:
    show = "require 'wp-load.php'; foreach (['usd', 'jpy', 'kwd'] as $c) echo paywall_money(150000, $c), '|';"
    shown = subprocess.run(["php", "-r", show], cwd=wordpress.root, capture_output=True, text=True, check=True).stdout
    assert shown == "1,500.00 USD|150,000 JPY|150.000 KWD|"


@pytest.mark.full
def test_editor_sees_and_saves_locked_parts(wordpress: WordPress) -> None:
    editor = wordpress.sign_in("editor")
    page = wordpress.get("wp-admin/post.php?post=12&action=edit&classic-editor", editor).text
    fields = dict(re.findall(r'name="(paywall_nonce|_wpnonce)" value="(.*?)"', page))
    assert set(fields) == {"paywall_nonce", "_wpnonce"}
    form = {**fields, "post_ID": "12", "action": "editpost", "post_type": "post", "post_title": "Harbour 12"}
    form |= {"paywall_text_notebook": r"It's a <b>bold</b> \ sign <script>bad()</script>", "content": "The facts."}
    assert editor.post(f"{wordpress.url}/wp-admin/post.php", form, timeout=60).status_code == 200
    shown = wordpress.get("?p=12", editor).text
    assert r"a <b>bold</b> \ sign" in shown
    assert "<script>bad()" not in shown


@pytest.mark.full
def test_story_stays_locked_while_the_paywall_is_unreachable(wordpress: WordPress) -> None:
    config = wordpress.root / "wp-config.php"
    before = config.read_text()
    try:
        config.write_text(before.replace(wordpress.paywall.url, f"http://127.0.0.1:{free_port()}"))
        shown = wordpress.get("?p=11").text
    finally:
        config.write_text(before)
    assert NOTEBOOK not in shown
    assert "Please try again in a few minutes" in shown
