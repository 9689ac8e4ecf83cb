/** The suite itself: its version and the limits in force. */

import { about, type Limit } from "./about.js";
import { useAnswer } from "./answers.js";
import { shownNumber } from "./format.js";
import { Answered, Facts, Headings, Page, Section } from "./parts.js";

/** Show the suite's version and its limits. */
export function Suite() {
  const answer = useAnswer(about);
  return (
    <Page title="Suite" name="Suite">
      <Answered answer={answer}>
        {({ name, version, commit, limits }) => (
          <>
            <Section title="Edge">
              <Facts
                of={[
                  ["Name", name],
                  ["Version", version],
                  ["Commit", commit && <code>{commit}</code>],
                ]}
              />
            </Section>
            <Section title="Limits in force">
              <Limits of={limits} />
            </Section>
          </>
        )}
      </Answered>
    </Page>
  );
}

function Limits({ of }: { readonly of: readonly Limit[] }) {
  return (
    <table>
      <caption class="unseen">The limits in force</caption>
      <Headings names={["Limit", "Value", "Of what"]} />
      <tbody>
        {of.map(({ name, value, unit, description, planned }) => (
          <tr key={name}>
            <th scope="row">
              <code>{breakable(name)}</code>
            </th>
            <td class="number">
              {shownNumber(value)} {unit}
            </td>
            <td>
              {description}
              {planned && <strong> (planned, not in force)</strong>}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Return a name that may be broken behind its underscores. */
function breakable(name: string) {
  return name.split(/(?<=_)/).flatMap((part, index) => (index === 0 ? [part] : [<wbr key={index} />, part]));
}
