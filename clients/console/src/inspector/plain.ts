/** A message of the contract as JSON has it, with the fields that say something. */

import { exactTime } from "./format.js";

// Custom data may have the same form, and is never named so.
const ONEOFS = new Set(["event", "value"]);

type Entries = Record<string, unknown>;

/** Return a message as what JSON.stringify takes: 64-bit numbers are strings, times are RFC 3339. */
export function plainOf(value: unknown): unknown {
  if (typeof value === "bigint") {
    return String(value);
  }
  if (Array.isArray(value)) {
    return value.map(plainOf);
  }
  return typeof value === "object" && value !== null ? ofObject(value as Entries) : value;
}

function ofObject(message: Entries): unknown {
  const { $typeName: typeName, seconds, nanos } = message;
  if (typeName === undefined) {
    // JSON that an application keeps.
    return message;
  }
  if (typeName === "google.protobuf.Timestamp") {
    return exactTime({ seconds: seconds as bigint, nanos: nanos as number });
  }
  const fields = Object.entries(message).filter(([name]) => !name.startsWith("$"));
  const set = fields.map(ofField).filter(([, value]) => saysSomething(value));
  return Object.fromEntries(set.map(([name, value]) => [name, plainOf(value)]));
}

/** Return the field of a oneof that is set under its own name. */
function ofField([name, value]: [string, unknown]): [string, unknown] {
  if (!ONEOFS.has(name)) {
    return [name, value];
  }
  const { case: set, value: inner } = value as { case: string | undefined; value?: unknown };
  return [set ?? name, inner];
}

function saysSomething(value: unknown): boolean {
  return !(value === undefined || value === "" || value === 0n || (Array.isArray(value) && value.length === 0));
}
