import { randomUUID } from "node:crypto";
import express from "express";

const { PAYWALL, SITE_KEY, PORT = 5000 } = process.env;
const PARTS = { facts: "The city sold the harbour on Monday.", notebook: "The contract names a second buyer." };
const COOKIE = { httpOnly: true, sameSite: "lax" };
const cookie = (request, name) => request.headers.cookie?.match(`(?:^|; )${name}=([^;]*)`)?.[1];
const app = express();

app.get("/sign-in/:reader", (request, response) => {
  // Your own sign-in is here: it checks who this is.
  response.cookie("reader", request.params.reader, COOKIE).send("Signed in.");
});

app.get("/story/:story", async (request, response) => {
  const visitor = cookie(request, "visitor") ?? randomUUID();
  const story = { id: request.params.story, section: "city", parts: Object.keys(PARTS) };
  let decision = { parts: { facts: "open" }, offer: null }; // Without an answer, show only what is open to everyone.
  try {
    const answer = await fetch(`${PAYWALL}/v1/access`, {
      method: "POST",
      headers: { Authorization: `Bearer ${SITE_KEY}`, "Content-Type": "application/json" },
      body: JSON.stringify({ story, visitor, reader: cookie(request, "reader") }),
      signal: AbortSignal.timeout(2000),
    });
    if (answer.ok) decision = await answer.json();
  } catch {}
  const open = Object.keys(PARTS).filter((part) => decision.parts[part] === "open");
  const page = open.map((part) => `<p>${PARTS[part]}</p>`);
  if (decision.offer) page.push(`<h2>${decision.offer.heading}</h2><button>${decision.offer.button}</button>`);
  response.cookie("visitor", visitor, { ...COOKIE, maxAge: 31_536_000_000 }).set("Cache-Control", "private").send(page.join("\n"));
});

app.listen(PORT, "127.0.0.1");
