/** The content of files on its way to the suite, checked by size and SHA-256. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Client as ServiceClient, Code } from "@connectrpc/connect";

import { type Calls, newId } from "./calls.js";
import { ChatkitError } from "./errors.js";
import { type File, FileState } from "./proto/chatkit/files/v1/file_pb.js";
import type { FilesService } from "./proto/chatkit/files/v1/files_service_pb.js";
import { type Progress, put, telling } from "./putting.js";
import { abortWith } from "./signals.js";

// Content may be large, and the network slow.
export const DEADLINE_MS = 600_000;

/** How a file is made of its content. */
export interface UploadOptions {
  /** That of the content, if it is a file of the user's. */
  readonly name?: string;
  /** That of the content, or application/octet-stream. */
  readonly contentType?: string;
  /** Whose file it is: oneself, unless it is said. */
  readonly userId?: string;
  readonly customData?: MessageInitShape<typeof ValueSchema>;
  /** The same for every attempt to create the file. */
  readonly requestId?: string;
  readonly onProgress?: Progress;
  /** How long it may take in all. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Create a file, send its content, and return it when it is READY; throws ChatkitError. */
export async function upload(
  calls: Calls,
  files: ServiceClient<typeof FilesService>,
  roomId: string,
  content: Blob,
  options: UploadOptions,
): Promise<File> {
  const { userId, customData, requestId = newId(), timeoutMs = DEADLINE_MS, signal } = options;
  const name = options.name ?? ("name" in content ? String(content.name) : "");
  const contentType = options.contentType ?? (content.type || "application/octet-stream");
  const ending = new AbortController();
  const onProgress = options.onProgress && telling(options.onProgress, ending);
  const letGo = abortWith(ending, signal, calls.line.closed);
  try {
    const sha256 = await sha256Of(content);
    const { file, uploadUrl } = await files.createFile(
      {
        roomId,
        name,
        contentType,
        requestId,
        sha256,
        sizeBytes: BigInt(content.size),
        ...(userId === undefined ? {} : { userId }),
        ...(customData === undefined ? {} : { customData }),
      },
      { signal: ending.signal },
    );
    if (file === undefined || file.state === FileState.READY) {
      onProgress?.(content.size, content.size);
      return there(file);
    }
    const attempt = async (_token: string, ms: number): Promise<File> => {
      const enough = AbortSignal.any([ending.signal, AbortSignal.timeout(Math.ceil(ms))]);
      onProgress?.(0, content.size);
      await put({ url: uploadUrl, content, contentType, signal: enough, onProgress });
      return there((await files.getFile({ roomId, fileId: file.id }, { signal: ending.signal })).file);
    };
    return await calls.repeat(attempt, timeoutMs, true, ending.signal);
  } finally {
    letGo();
  }
}

/** Return the SHA-256 of content in hexadecimal digits; empty where it can't be computed. */
export async function sha256Of(content: Blob): Promise<string> {
  const { subtle } = globalThis.crypto;
  // It is there in secure contexts only, whatever its type says.
  if ((subtle as SubtleCrypto | undefined) === undefined) {
    return "";
  }
  const digest = await subtle.digest("SHA-256", await content.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Return the file of an answer, which has one. */
export function there(file: File | undefined): File {
  if (file === undefined) {
    throw new ChatkitError(Code.Internal, "", "the suite has answered without the file");
  }
  return file;
}
