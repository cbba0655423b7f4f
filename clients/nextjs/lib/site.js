// What your site has already: its stories, and who is signed in. Replace this file.

const stories = {
  harbour: {
    title: "The harbour contract",
    section: "city",
    published_at: "2026-01-05T09:00:00Z",
    facts: "The council signed.",
    notebook: process.env.NOTEBOOK ?? "The contract, page by page.",
  },
};

export const findStory = (id) => (Object.hasOwn(stories, id) ? stories[id] : undefined);

/** Return the ID of the signed-in reader: your session's, in place of this header. */
export const signedInReader = (request) => request.headers.get("x-signed-in-as") ?? undefined;
