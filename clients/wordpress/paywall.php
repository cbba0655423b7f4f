<?php
/**
 * Plugin Name: Paywall
 * Description: Locks the reporter's notebook and other parts of a story. The server decides who reads them, so locked text never reaches a browser.
 * Version: 0.1.0
 * Requires at least: 6.1
 * Requires PHP: 8.1
 *
 * A locked part is not in the post's content. It is in a protected field of the post, so no feed, search, REST answer, excerpt,
 * sitemap or embed can show it: they don't know it. Only the story's page adds it, when the paywall says that it is open.
 *
 * Set in wp-config.php:  define('PAYWALL_URL', 'http://127.0.0.1:8000');  define('PAYWALL_SITE_KEY', '…');
 * Other parts than the notebook:  define('PAYWALL_PARTS', ['notebook' => "The reporter's notebook", 'data' => 'The data']);
 */

defined('ABSPATH') || exit;
defined('PAYWALL_PARTS') || define('PAYWALL_PARTS', ['notebook' => "The reporter's notebook"]);

/** Return the locked parts of a post that have text: name => text as it was saved. */
function paywall_parts(int $post): array {
	$texts = array_map(fn($part) => (string) get_post_meta($post, "_paywall_$part", true), array_keys(PAYWALL_PARTS));
	return array_filter(array_combine(array_keys(PAYWALL_PARTS), $texts), fn($text) => trim($text) !== '');
}

/** Call the paywall. Return the fields of the answer, or null if it did not answer with a 200 in time. */
function paywall_post(string $path, array $body, int $seconds = 2): ?array {
	$answer = wp_remote_post(untrailingslashit(PAYWALL_URL) . $path, [
		'timeout' => $seconds,
		'redirection' => 0,
		'headers' => ['Authorization' => 'Bearer ' . PAYWALL_SITE_KEY, 'Content-Type' => 'application/json'],
		'body' => wp_json_encode($body),
	]);
	$fields = wp_remote_retrieve_response_code($answer) === 200 ? json_decode(wp_remote_retrieve_body($answer), true) : null;
	return is_array($fields) ? $fields : null;
}

/** Return who reads: the signed-in reader, and the visitor's random ID, which a cookie keeps. */
function paywall_identity(): array {
	static $visitor = null;
	$cookie = $_COOKIE['paywall_visitor'] ?? '';
	$visitor ??= is_string($cookie) && preg_match('/^[0-9a-f]{32}$/', $cookie) ? $cookie : bin2hex(random_bytes(16));
	return array_filter(['reader' => is_user_logged_in() ? (string) get_current_user_id() : null, 'visitor' => $visitor]);
}

/** Return the paywall's decision for the story of this page, asked for once a page; null while the paywall is unreachable. */
function paywall_decision(): ?array {
	static $decision = false;
	if ($decision === false) {
		$post = get_queried_object();
		$story = [
			'id' => (string) $post->ID,
			'section' => get_the_category($post->ID)[0]->slug ?? null,
			'tags' => wp_list_pluck(get_the_tags($post->ID) ?: [], 'slug'),
			'published_at' => get_post_time('c', true, $post) ?: null,
			'parts' => ['facts', ...array_keys(paywall_parts($post->ID))],
		];
		$prefetch = str_contains($_SERVER['HTTP_SEC_PURPOSE'] ?? $_SERVER['HTTP_PURPOSE'] ?? '', 'prefetch');
		$count = $_SERVER['REQUEST_METHOD'] === 'GET' && !$prefetch && !is_preview();
		$decision = paywall_post('/v1/access', ['story' => $story, 'count' => $count, ...paywall_identity()]);
	}
	return $decision;
}

/** Return whether this request shows the page of one story that has locked parts. */
function paywall_is_locked_story(): bool {
	$post = get_queried_object_id();
	return is_singular() && !is_feed() && !is_embed() && !post_password_required($post) && paywall_parts($post) !== [];
}

add_action('template_redirect', function (): void {
	if (!paywall_is_locked_story()) {
		return;
	}
	defined('DONOTCACHEPAGE') || define('DONOTCACHEPAGE', true); // for cache plugins: the page is one reader's
	header('Cache-Control: private, no-store');
	$options = ['expires' => time() + YEAR_IN_SECONDS, 'path' => '/', 'secure' => is_ssl(), 'httponly' => true, 'samesite' => 'Lax'];
	setcookie('paywall_visitor', paywall_identity()['visitor'], $options);
	if (is_string($_GET['session_id'] ?? null)) { // Stripe sends the reader back with it.
		paywall_post('/v1/checkout/returned', ['session' => $_GET['session_id']], 15);
	}
});

add_filter('the_content', function (string $content): string {
	if (!paywall_is_locked_story() || !in_the_loop() || !is_main_query() || get_the_ID() !== get_queried_object_id()) {
		return $content;
	}
	$editor = current_user_can('edit_post', get_the_ID());
	$decision = $editor ? null : paywall_decision();
	$locked = false;
	foreach (paywall_parts(get_the_ID()) as $part => $text) {
		if ($editor || ($decision['parts'][$part] ?? 'locked') === 'open') {
			$content .= sprintf('<section class="paywall-part"><h2>%s</h2>%s</section>', esc_html(PAYWALL_PARTS[$part]), wpautop($text));
		} else {
			$locked = true;
		}
	}
	return $locked ? $content . paywall_box($decision) : $content;
}, 99); // after whatever else adds to the content

/** Return the box that takes the place of locked parts. Without a decision it asks to come back later. */
function paywall_box(?array $decision): string {
	$offer = $decision['offer'] ?? null;
	if ($offer === null) {
		return '<aside class="paywall-box"><p>The rest of this story can\'t be shown right now. Please try again in a few minutes.</p></aside>';
	}
	$benefits = implode('', array_map(fn($line) => '<li>' . esc_html($line) . '</li>', $offer['benefits']));
	$box = '<aside class="paywall-box"><h2>' . esc_html($offer['heading']) . "</h2><ul>$benefits</ul>";
	if (!is_user_logged_in()) {
		return $box . sprintf('<p><a href="%s">%s</a></p></aside>', esc_url(wp_login_url(get_permalink())), esc_html($offer['button']));
	}
	$box .= sprintf('<form method="post" action="%s">', esc_url(admin_url('admin-post.php')));
	$box .= wp_nonce_field('paywall_checkout', '_wpnonce', false, false) . '<input type="hidden" name="action" value="paywall_checkout">';
	$box .= sprintf('<input type="hidden" name="story" value="%d">', get_the_ID());
	foreach ($offer['plans'] as $plan) {
		foreach ($plan['prices'] ?: [null] as $price) {
			$name = $plan['name'] . ($price && $price['amount'] !== null ? ' · ' . paywall_money($price['amount'], $price['currency']) : '');
			$box .= sprintf('<button name="choice" value="%s">%s: %s</button> ', esc_attr($price ? "price:{$price['id']}" : "plan:{$plan['id']}"), esc_html($offer['button']), esc_html($name));
		}
	}
	return $box . '</form></aside>';
}

/** Return an amount of Stripe's as text. Some currencies have no decimals there, or three; see docs.stripe.com/currencies. */
function paywall_money(int $amount, string $currency): string {
	$decimals = match (true) {
		in_array($currency, ['bif', 'clp', 'djf', 'gnf', 'jpy', 'kmf', 'krw', 'mga', 'pyg', 'rwf', 'vnd', 'vuv', 'xaf', 'xof', 'xpf'], true) => 0,
		in_array($currency, ['bhd', 'jod', 'kwd', 'omr', 'tnd'], true) => 3,
		default => 2,
	};
	return number_format_i18n($amount / 10 ** $decimals, $decimals) . ' ' . strtoupper($currency);
}

add_action('admin_post_paywall_checkout', function (): void {
	check_admin_referer('paywall_checkout');
	[$kind, $id] = explode(':', sanitize_text_field(wp_unslash($_POST['choice'] ?? '')), 2) + [1 => ''];
	$back = get_permalink((int) ($_POST['story'] ?? 0)) ?: home_url('/');
	$body = ['reader' => (string) get_current_user_id(), $kind === 'price' ? 'price' : 'plan' => $id, 'return_url' => $back];
	$url = paywall_post('/v1/checkout', $body, 15)['url'] ?? null;
	$url ? wp_redirect($url) : wp_die('The purchase could not be started. Do you have this plan already?', '', ['back_link' => true]);
	exit;
});

add_action('add_meta_boxes', function (): void {
	foreach (PAYWALL_PARTS as $part => $title) {
		add_meta_box("paywall_$part", $title . ' (locked)', function (WP_Post $post) use ($part): void {
			wp_nonce_field('paywall_save', 'paywall_nonce');
			wp_editor((string) get_post_meta($post->ID, "_paywall_$part", true), "paywall_text_$part", ['textarea_rows' => 8]);
		}, ['post', 'page']);
	}
});

add_action('save_post', function (int $post): void {
	if (!wp_verify_nonce($_POST['paywall_nonce'] ?? '', 'paywall_save') || !current_user_can('edit_post', $post) || wp_is_post_revision($post)) {
		return;
	}
	foreach (array_keys(PAYWALL_PARTS) as $part) {
		if (isset($_POST["paywall_text_$part"])) {
			update_post_meta($post, "_paywall_$part", wp_slash(wp_kses_post(wp_unslash($_POST["paywall_text_$part"]))));
		}
	}
});
