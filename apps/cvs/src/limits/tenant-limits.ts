/** What one tenant may ask of this process: token buckets, so that a gateway gone wild can't take it from the others. */
import type { TenantId } from '@astis/protocol';

export interface Rates {
  /** Calls a second, and as many at once as make up ten seconds. */
  readonly callsPerSecond: number;
  /** Capsules a second to rewrap, likewise. */
  readonly capsulesPerSecond: number;
}

const BURST_SECONDS = 10;
/** Tenants remembered. A forgotten one starts with full buckets. */
const MAX_TENANTS = 100_000;

interface Account {
  calls: number;
  capsules: number;
  atMs: number;
  /** Calls refused since the last entry in the log. */
  limited: number;
}

export class TenantLimits {
  readonly #rates: Rates;
  readonly #accounts = new Map<TenantId, Account>();

  constructor(rates: Rates) {
    this.#rates = rates;
  }

  #account(tenantId: TenantId, nowMs: number): Account {
    const { callsPerSecond, capsulesPerSecond } = this.#rates;
    const maxCalls = callsPerSecond * BURST_SECONDS;
    const maxCapsules = capsulesPerSecond * BURST_SECONDS;
    const old = this.#accounts.get(tenantId);
    this.#accounts.delete(tenantId);
    const account = old ?? { calls: maxCalls, capsules: maxCapsules, atMs: nowMs, limited: 0 };
    const passed = Math.max(0, nowMs - account.atMs) / 1000;
    account.calls = Math.min(maxCalls, account.calls + passed * callsPerSecond);
    account.capsules = Math.min(maxCapsules, account.capsules + passed * capsulesPerSecond);
    account.atMs = nowMs;
    // Newest last, so the first is the one that was quiet for longest.
    this.#accounts.set(tenantId, account);
    if (this.#accounts.size > MAX_TENANTS) {
      const [quietest] = this.#accounts.keys();
      if (quietest !== undefined) this.#accounts.delete(quietest);
    }
    return account;
  }

  /** Takes a call with so many capsules from the tenant's share. False when that is used up. */
  take(tenantId: TenantId, capsules: number, nowMs: number = Date.now()): boolean {
    const account = this.#account(tenantId, nowMs);
    if (account.calls < 1 || account.capsules < capsules) {
      account.limited++;
      return false;
    }
    account.calls--;
    account.capsules -= capsules;
    return true;
  }

  /** How many calls were refused since it was asked last. Give back what could not be logged. */
  takeLimited(tenantId: TenantId): number {
    const account = this.#accounts.get(tenantId);
    const limited = account?.limited ?? 0;
    if (account !== undefined) account.limited = 0;
    return limited;
  }

  giveBackLimited(tenantId: TenantId, count: number): void {
    const account = this.#accounts.get(tenantId);
    if (account !== undefined) account.limited += count;
  }
}
