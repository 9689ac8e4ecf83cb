/** What the inspector's pages are made of. */

import type { ComponentChildren } from "preact";
import { useEffect, useId } from "preact/hooks";

import type { Timestamp } from "../chat/times.js";
import { href } from "../route.js";
import type { Answer, Paged } from "./answers.js";
import { exactTime, shownJson, shownTime } from "./format.js";
import { sentenceOf } from "./refusals.js";

/** Return the link to a page of the inspector. */
export function to(...path: readonly string[]): string {
  return href(["inspector", ...path]);
}

interface PageProps {
  readonly title: ComponentChildren;
  /** The title without what only looks like something. */
  readonly name: string;
  readonly actions?: ComponentChildren;
  readonly children: ComponentChildren;
}

/** A page: its one heading of the first level, what can be done, and what it shows. */
export function Page({ title, name, actions, children }: PageProps) {
  useEffect(() => {
    const before = document.title;
    document.title = `${name} · Chatkit`;
    return () => {
      document.title = before;
    };
  }, [name]);
  return (
    <>
      <header class="page-header">
        <h1>{title}</h1>
        <div class="commands">{actions}</div>
      </header>
      {children}
    </>
  );
}

interface SectionProps {
  readonly title: string;
  readonly actions?: ComponentChildren;
  readonly children: ComponentChildren;
}

/** A part of a page with a heading of its own. */
export function Section({ title, actions, children }: SectionProps) {
  const titleId = useId();
  return (
    <section aria-labelledby={titleId}>
      <header class="section-header">
        <h2 id={titleId}>{title}</h2>
        <div class="commands">{actions}</div>
      </header>
      {children}
    </section>
  );
}

/** Facts by their names; those without a value are left out. */
export function Facts({ of }: { readonly of: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {of.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value === undefined || value === "" ? <span class="faint">none</span> : value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** What somebody wrote, in the direction of its own letters. */
export function Said({ children }: { readonly children: string }) {
  return (
    <bdi class="said" dir="auto">
      {children}
    </bdi>
  );
}

/** A user's id that leads to the user's page. */
export function UserLink({ id, children = id }: { readonly id: string; readonly children?: string }) {
  return (
    <a href={to("users", id)}>
      <Said>{children}</Said>
    </a>
  );
}

/** A room's id that leads to the room's page. */
export function RoomLink({ id, children = id }: { readonly id: string; readonly children?: string }) {
  return (
    <a href={to("rooms", id)}>
      <Said>{children}</Said>
    </a>
  );
}

/** A time, to the millisecond where one asks for it. */
export function When({ time }: { readonly time: Timestamp | Date | undefined }) {
  if (time === undefined) {
    return <span class="faint">–</span>;
  }
  const exact = exactTime(time);
  const [day, timeOfDay] = shownTime(time);
  return (
    <time dateTime={exact} title={exact}>
      <span class="on-day">{day}, </span>
      <span class="of-day">{timeOfDay}</span>
    </time>
  );
}

/** JSON, in lines that are broken where they are long. */
export function Json({ value }: { readonly value: unknown }) {
  return (
    <pre class="json" dir="auto">
      {shownJson(value)}
    </pre>
  );
}

/** What has failed, as a sentence. */
export function Refusal({ error }: { readonly error: unknown }) {
  return (
    <p class="bad-text" role="alert">
      {sentenceOf(error)}
    </p>
  );
}

interface AnsweredProps<Value> {
  readonly answer: Answer<Value>;
  readonly children: (value: Value) => ComponentChildren;
}

/** What was answered, or why not. */
export function Answered<Value>({ answer: { value, error }, children }: AnsweredProps<Value>) {
  if (error !== undefined) {
    return <Refusal error={error} />;
  }
  return value === undefined ? <p class="faint">Loading…</p> : <>{children(value)}</>;
}

interface ListingProps<Item> {
  readonly caption: string;
  readonly headings: readonly string[];
  /** Those of them that are left out where there is little room. */
  readonly minor?: readonly string[];
  readonly paged: Paged<Item>;
  /** What is said where the list is empty. */
  readonly none: string;
  readonly row: (item: Item) => ComponentChildren;
}

/** A list as a table that grows page by page. */
export function Listing<Item>({ caption, headings, minor, paged, none, row }: ListingProps<Item>) {
  return (
    <>
      {paged.items.length > 0 && (
        <table>
          <caption class="unseen">{caption}</caption>
          <Headings names={headings} minor={minor} />
          <tbody>{paged.items.map(row)}</tbody>
        </table>
      )}
      <ListEnd paged={paged} none={none} />
    </>
  );
}

interface HeadingsProps {
  readonly names: readonly string[];
  /** Those of them that are left out where there is little room; their cells have the class `minor`. */
  readonly minor?: readonly string[] | undefined;
}

/** The row of a table that names the columns. */
export function Headings({ names, minor = [] }: HeadingsProps) {
  return (
    <thead>
      <tr>
        {names.map((name) => (
          <th scope="col" class={minor.includes(name) ? "minor" : undefined} key={name}>
            {name}
          </th>
        ))}
      </tr>
    </thead>
  );
}

function ListEnd({ paged, none }: { readonly paged: Paged<unknown>; readonly none: string }) {
  const { items, isLoading, hasMore, error, more } = paged;
  const count = items.length;
  const end = count === 1 ? "That is the only one." : `These are all ${count}.`;
  return (
    <div class="list-end">
      {error !== undefined && <Refusal error={error} />}
      {hasMore && !isLoading && (
        <button type="button" class="quiet" onClick={more}>
          {error === undefined ? "Load more" : "Try again"}
        </button>
      )}
      <p class="faint" role="status">
        {isLoading ? "Loading…" : hasMore || error !== undefined ? "" : count === 0 ? none : end}
      </p>
    </div>
  );
}
