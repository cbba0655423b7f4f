// A site that uses the generated types; a test checks it with `tsc --strict`.
import type { components, paths } from "./api";

type Check = paths["/v1/access"]["post"];
type Question = Check["requestBody"]["content"]["application/json"];
type Decision = Check["responses"][200]["content"]["application/json"];

const question: Question = {
  story: { id: "2026-harbour-contract", section: "city", parts: ["facts", "notebook"] },
  reader: "r-1042",
  count: true,
};

export async function openParts(service: string, key: string): Promise<string[]> {
  const response = await fetch(`${service}/v1/access`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify(question),
  });
  if (!response.ok) {
    const problem = (await response.json()) as components["schemas"]["Problem"];
    throw new Error(`${problem.type}: ${problem.errors.map((error) => error.field).join(", ")}`);
  }
  const decision = (await response.json()) as Decision;
  const left: number | undefined = decision.meter?.left;
  const benefits: string[] = decision.offer?.benefits ?? [];
  // @ts-expect-error A reason that the service never gives.
  if (decision.reason === "no_such_reason") return benefits;
  // @ts-expect-error A field that a decision does not have.
  if (decision.shown) return [];
  return Object.entries(decision.parts).filter(([, state]) => state === "open").map(([part]) => `${part} ${left ?? ""}`);
}
