// GET /stories/<id>: a story as HTML, with the parts that this reader may see.

import { readStory } from "../../../lib/paywall.js";
import { findStory, signedInReader } from "../../../lib/site.js";

export const dynamic = "force-dynamic"; // Each reader gets a page of their own.

const COOKIE = "paywall_visitor";
const escape = (text) => String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

export async function GET(request, { params }) {
  const { id } = await params;
  const story = findStory(id);
  if (!story) return new Response("There is no such story.", { status: 404 });

  const cookie = new RegExp(`(?:^|;\\s*)${COOKIE}=([0-9a-f-]{36})(?:;|$)`).exec(request.headers.get("cookie") ?? "");
  const visitor = cookie?.[1] ?? crypto.randomUUID();
  const reader = signedInReader(request);
  const purpose = request.headers.get("sec-purpose") ?? request.headers.get("purpose") ?? "";
  const count = request.method === "GET" && !purpose.includes("prefetch"); // Neither a HEAD nor a prefetch is a read.

  const { parts, offer } = await readStory(
    { id, section: story.section, published_at: story.published_at },
    { facts: () => escape(story.facts), notebook: () => escape(story.notebook) },
    { visitor, count, ...(reader ? { reader } : {}) },
  );
  const box = offer ? `<h2>${escape(offer.heading)}</h2>` : "<p>The rest can't be shown right now. Please try again.</p>";
  const html = `<h1>${escape(story.title)}</h1><p>${parts.facts}</p><section>${parts.notebook ?? box}</section>`;
  return new Response(html, {
    headers: {
      "Content-Type": "text/html; charset=utf-8",
      "Cache-Control": "private, no-store",
      "Set-Cookie": `${COOKIE}=${visitor}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax${request.url.startsWith("https:") ? "; Secure" : ""}`,
    },
  });
}
