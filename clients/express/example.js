// A site that uses the middleware:  PAYWALL_URL=… PAYWALL_SITE_KEY=… PORT=3000 node example.js

import express from "express";
import { paywall } from "./paywall.js";

const stories = {
  harbour: { title: "The harbour contract", section: "city", facts: "The council signed.", notebook: process.env.NOTEBOOK ?? "The contract, page by page." },
};
const escape = (text) => String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const app = express();
const { PAYWALL_URL: url, PAYWALL_SITE_KEY: siteKey, PORT: port = 3000 } = process.env;
app.use(paywall({ url, siteKey, reader: (req) => req.get("X-Signed-In-As") })); // your own session, in place of this header

app.get("/stories/:id", async (req, res) => {
  const story = Object.hasOwn(stories, req.params.id) ? stories[req.params.id] : undefined;
  if (!story) return res.status(404).send("There is no such story.");
  const { parts, offer } = await req.paywall.read(
    { id: req.params.id, section: story.section, published_at: "2026-01-05T09:00:00Z" },
    { facts: () => escape(story.facts), notebook: () => escape(story.notebook) },
  );
  const box = offer ? `<h2>${escape(offer.heading)}</h2>` : "<p>The rest can't be shown right now. Please try again.</p>";
  res.send(`<h1>${escape(story.title)}</h1><p>${parts.facts}</p><section>${parts.notebook ?? box}</section>`);
});

// Lists and feeds never take a locked part: they need no decision.
app.get("/feed.json", (req, res) => res.json(Object.entries(stories).map(([id, { title, facts }]) => ({ id, title, facts }))));

app.listen(port, "127.0.0.1");
