/** What goes over the pipe between main process and worker (structured clones). Neither the root key nor a DEK does. */
import type { Job, JobKind, JobResult } from './jobs.ts';

export type ToWorker =
  | { readonly type: 'start'; readonly rootKeyFile: string }
  | { readonly type: 'job'; readonly id: number; readonly job: Job };

export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'unfit'; readonly code: string }
  | { readonly type: 'done'; readonly id: number; readonly result: JobResult<JobKind> }
  /** The code of a typed error, or `internal`. Messages stay inside: they are written for people who see the keys. */
  | { readonly type: 'failed'; readonly id: number; readonly code: string };
