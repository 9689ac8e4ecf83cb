/** The content of files on its way from the suite, checked by size and SHA-256; it goes on where it breaks off. */

import { type Client as ServiceClient, Code } from "@connectrpc/connect";

import type { Calls } from "./calls.js";
import { ChatkitError, fromCall } from "./errors.js";
import type { FilesService } from "./proto/chatkit/files/v1/files_service_pb.js";
import { type Progress, telling } from "./putting.js";
import { abortWith } from "./signals.js";
import { DEADLINE_MS, sha256Of, there } from "./uploading.js";

/** How the content of a file is fetched. */
export interface DownloadOptions {
  readonly onProgress?: Progress;
  /** How long it may take in all. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Return the content of a file; throws ChatkitError. */
export async function download(
  calls: Calls,
  files: ServiceClient<typeof FilesService>,
  roomId: string,
  fileId: string,
  options: DownloadOptions,
): Promise<Blob> {
  const { timeoutMs = DEADLINE_MS, signal } = options;
  const ending = new AbortController();
  const onProgress = telling(options.onProgress ?? (() => {}), ending);
  const letGo = abortWith(ending, signal, calls.line.closed);
  try {
    const file = there((await files.getFile({ roomId, fileId }, { signal: ending.signal })).file);
    const total = Number(file.sizeBytes);
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    let done = 0;
    onProgress(done, total);
    const attempt = async (token: string, ms: number): Promise<void> => {
      const began = done;
      const call = { headers: { authorization: token }, signal: ending.signal, timeoutMs: Math.ceil(ms) };
      try {
        for await (const answer of files.downloadFile({ roomId, fileId, offsetBytes: BigInt(done) }, call)) {
          for (const chunk of answer.chunks) {
            chunks.push(chunk as Uint8Array<ArrayBuffer>);
            done += chunk.length;
            onProgress(done, total);
          }
        }
      } catch (thrown) {
        // The next attempt begins where this one has ended, with the next token.
        if (fromCall(thrown).wantsAnotherToken && done > began) {
          throw new ChatkitError(Code.Unavailable, "", "the token ended on the way", { cause: thrown });
        }
        throw thrown;
      }
    };
    await calls.repeat(attempt, timeoutMs, true, ending.signal);
    const content = new Blob(chunks, { type: file.contentType });
    const sha256 = file.sha256 && (await sha256Of(content));
    if (done !== total || (sha256 && sha256 !== file.sha256)) {
      throw new ChatkitError(Code.DataLoss, "", "the content that came is not the one that was stored");
    }
    return content;
  } finally {
    letGo();
  }
}
