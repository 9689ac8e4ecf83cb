/** What a message holds: texts, pictures, videos, sounds, files and links. */

import type { Part } from "chatkit-client/types";

import { type Files, useFile } from "./files.js";
import { piecesOf } from "./links.js";

const KIB = 1024;
const UNITS = ["KiB", "MiB", "GiB"];

interface PartProps {
  readonly part: Pick<Part, "contentType" | "value"> & Partial<Pick<Part, "file">>;
  readonly files: Files;
}

/** Show a part. */
export function Shown({ part, files }: PartProps) {
  const { contentType, value } = part;
  switch (value.case) {
    case "content":
      return contentType === "text/plain" ? <Text text={value.value} /> : <pre dir="auto">{value.value}</pre>;
    case "url":
      return <Media contentType={contentType} url={value.value} name={value.value} />;
    case "fileId":
      return <Attached files={files} fileId={value.value} name={part.file?.name ?? ""} size={part.file?.sizeBytes} />;
    default:
      return <p class="faint">(something that this console does not know)</p>;
  }
}

function Text({ text }: { readonly text: string }) {
  return (
    <p class="text" dir="auto">
      {piecesOf(text).map(({ text: piece, address }) =>
        address === undefined ? (
          piece
        ) : (
          <a href={address} target="_blank" rel="noopener noreferrer">
            {piece}
          </a>
        ),
      )}
    </p>
  );
}

interface AttachedProps {
  readonly files: Files;
  readonly fileId: string;
  readonly name: string;
  readonly size: bigint | undefined;
}

function Attached({ files, fileId, name, size }: AttachedProps) {
  const file = useFile(files, fileId);
  if (!file) {
    return (
      <p class="file faint" dir="auto">
        {name || fileId} {file === null && "(not there any more)"}
      </p>
    );
  }
  const forget = (): void => {
    files.forget(fileId);
  };
  return (
    <Media
      contentType={file.contentType}
      url={file.downloadUrl}
      name={name || file.name}
      size={size ?? file.sizeBytes}
      onError={forget}
    />
  );
}

interface MediaProps {
  readonly contentType: string;
  readonly url: string;
  readonly name: string;
  readonly size?: bigint;
  readonly onError?: () => void;
}

function Media({ contentType, url, name, size, onError }: MediaProps) {
  const [kind] = contentType.split("/");
  if (kind === "image") {
    return (
      <a class="picture" href={url} target="_blank" rel="noopener noreferrer">
        <img src={url} alt={name} loading="lazy" referrerpolicy="no-referrer" onError={onError} />
      </a>
    );
  }
  if (kind === "video") {
    return <video src={url} controls preload="metadata" aria-label={name} onError={onError} />;
  }
  if (kind === "audio") {
    return <audio src={url} controls preload="metadata" aria-label={name} onError={onError} />;
  }
  return (
    <p class="file" dir="auto">
      <a href={url} target="_blank" rel="noopener noreferrer">
        {name}
      </a>{" "}
      {size !== undefined && <span class="faint">{sizeOf(size)}</span>}
    </p>
  );
}

/** Return a size as people read it. */
export function sizeOf(bytes: bigint | number): string {
  let size = Number(bytes) / KIB;
  if (size < 1) {
    return `${bytes} bytes`;
  }
  let unit = 0;
  while (size >= KIB && unit < UNITS.length - 1) {
    size /= KIB;
    unit += 1;
  }
  return `${size.toFixed(1)} ${UNITS[unit] ?? ""}`;
}
