// Ask the paywall from a Next.js server component or route. Only the server imports this file: it holds the site key.
// Locked text must stay out of props too: what a client component receives is in the page's source. So a part is a function
// here, and the function of a locked part is never called.

const { PAYWALL_URL, PAYWALL_SITE_KEY } = process.env;

/**
 * Return the decision for a story, with `parts` as rendered: only those that are open are in it.
 *
 * @param {object} story as in `POST /v1/access`, without `parts`
 * @param {Record<string, () => unknown>} renderers each part of the story
 * @param {{reader?: string, visitor?: string, verified?: boolean, count?: boolean}} who
 */
export async function readStory(story, renderers, who) {
  const decision = await decide({ ...who, story: { ...story, parts: Object.keys(renderers) } });
  const parts = {};
  for (const [part, render] of Object.entries(renderers)) {
    const open = decision ? decision.parts?.[part] === "open" : part === "facts"; // no answer: the facts alone
    if (open) parts[part] = await render();
  }
  return { features: [], offer: null, next: [], ...decision, parts };
}

/** Return the answer of `POST /v1/access`; null if there is none within two seconds. */
async function decide(body) {
  try {
    const answer = await fetch(new URL("/v1/access", PAYWALL_URL), {
      method: "POST",
      headers: { Authorization: `Bearer ${PAYWALL_SITE_KEY}`, "Content-Type": "application/json" },
      body: JSON.stringify(body),
      redirect: "error",
      cache: "no-store", // Next.js must not keep one reader's answer for the next.
      signal: AbortSignal.timeout(2000),
    });
    if (answer.status === 200) return await answer.json();
    console.warn(`paywall: ${answer.status} ${(await answer.json().catch(() => ({}))).detail ?? ""}`);
  } catch (error) {
    console.warn(`paywall: ${error.message}`);
  }
  return null;
}
