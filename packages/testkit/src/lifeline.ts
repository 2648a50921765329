/**
 * Loaded into each process that {@link startProcess} starts: standard input is a pipe that its parent never writes to,
 * so its end means that the parent is gone, even by SIGKILL. The process then stops in order, and soon in any case.
 */
const GRACE_MS = 10_000;

function parentIsGone(): void {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), GRACE_MS).unref();
}

process.stdin.once('end', parentIsGone);
process.stdin.once('error', parentIsGone);
process.stdin.resume();
// Waiting for it must not keep a process alive that is done.
if ('unref' in process.stdin && typeof process.stdin.unref === 'function') process.stdin.unref();
