/** All pages of what the contract lists in pages. */

/** What a method of the contract answers that lists something. */
export interface Page {
  /** The token of the next page; empty on the last. */
  readonly nextPageToken: string;
}

/**
 * Yield each page that a method answers which takes a `pageToken`, from the first one or from that token on.
 *
 * A page is asked for when the one before was processed, and may be empty, also in between. Throws ChatkitError.
 */
export async function* pages<Request extends { readonly pageToken?: string }, Answer extends Page>(
  method: (request: Request) => Promise<Answer>,
  request: NoInfer<Request>,
): AsyncGenerator<Answer, void> {
  for (let asked = request; ; ) {
    const page = await method(asked);
    yield page;
    if (page.nextPageToken === "") {
      return;
    }
    asked = { ...asked, pageToken: page.nextPageToken };
  }
}
