import { ProtocolError } from '@astis/protocol/formats';
import { CryptoError } from './errors.ts';

/** The code that something is refused with, or `accepted`. Any untyped error fails the test. */
export async function outcome(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof CryptoError || error instanceof ProtocolError) return error.code;
    throw error;
  }
  return 'accepted';
}
