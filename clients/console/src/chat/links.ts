/** Where a text has links: http and https, nothing else. */

// Whatever ends a sentence is no part of the address.
const LINK = /https?:\/\/[^\s<>"]+[^\s<>".,;:!?'’”)\]]/gu;

/** A piece of a text; one that is a link has an address. */
export interface Piece {
  readonly text: string;
  readonly address: string | undefined;
}

/** Return a text in pieces. */
export function piecesOf(text: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const { 0: address, index } of text.matchAll(LINK)) {
    if (URL.canParse(address)) {
      pieces.push({ text: text.slice(end, index), address: undefined }, { text: address, address });
      end = index + address.length;
    }
  }
  return [...pieces, { text: text.slice(end), address: undefined }].filter((piece) => piece.text !== "");
}
