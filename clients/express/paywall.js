// Express middleware that asks the paywall for each story and renders only what is open. Needs Node 20, and no packages.
//
//   import { paywall } from "./paywall.js";
//   app.use(paywall({ url: "http://127.0.0.1:8000", siteKey: process.env.PAYWALL_SITE_KEY, reader: (req) => req.user?.id }));
//   app.get("/stories/:id", async (req, res) => {
//     const { parts, offer } = await req.paywall.read(
//       { id: req.params.id, section: "city" },
//       { facts: () => render(facts), notebook: () => render(notebook) },   // a locked part's function is never called
//     );
//     res.send(page(parts.facts, parts.notebook ?? box(offer)));
//   });
//
// Each part is a function. Locked text is not rendered at all, so no template, log or serializer can show it.

import { randomUUID } from "node:crypto";

const COOKIE = "paywall_visitor";
const YEAR = 365 * 24 * 60 * 60 * 1000;

/** What a page shows while the paywall is unreachable: `openParts`, and no offer. */
const unreachable = { show: "upsell", reason: "service_unreachable", parts: {}, features: [], offer: null, next: [], degraded: true };

/** An answer of the paywall that is not a 200. `status` is the answer's, or 503 if there was none. */
export class PaywallError extends Error {
  constructor(path, status, problem) {
    super(`${path}: ${status} ${problem?.detail ?? ""}`.trim());
    this.status = status;
    this.problem = problem;
  }
}

/**
 * Return the middleware, which sets `req.paywall`.
 *
 * @param {object} options
 * @param {string} options.url The address of the service.
 * @param {string} options.siteKey A key of PAYWALL_SITE_KEYS. It stays on the server.
 * @param {(req) => string | undefined} [options.reader] The signed-in reader's ID.
 * @param {(req) => boolean} [options.verified] Whether the reader's e-mail address is verified.
 * @param {string[]} [options.openParts] What is shown while the paywall is unreachable.
 * @param {number} [options.timeout] Milliseconds to wait for a decision.
 */
export function paywall({ url, siteKey, reader = () => undefined, verified = () => false, openParts = ["facts"], timeout = 2000 }) {
  async function post(path, body, milliseconds) {
    let answer;
    try {
      answer = await fetch(new URL(path, url), {
        method: "POST",
        headers: { Authorization: `Bearer ${siteKey}`, "Content-Type": "application/json" },
        body: JSON.stringify(body),
        redirect: "error",
        signal: AbortSignal.timeout(milliseconds),
      });
      const fields = await answer.json();
      if (answer.status === 200) return fields;
      throw new PaywallError(path, answer.status, fields);
    } catch (error) {
      throw error instanceof PaywallError ? error : new PaywallError(path, answer?.status ?? 503);
    }
  }

  return function middleware(req, res, next) {
    const asked = () => {
      const id = reader(req);
      return id === undefined || id === null ? {} : { reader: String(id), ...(verified(req) ? { verified: true } : {}) };
    };
    req.paywall = {
      /**
       * Return the decision for a story, with `parts` as rendered text: only those that are open are in it.
       * `story` is as in `POST /v1/access`, without `parts`. It never throws for an answer that is missing.
       */
      async read(story, renderers) {
        res.set("Cache-Control", "private, no-store"); // The page is one reader's.
        const prefetch = (req.get("Sec-Purpose") ?? req.get("Purpose") ?? "").includes("prefetch");
        const body = { story: { ...story, parts: Object.keys(renderers) }, ...asked(), visitor: visitorOf(req, res), count: req.method === "GET" && !prefetch };
        let decision = unreachable;
        try {
          decision = await post("/v1/access", body, timeout);
        } catch (error) {
          console.warn(`paywall: ${error.message}`);
        }
        const isOpen = (part) => (decision === unreachable ? openParts.includes(part) : decision.parts?.[part] === "open");
        const parts = {};
        for (const part of Object.keys(renderers)) if (isOpen(part)) parts[part] = await renderers[part]();
        return { ...decision, parts };
      },

      /** Return the URL of Stripe's Checkout page for a plan or price. Throws: PaywallError, 409 for who has the plan. */
      async checkout(choice, returnUrl) {
        return (await post("/v1/checkout", { ...asked(), ...choice, return_url: returnUrl }, 15000)).url;
      },

      /** Make a purchase count before its webhook arrives. Stripe puts `session_id` into the return URL. */
      async returned(session) {
        await post("/v1/checkout/returned", { session }, 15000).catch(() => undefined);
      },
    };
    next();
  };
}

/** Return the visitor's ID from its cookie, or a new one, which the response sets. */
function visitorOf(req, res) {
  const found = new RegExp(`(?:^|;\\s*)${COOKIE}=([0-9a-f-]{36})(?:;|$)`).exec(req.headers.cookie ?? "");
  const visitor = found?.[1] ?? randomUUID();
  res.cookie(COOKIE, visitor, { httpOnly: true, sameSite: "lax", secure: req.secure, maxAge: YEAR, path: "/" });
  return visitor;
}
