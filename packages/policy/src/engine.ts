/**
 * The only door to Cedar. A trap inside WebAssembly (a stack used up, say) leaves the instance unusable for good, and
 * the package offers no second one. `nesting.ts` keeps policies far from that; should it happen all the same, every
 * later call fails, so every decision is a refusal, and `policyEngineHealthy` lets a readiness probe replace the
 * process.
 */
import * as cedar from '#cedar';
import { PolicyError } from './errors.ts';

let healthy = true;

/** False once the Cedar engine broke down: this process refuses every decision and has to be started again. */
export const policyEngineHealthy = (): boolean => healthy;

/** Throws `policy_engine_failed` unless healthy: for those who can answer without asking the engine. */
export function assertHealthy(): void {
  if (!healthy) throw brokenDown();
}

function guarded<Arguments extends readonly unknown[], Answer>(
  call: (...input: Arguments) => Answer,
): (...input: Arguments) => Answer {
  return (...input) => {
    assertHealthy();
    try {
      return call(...input);
    } catch (error) {
      // WebAssembly.RuntimeError (a trap) or RangeError (JavaScript's stack): memory may be half-written.
      if (error instanceof Error && (error.name === 'RuntimeError' || error instanceof RangeError)) {
        healthy = false;
        throw brokenDown();
      }
      throw error;
    }
  };
}

const brokenDown = (): PolicyError =>
  new PolicyError('policy_engine_failed', [
    { message: 'the policy engine broke down and has to be started again' },
  ]);

export const isAuthorized = guarded(cedar.statefulIsAuthorized);
export const policyToJson = guarded(cedar.policyToJson);
export const preparsePolicySet = guarded(cedar.preparsePolicySet);
export const splitPolicies = guarded(cedar.policySetTextToParts);
export const validatePolicies = guarded(cedar.validate);
