<?php
const PARTS = ['facts' => 'The city sold the harbour on Monday.', 'notebook' => 'The contract names a second buyer.'];
const COOKIE = ['path' => '/', 'httponly' => true, 'samesite' => 'Lax'];
[, $action, $id] = explode('/', rawurldecode(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)), 3) + ['', '', ''];

if ($action === 'sign-in') { // Your own sign-in is here: it checks who this is.
    setcookie('reader', $id, COOKIE);
    exit('Signed in.');
}

$visitor = $_COOKIE['visitor'] ?? bin2hex(random_bytes(16));
setcookie('visitor', $visitor, ['expires' => time() + 31_536_000] + COOKIE);
header('Cache-Control: private');
$question = [
    'story' => ['id' => $id, 'section' => 'city', 'parts' => array_keys(PARTS)],
    'visitor' => $visitor,
    'reader' => $_COOKIE['reader'] ?? null,
];
$request = stream_context_create(['http' => [
    'method' => 'POST',
    'header' => ['Authorization: Bearer ' . getenv('SITE_KEY'), 'Content-Type: application/json'],
    'content' => json_encode($question),
    'timeout' => 2,
]]);
$answer = @file_get_contents(getenv('PAYWALL') . '/v1/access', false, $request);
// Without an answer, show only what is open to everyone.
$decision = $answer ? json_decode($answer, true) : ['parts' => ['facts' => 'open'], 'offer' => null];

foreach (PARTS as $part => $text) {
    if (($decision['parts'][$part] ?? '') === 'open') {
        echo "<p>$text</p>\n";
    }
}
if ($decision['offer']) {
    echo "<h2>{$decision['offer']['heading']}</h2><button>{$decision['offer']['button']}</button>\n";
}
