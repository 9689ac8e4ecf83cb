/** What the edge says of itself to everybody. */

/** A limit in force. */
export interface Limit {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly description: string;
  /** It is announced, and nothing keeps to it yet. */
  readonly planned: boolean;
}

export interface About {
  readonly name: string;
  readonly version: string;
  /** Of what it was made; not told by every deployment. */
  readonly commit?: string;
  readonly limits: readonly Limit[];
}

/** Return what the edge says of itself. */
export async function about(signal: AbortSignal): Promise<About> {
  const response = await fetch("/", { headers: { accept: "application/json" }, signal });
  if (!response.ok) {
    throw new Error(`The edge answers ${response.status}.`);
  }
  return (await response.json()) as About;
}
